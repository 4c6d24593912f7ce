"""``python -m selection.study``: the command of `study.study`."""

from stseg.cli import run_command
from study.study import main

if __name__ == "__main__":
    run_command(main)
