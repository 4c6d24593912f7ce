"""``python -m selection.override``: the command of `study.override`."""

from stseg.cli import run_command
from study.override import main

if __name__ == "__main__":
    run_command(main)
