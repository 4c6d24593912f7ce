"""``python -m finetune``."""

from finetune.command import main
from stseg.cli import run_command

if __name__ == "__main__":
    run_command(main)
