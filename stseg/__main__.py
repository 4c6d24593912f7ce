"""The command ``stseg``, also as ``python -m stseg``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from stseg.cli import EXIT_OK, complete, print_line, run_command, started_as
from stseg.commands import COMMANDS, find_command, overview


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names; returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "_ARGCOMPLETE" in os.environ:
        words = _words_to_complete()
    if not words or words[0] in ("-h", "--help", "help"):
        print_line(overview())
        return EXIT_OK
    if words[0] == "--version":
        import importlib.metadata  # slow

        print_line(f"stseg {importlib.metadata.version('stseg')}")
        return EXIT_OK
    command = find_command(words[0])
    with started_as(f"stseg {command.name}"):
        return command.load()(words[1:])


def _words_to_complete() -> list[str]:
    """The words on the shell's line whose end TAB was pressed at, where they name a command;
    otherwise the names of the commands are offered, which ends the process."""
    line = os.environ.get("COMP_LINE", "")[: int(os.environ.get("COMP_POINT", "0"))]
    words = line.split()[1:]
    if words and words[0] in COMMANDS and (len(words) > 1 or line.endswith(" ")):
        os.environ["_ARGCOMPLETE"] = "2"  # how many words stand before the options
        return words
    parser = argparse.ArgumentParser(prog="stseg")
    parser.add_argument("command", choices=[*COMMANDS])
    complete(parser)
    return []


def start() -> NoReturn:
    """The console script."""
    run_command(main)


if __name__ == "__main__":
    start()
