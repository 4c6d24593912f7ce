"""``python -m ensemble.rounds``: the command of `study.rounds.command`."""

from stseg.cli import run_command
from study.rounds.command import main

if __name__ == "__main__":
    run_command(main)
