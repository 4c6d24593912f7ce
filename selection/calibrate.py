"""``python -m selection.calibrate``: the command of `study.calibrate`."""

from stseg.cli import run_command
from study.calibrate import main

if __name__ == "__main__":
    run_command(main)
