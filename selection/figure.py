"""``python -m selection.figure``: the command of `study.figure`."""

from stseg.cli import run_command
from study.figure import main

if __name__ == "__main__":
    run_command(main)
