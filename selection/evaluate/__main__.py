"""``python -m selection.evaluate``."""

from selection.evaluate.command import main
from stseg.cli import run_command

if __name__ == "__main__":
    run_command(main)
