"""What was measured of an ensemble on a labelled split, as a JSON file in ``configs/priors``.

``python -m selection.calibrate`` fits it; this module reads and applies it and needs no
fitting library. Everything in the file is plain numbers: curves are piecewise linear, models
are weighted sums.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mose.config import CONFIG_FOLDER
from mose.errors import InputError, unknown

FOLDER = CONFIG_FOLDER / "priors"
FORMAT = 1


@dataclass(frozen=True)
class Curve:
    """A piecewise linear function; constant beyond its ends. ``x`` ascends."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def __call__(self, values: np.ndarray | float) -> np.ndarray:
        return np.asarray(np.interp(values, self.x, self.y))


@dataclass(frozen=True)
class Linear:
    """A weighted sum of named features.

    names      of the features
    mean, scale   each feature is taken as ``(value - mean) / scale``
    weights, intercept
    low, high  range of each feature's mean over a video, among those it was fitted on
    error      root mean squared error on videos that it was not fitted on
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    error: float = 0.0

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """``(..., K)`` features -> ``(...)``."""
        scaled = (values - np.asarray(self.mean)) / np.asarray(self.scale)
        return scaled @ np.asarray(self.weights) + self.intercept

    def outside(self, values: np.ndarray, margin: float = 0.25) -> tuple[str, ...]:
        """Features whose mean over ``(..., K)`` lies beyond the fitted range, widened by
        ``margin`` of itself on both sides."""
        if not self.low:
            return ()
        low, high = np.asarray(self.low), np.asarray(self.high)
        means = values.reshape(-1, values.shape[-1]).mean(axis=0)
        room = margin * (high - low) + 1e-6
        beyond = (means < low - room) | (means > high + room)
        return tuple(name for name, far in zip(self.names, beyond, strict=True) if far)


@dataclass(frozen=True)
class Recommender:
    """Expected J&F of every candidate.

    linear    of `selection.features`
    offsets   candidate -> what it is worth beyond what its features say of it
    """

    linear: Linear
    offsets: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, values: np.ndarray, candidates: Sequence[str]) -> np.ndarray:
        """``(C, N, K)`` features -> ``(C, N)``."""
        own = np.asarray([self.offsets.get(name, 0.0) for name in candidates])
        return self.linear(values) + own[:, None]

    def stranger(self, candidates: Sequence[str]) -> str | None:
        """The first candidate that was not there when this was fitted."""
        return next((n for n in candidates if self.offsets and n not in self.offsets), None)


@dataclass(frozen=True)
class Sureness:
    """From what a selection knows to how sure it may be, see `selection.sureness`.

    probability    log odds that the selection is the best candidate
    expected       its J&F
    low, high      curves: expected J&F -> ends of the interval
    level          share of truths that the interval holds
    """

    probability: Linear
    expected: Linear
    low: Curve
    high: Curve
    level: float


@dataclass(frozen=True)
class Calibration:
    """Everything that a labelled split says of an ensemble.

    name          of the file
    source        where it comes from: data set, split, videos, hashes, date, command
    priors        member -> J&F in (0, 1)
    curves        member -> curve from its confidence to the expected J of its mask
    recommender   expected J&F of the candidates, or None
    sureness      ``<policy>/<granularity>/<video or object>`` -> `Sureness`
    """

    name: str
    source: Mapping[str, Any]
    priors: Mapping[str, float]
    curves: Mapping[str, Curve] = field(default_factory=dict)
    recommender: Recommender | None = None
    sureness: Mapping[str, Sureness] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "format": FORMAT,
            "source": dict(self.source),
            "priors": {name: round(100 * prior, 2) for name, prior in self.priors.items()},
            "confidence": {name: _plain(curve) for name, curve in self.curves.items()},
            "recommender": _plain(self.recommender) if self.recommender else None,
            "sureness": {key: _plain(value) for key, value in self.sureness.items()},
        }

    def save(self, path: str | Path) -> None:
        """Write to ``path``, whole or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(_lines(self.json()) + "\n", encoding="utf-8")
        partial.replace(path)


