"""The number in a frame's name: ``00012``, ``frame_00012``, ``P01_frame_0012``, ``IMG_12_x``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_DIGITS = re.compile(r"([0-9]+)")


@dataclass(frozen=True)
class Numbering:
    """Which number each name has.

    numbers   name without suffix -> its number
    odd       names without a number, or that are built otherwise than the rest
    """

    numbers: Mapping[str, int]
    odd: tuple[str, ...] = ()


def is_number(stem: str) -> bool:
    """Whether a name is a number and nothing else."""
    return stem.isascii() and stem.isdigit()


def number_names(stems: Sequence[str]) -> Numbering:
    """The numbers of the names of one folder.

    Names are numbers alone, or all of one pattern: the same text around numbers, of which one
    tells all names apart. Where several do, they must put the names in the same order; the
    first of them counts.
    """
    plain = {stem: int(stem) for stem in stems if is_number(stem)}
    if plain or not stems:
        return Numbering(plain, tuple(stem for stem in stems if stem not in plain))
    parts = {stem: _DIGITS.split(stem) for stem in stems}
    patterns: dict[tuple[str, ...], list[str]] = {}
    for stem, pieces in parts.items():
        patterns.setdefault(tuple(pieces[::2]), []).append(stem)
    pattern, alike = max(patterns.items(), key=lambda item: len(item[1]))
    odd = tuple(stem for stem in stems if stem not in set(alike))
    columns = [[int(parts[s][2 * n + 1]) for s in alike] for n in range(len(pattern) - 1)]
    if len(alike) == 1:
        chosen = columns[-1:]  # one name alone: a camera's or a sequence's number comes first
    else:
        chosen = [column for column in columns if len(set(column)) == len(alike)]
        orders = {tuple(sorted(range(len(alike)), key=column.__getitem__)) for column in chosen}
        chosen = chosen[:1] if len(orders) == 1 else []
    if not chosen:
        return Numbering({}, tuple(stems))
    return Numbering(dict(zip(alike, chosen[0], strict=True)), odd)


def matched(stems: Sequence[str], frames: Mapping[str, int]) -> Numbering:
    """The numbers of masks beside frames of known numbers: a mask with a frame's name has its
    number, the rest have the numbers that their own names say."""
    same = {stem: frames[stem] for stem in stems if stem in frames}
    rest = [stem for stem in stems if stem not in same]
    own = number_names(rest)
    if own.odd and same and not any(map(is_number, rest)):
        own = number_names(stems)
    return Numbering({**own.numbers, **same}, tuple(s for s in own.odd if s not in same))
