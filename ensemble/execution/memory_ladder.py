"""The out-of-memory ladder: how a member's options get lighter, step by step."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

SMALLER = 0.75
"""Share of the working size on the last step."""

DEFAULT_SIZE = 480
"""Shorter side at which the published networks work unless told otherwise."""


def lighter(
    options: Mapping[str, Any], known: Collection[str], step: int, short_side: int
) -> tuple[dict[str, Any], str]:
    """Options for a step of the ladder, and what was done in words (empty on step 0).

    options      as configured
    known        the options that the adapter has; a step that needs another one is left out
    step         0: as configured; 1: one object at a time; 2: no averaging over mirrored and
                 scaled runs either; 3: at three quarters of the size, too
    short_side   of the video, in pixels
    """
    changed = dict(options)
    done = []
    if step >= 1 and "chunk_size" in known:
        changed["chunk_size"] = 1
        done.append("one object at a time")
    if step >= 2:
        plain = {"flip": False, "flip_aug": False, "scales": (1.0,)}
        averaging = {k: v for k, v in plain.items() if k in known and k in options}
        if averaging:
            changed |= averaging
            done.append("without averaging")
    if step >= 3:
        name = next((n for n in ("size", "short_side") if n in known), None)
        if name is not None:
            given = int(options.get(name, DEFAULT_SIZE if name == "size" else short_side))
            usual = min(given if given > 0 else short_side, short_side)
            changed[name] = max(int(SMALLER * usual), 32)
            done.append(f"at {changed[name]} pixels")
    return changed, ", ".join(done)
