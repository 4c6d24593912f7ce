"""What all commands share: errors as one sentence, exit codes, progress."""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NoReturn, TextIO, TypeVar

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


def say(text: str = "") -> None:
    """A line on standard output: what a command is asked to print."""
    print(text, flush=True)  # noqa: T201


class Progress:
    """One line that renews itself on a terminal; a plain line now and then elsewhere.

    Written to standard error, so that standard output holds results only.
    """

    def __init__(self, total: int, label: str, stream: TextIO | None = None):
        self.total, self.label, self.done = total, label, 0
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._interval = 0.1 if self._live else 10.0
        self._start = self._last = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        """``count`` more items are done; ``note`` is shown behind the figures."""
        self.done += count
        now = time.monotonic()
        if now - self._last >= self._interval:
            self._last = now
            self._show(now, note)

    def _show(self, now: float, note: str) -> None:
        elapsed = now - self._start
        left = elapsed / self.done * (self.total - self.done) if self.done else float("nan")
        line = f"{self.label} {self.done}/{self.total}, {elapsed:.0f} s, {left:.0f} s to go"
        line = f"{line}  {note}" if note else line
        self._stream.write(f"\r\x1b[2K{line}" if self._live else f"{line}\n")
        self._stream.flush()

    def close(self, note: str = "") -> None:
        """Show the final state and end the line."""
        elapsed = time.monotonic() - self._start
        line = f"{self.label} {self.done}/{self.total} in {elapsed:.1f} s"
        line = f"{line}  {note}" if note else line
        self._stream.write(f"\r\x1b[2K{line}\n" if self._live else f"{line}\n")
        self._stream.flush()


def progress(items: Iterable[Item], total: int, label: str) -> Iterator[Item]:
    """Iterate with a `Progress` line."""
    bar = Progress(total, label)
    for item in items:
        yield item
        bar.advance()
    bar.close()
