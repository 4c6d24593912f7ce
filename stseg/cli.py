"""What all commands share: their names in help, errors as one sentence, and exit codes."""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, NoReturn

from stseg.errors import InputError, one_line

EXIT_OK, EXIT_INCOMPLETE, EXIT_BAD_INPUT, EXIT_INTERRUPTED = 0, 1, 2, 130
"""Whole; some items failed or a check found something; nothing was done; Ctrl-C."""


_started_as: ContextVar[str | None] = ContextVar("started_as", default=None)


@contextlib.contextmanager
def started_as(name: str) -> Iterator[None]:
    """Within the block, help calls the command ``name``."""
    token = _started_as.set(name)
    try:
        yield
    finally:
        _started_as.reset(token)


class CommandParser(argparse.ArgumentParser):
    """The parser of ``python -m <module>``, whose help calls it as it was started.

    Descriptions and the drawings of folders in epilogs keep their lines. A shell that has
    asked for completion of the command ``stseg`` gets it instead of a run.
    """

    def __init__(self, module: str, description: str, epilog: str | None = None):
        super().__init__(
            prog=_started_as.get() or f"python -m {module}",
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def add_subparsers(self, **options: Any) -> Any:
        return super().add_subparsers(parser_class=argparse.ArgumentParser, **options)

    def parse_args(self, *arguments: Any, **options: Any) -> Any:
        complete(self)
        return super().parse_args(*arguments, **options)


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks how its line may go on, and end the process; else do nothing."""
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)


def run_command(command: Callable[[Sequence[str] | None], int]) -> NoReturn:
    """Run ``command(None)`` and leave the process with its exit code.

    An `InputError` or a full or forbidden disk becomes one sentence on standard error and
    exit code 2.
    """
    wait_passively()
    print_anything()
    try:
        code = command(None)
    except InputError as error:
        code = fail(str(error))
    except BrokenPipeError:  # whoever read the output has seen enough, such as head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_INCOMPLETE
    except OSError as error:
        code = fail(describe_os_error(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        code = EXIT_INTERRUPTED
    raise SystemExit(code)


def print_anything() -> None:
    """Let a terminal or file that has no sign for a character get a replacement."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def wait_passively() -> None:
    """Let OpenMP's threads give up their core while they wait for work, unless the user has said
    otherwise. Called in every process that computes, before torch is loaded there.

    Threads that spin take from other processes, and from each other, what they wait for: beside
    two busy processes a small network is ten times as slow (docs/performance.md).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def fail(message: str) -> int:
    """Print ``error: message`` on standard error; the exit code for bad input."""
    print(f"error: {one_line(message)}", file=sys.stderr)  # noqa: T201
    return EXIT_BAD_INPUT


def describe_os_error(error: OSError) -> str:
    """One sentence for an error of the operating system."""
    where = error.filename or "the output folder"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return (
            f"no space is left on the disk of {where}: free some and run the same command again,"
            " what is complete is kept"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{where} may not be written or read: change its permissions or choose another"
    return f"{where}: {error.strerror or error}"


def counted(number: int, noun: str) -> str:
    """ "1 video", "2,000 videos": of nouns that take an s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def print_status(text: str) -> None:
    """A line on standard error: what a command is doing."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def print_line(text: str = "") -> None:
    """A line on standard output: what a command is asked to print."""
    print(text, flush=True)  # noqa: T201
