"""What all commands share: errors as one sentence, and exit codes."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from stseg.errors import InputError

Item = TypeVar("Item")

EXIT_OK, EXIT_INCOMPLETE, EXIT_BAD_INPUT, EXIT_INTERRUPTED = 0, 1, 2, 130
"""Whole; some items failed or a check found something; nothing was done; Ctrl-C."""


def run_command(command: Callable[[Sequence[str] | None], int]) -> NoReturn:
    """Run ``command(None)`` and leave the process with its exit code.

    An `InputError` or a full or forbidden disk becomes one sentence on standard error and
    exit code 2.
    """
    try:
        code = command(None)
    except InputError as error:
        code = fail(str(error))
    except OSError as error:
        code = fail(describe_os_error(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        code = EXIT_INTERRUPTED
    raise SystemExit(code)


def fail(message: str) -> int:
    """Print ``error: message`` on standard error; the exit code for bad input."""
    print(f"error: {message}", file=sys.stderr)  # noqa: T201
    return EXIT_BAD_INPUT


def describe_os_error(error: OSError) -> str:
    """One sentence for an error of the operating system."""
    where = error.filename or "the output folder"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return (
            f"no space is left on the disk of {where}: free some and run the same command again,"
            " what is whole is kept"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{where} may not be written or read: change its permissions or choose another"
    return f"{where}: {error.strerror or error}"


def tell(text: str) -> None:
    """A line on standard error: what a command is doing."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def say(text: str = "") -> None:
    """A line on standard output: what a command is asked to print."""
    print(text, flush=True)  # noqa: T201
