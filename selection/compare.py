"""``python -m selection.compare``: the command of `study.compare`."""

from stseg.cli import run_command
from study.compare import main

if __name__ == "__main__":
    run_command(main)
