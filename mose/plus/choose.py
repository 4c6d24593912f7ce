"""Which clips are taken: exclusions, near duplicates, a weighted rank, budgets."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mose.plus.clip import BrokenClip, SourceClip
from mose.plus.measures import MEASURED, Measures, distance
from mose.readers.lists import NameList, read_names
from stseg.errors import InputError, unknown
from stseg.text import load_yaml

SOURCES = ("mose", "burst", "ovis", "youtube-vis", "davis")


@dataclass(frozen=True)
class PlusConfig:
    """How MOSE+ is made; ``configs/mose_plus.yaml``.

    longest_side   larger frames are shrunk to it; 0: as they are
    min_frames     shorter clips are left out
    weights        of each measure in a clip's rank
    budgets        source -> at most this many clips are taken from it; a source that is missing
                   here has no limit
    least_score    clips of a lower rank are left out, except those of sources in ``keep``
    keep           sources of which every usable clip is taken
    duplicates     clips whose fingerprints differ in fewer of 192 bits are the same
    exclude        files that list evaluation videos, one name or ``source/name`` a line
    seed           of the order among equal clips
    """

    longest_side: int = 1280
    min_frames: int = 8
    weights: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(MEASURED, 1.0))
    budgets: Mapping[str, int] = field(default_factory=dict)
    least_score: float = 0.5
    keep: tuple[str, ...] = ("mose",)
    duplicates: int = 12
    exclude: tuple[str, ...] = ()
    seed: int = 0


def load_config(path: str | Path) -> PlusConfig:
    """Read a configuration; an unknown key is named together with the nearest valid one."""
    path = Path(path)
    values = load_yaml(path) or {}
    fields = PlusConfig.__dataclass_fields__
    if not isinstance(values, dict):
        raise InputError(f"configuration {path} is no mapping: expected lines like 'seed: 0'")
    for key in values:
        if key not in fields:
            raise unknown("key", str(key), fields, f" in {path}")
    for key, valid in (("weights", MEASURED), ("budgets", SOURCES)):
        for name in values.get(key) or {}:
            if name not in valid:
                raise unknown(f"entry of {key}", str(name), valid, f" in {path}")
    for key in ("keep", "exclude"):
        if key in values:
            values[key] = tuple(values[key] or ())
    # Lists of evaluation videos lie beside the configuration unless absolute.
    values["exclude"] = tuple(
        str(path.parent / name) if not Path(name).is_absolute() else name
        for name in values.get("exclude", ())
    )
    return PlusConfig(**values)


@dataclass(frozen=True)
class Guards:
    """Lists of evaluation videos, and the clips that they keep out."""

    lists: tuple[NameList, ...]

    def split(
        self, clips: Sequence[SourceClip | BrokenClip]
    ) -> tuple[list[SourceClip | BrokenClip], list[SourceClip | BrokenClip]]:
        """The clips that may come in, and those on a list: by name, by its last part, or with
        the source before it, in any case of letters. `InputError` for an entry that means no
        clip: what it was to keep out might be trained on."""
        meant: set[str] = set()
        spelt = [name for clip in clips for name in _spellings(clip)]
        for names in self.lists:
            matched = names.matched(spelt)
            if matched.nowhere:
                raise InputError(
                    f"list {names.path} of evaluation videos: {len(matched.nowhere)} of"
                    f" {len(names.entries)} entries mean no clip of the sources"
                    f" ({', '.join(matched.nowhere[:5])}), so they would keep nothing out: mend or"
                    " remove them"
                )
            meant.update(matched.names)
        kept_out = [clip for clip in clips if meant & set(_spellings(clip))]
        return [clip for clip in clips if not meant & set(_spellings(clip))], kept_out


def read_guards(paths: Iterable[str | Path]) -> Guards:
    """Lists of evaluation videos; `InputError` for one that cannot be read."""
    return Guards(tuple(read_names(path, "list of evaluation videos") for path in paths))


def _spellings(clip: SourceClip | BrokenClip) -> tuple[str, str, str]:
    return clip.name, clip.name.rsplit("/", 1)[-1], f"{clip.source}/{clip.name}"


@dataclass(frozen=True)
class Decision:
    """The decision on a clip: its rank in [0, 1], whether it is taken, and why."""

    score: float
    kept: bool
    reason: str


@dataclass(frozen=True)
class MeasuredClip:
    """A clip to decide on."""

    source: str
    name: str
    measures: Measures


def choose(clips: Sequence[MeasuredClip], config: PlusConfig) -> list[Decision]:
    """Decide on every clip.

    A clip's score is the weighted mean of its percentile ranks, over all clips of the build,
    in each measure (ties share their mean rank).
    """
    measured = [clip.measures for clip in clips]
    scores = rank_scores(measured, config.weights)
    shuffled = list(range(len(clips)))
    random.Random(config.seed).shuffle(shuffled)
    order = sorted(shuffled, key=lambda i: -scores[i])
    decisions: dict[int, Decision] = {}
    taken: dict[str, int] = {}
    prints: list[tuple[str, str]] = []
    ranks = {measure: _percentile(measured, measure) for measure in MEASURED}
    for i in order:
        source, name, score = clips[i].source, clips[i].name, scores[i]
        fingerprint, frames = measured[i].fingerprint, measured[i].frames
        same = (n for p, n in prints if distance(p, fingerprint) < config.duplicates)
        twin = next(same, None)
        if frames < max(config.min_frames, 2):
            reason = f"{frames} frames, fewer than {max(config.min_frames, 2)}"
        elif twin is not None:
            reason = f"near duplicate of {twin}"
        elif source not in config.keep and score < config.least_score:
            reason = f"score {score:.3f} below {config.least_score}"
        elif taken.get(source, 0) >= config.budgets.get(source, len(clips)):
            reason = f"budget of {config.budgets[source]} clips of {source} is used up"
        else:
            taken[source] = taken.get(source, 0) + 1
            prints.append((fingerprint, f"{source}/{name}"))
            best = max(MEASURED, key=lambda measure: ranks[measure][i])
            decisions[i] = Decision(score, True, f"score {score:.3f}, most for its {best}")
            continue
        decisions[i] = Decision(score, False, reason)
    return [decisions[i] for i in range(len(clips))]


def rank_scores(measured: Sequence[Measures], weights: Mapping[str, float]) -> np.ndarray:
    """``(clips,)`` in [0, 1]."""
    total = sum(weights.values())
    if not measured or total <= 0:
        return np.zeros(len(measured))
    parts = [weight * _percentile(measured, name) for name, weight in weights.items()]
    return np.sum(parts, axis=0) / total


def _percentile(measured: Sequence[Measures], name: str) -> np.ndarray:
    values = np.asarray([float(getattr(measures, name)) for measures in measured])
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    ranks = (last - (counts - 1) / 2 - 1)[inverse]
    return ranks / max(len(values) - 1, 1)
