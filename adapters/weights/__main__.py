"""``python -m adapters.weights``."""

from adapters.weights.command import main
from stseg.cli import run_command

if __name__ == "__main__":
    run_command(main)