def find_calibration(name: str) -> Path:
    """The file of a calibration: a path, or a name in ``configs/priors``."""
    for path in (Path(name), FOLDER / f"{name}.json"):
        if path.is_file():
            return path.resolve()
    known = [path.stem for path in FOLDER.glob("*.json")]
    raise unknown("calibration", name, known, f" in {FOLDER}")


def load_calibration(name: str) -> Calibration:
    """Read a stored calibration, by path or by name in ``configs/priors``."""
    path = find_calibration(name)
    return _load(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _load(path: Path, changed: int) -> Calibration:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["format"] != FORMAT:
            raise ValueError(f"format {stored['format']}")
        recommender = stored.get("recommender")
        return Calibration(
            name=path.stem,
            source=stored["source"],
            priors={name: float(value) / 100 for name, value in stored["priors"].items()},
            curves={name: _curve(value) for name, value in stored["confidence"].items()},
            recommender=_recommender(recommender) if recommender else None,
            sureness={
                key: Sureness(
                    _linear(value["probability"]),
                    _linear(value["expected"]),
                    _curve(value["low"]),
                    _curve(value["high"]),
                    float(value["level"]),
                )
                for key, value in stored["sureness"].items()
            },
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"calibration {path} cannot be read ({error}): make it again with"
            " python -m selection.calibrate"
        ) from None


def _curve(value: Mapping[str, Any]) -> Curve:
    return Curve(tuple(map(float, value["x"])), tuple(map(float, value["y"])))


def _linear(value: Mapping[str, Any]) -> Linear:
    rows = value["features"]
    column = {key: tuple(float(row[key]) for row in rows) for key in ("mean", "scale", "weight")}
    ranged = bool(rows) and "low" in rows[0]
    return Linear(
        tuple(row["name"] for row in rows),
        column["mean"],
        column["scale"],
        column["weight"],
        float(value["intercept"]),
        tuple(float(row["low"]) for row in rows) if ranged else (),
        tuple(float(row["high"]) for row in rows) if ranged else (),
        float(value["error"]),
    )


def _recommender(value: Mapping[str, Any]) -> Recommender:
    offsets = value.get("offsets", {})
    return Recommender(_linear(value), {name: float(own) for name, own in offsets.items()})


def _plain(value: Curve | Linear | Recommender | Sureness) -> dict[str, Any]:
    if isinstance(value, Curve):
        return {"x": _rounded(value.x), "y": _rounded(value.y)}
    if isinstance(value, Recommender):
        offsets = dict(zip(value.offsets, _rounded(value.offsets.values()), strict=True))
        return {**_plain(value.linear), "offsets": offsets}
    if isinstance(value, Sureness):
        parts = {
            key: _plain(getattr(value, key)) for key in ("probability", "expected", "low", "high")
        }
        return {**parts, "level": value.level}
    rows = []
    for k, name in enumerate(value.names):
        row: dict[str, Any] = {"name": name}
        for key, column in (
            ("weight", value.weights),
            ("mean", value.mean),
            ("scale", value.scale),
        ):
            row[key] = _rounded([column[k]])[0]
        if value.low:
            row |= {"low": _rounded([value.low[k]])[0], "high": _rounded([value.high[k]])[0]}
        rows.append(row)
    return {
        "intercept": round(value.intercept, 6),
        "error": round(value.error, 6),
        "features": rows,
    }


def _rounded(values: Any) -> list[float]:
    return [float(f"{value:.6g}") for value in values]


def _lines(value: Any, indent: str = "") -> str:
    """JSON with what is small on one line: readable, and a small change is a small difference."""
    if isinstance(value, dict):
        if all(not isinstance(item, (dict, list)) for item in value.values()):
            return json.dumps(value)
        inner = indent + " "
        parts = [f"{inner}{json.dumps(k)}: {_lines(v, inner)}" for k, v in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        inner = indent + " "
        return "[\n" + ",\n".join(inner + _lines(item, inner) for item in value) + f"\n{indent}]"
    return json.dumps(value)
