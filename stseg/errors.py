"""The one exception that stands for bad input."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one clear sentence: what is wrong, in which file, what to do.
    Commands print it on standard error and exit with code 2; a run that meets one
    inside a single video lists the video in ``failures.json`` and goes on. Whatever a name in
    it holds, it stays on one line.
    """

    def __init__(self, message: str):
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """A text with its control characters, line ends among them, as Python writes them."""
    return "".join(repr(c)[1:-1] if unicodedata.category(c) in BREAKS else c for c in text)


BREAKS = ("Cc", "Zl", "Zp")
"""Unicode's control characters, and the ends of lines and paragraphs that are none."""


LISTED = 20
"""The number of valid names that a message lists at most."""


def unknown(kind: str, name: str, valid: Iterable[str], where: str = "") -> InputError:
    """An `InputError` for a name that does not exist, with the valid and the nearest names.

    ``kind`` is what the name stands for ("member", "split", "option"); ``where`` says
    where it was found (" in configs/default.yaml").
    """
    choices = sorted(valid)
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'? " if near else ""
    more = f" and {len(choices) - LISTED} more" if len(choices) > LISTED else ""
    valid_names = ", ".join(choices[:LISTED]) + more or "(none)"
    return InputError(f"unknown {kind} '{name}'{where}: {hint}valid are {valid_names}")
