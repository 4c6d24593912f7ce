"""How far a command is: one line that renews itself, by tqdm."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

Item = TypeVar("Item")

RUNNING = "{desc} {n_fmt}/{total_fmt}, {elapsed}, {remaining} to go{postfix}"
ENDED = "{desc} {n_fmt}/{total_fmt} in {elapsed_s:.1f} s{postfix}"

ON_A_TERMINAL, ELSEWHERE = 0.1, 10.0
"""Seconds between two lines."""


class Progress:
    """One line that renews itself on a terminal; a plain line now and then elsewhere.

    Written to standard error, so that standard output holds results only.
    """

    def __init__(self, total: int, label: str, stream: TextIO | None = None):
        from tqdm import tqdm  # 40 ms, which --help need not take

        stream = stream or sys.stderr
        live = stream.isatty()
        interval = ON_A_TERMINAL if live else ELSEWHERE
        self._bar = tqdm(
            total=total,
            desc=label,
            position=0,  # a bar that an error left open must not push this one down
            file=stream if live else _Lines(stream),
            mininterval=interval,
            miniters=1,
            delay=0 if live else interval,  # on a terminal the first line comes at once
            smoothing=0,  # items differ much: the mean over all foretells best
            bar_format=RUNNING,
            dynamic_ncols=live,
        )

    @property
    def done(self) -> int:
        return int(self._bar.n)

    def advance(self, count: int = 1, note: str = "") -> None:
        """``count`` more items are done; ``note`` is shown behind the figures."""
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(count)

    def reach(self, count: int, note: str = "") -> None:
        """``count`` items are done in all, which may be fewer than before."""
        self.advance(count - self.done, note)

    def close(self, note: str = "") -> None:
        """Show the final state and end the line."""
        self._bar.bar_format = ENDED
        self._bar.delay = 0
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.close()


class _Lines:
    """A file that gets what tqdm writes over one line as lines."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> None:
        if line := text.strip():
            self._stream.write(f"{line}\n")

    def flush(self) -> None:
        self._stream.flush()


def progress(items: Iterable[Item], total: int, label: str) -> Iterator[Item]:
    """Iterate with a `Progress` line."""
    bar = Progress(total, label)
    for item in items:
        yield item
        bar.advance()
    bar.close()
