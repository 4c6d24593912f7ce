"""``python -m selection.review``: the command of `study.review`."""

from stseg.cli import run_command
from study.review.command import main

if __name__ == "__main__":
    run_command(main)
