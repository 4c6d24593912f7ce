"""The measurements of an ensemble on a labelled split, as a JSON file in ``configs/priors``.

``python -m selection.calibrate`` fits it; this module reads and applies it and needs no
fitting library.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from selection.models import Curve, Linear, Recommender, Sureness, Tree
from selection.risk import RiskCurve, risk_curve
from stseg.config import CONFIG_FOLDER
from stseg.errors import InputError, unknown
from stseg.files import write_text
from stseg.text import read_json

FOLDER = CONFIG_FOLDER / "priors"
FORMAT = 1


@dataclass(frozen=True)
class Calibration:
    """Everything that a labelled split tells about an ensemble.

    name          of the file
    source        where it comes from: data set, split, videos, hashes, date, command
    priors        member -> J&F in (0, 1)
    curves        member -> curve from its confidence to the expected J of its mask
    recommender   expected J&F of the candidates, or None
    sureness      ``<policy>/<granularity>/<video or object>`` -> `Sureness`
    risk          what replacing the member of the best prior costs, or None
    """

    name: str
    source: Mapping[str, Any]
    priors: Mapping[str, float]
    curves: Mapping[str, Curve] = field(default_factory=dict)
    recommender: Recommender | None = None
    sureness: Mapping[str, Sureness] = field(default_factory=dict)
    risk: RiskCurve | None = None

    def json(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "format": FORMAT,
            "source": dict(self.source),
            "priors": {name: round(100 * prior, 2) for name, prior in self.priors.items()},
            "confidence": {name: _plain(curve) for name, curve in self.curves.items()},
            "recommender": _plain(self.recommender) if self.recommender else None,
            "sureness": {key: _plain(value) for key, value in self.sureness.items()},
            "risk": [asdict(point) for point in self.risk.points] if self.risk else None,
        }

    def save(self, path: str | Path) -> None:
        """Write to ``path``, completely or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, _lines(self.json()) + "\n")


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
        stored = read_json(path, "calibration")
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
            risk=risk_curve(stored["risk"]) if stored.get("risk") else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
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
    linear = _linear(value)
    offsets, gains = (
        {name: float(own) for name, own in value.get(key, {}).items()}
        for key in ("offsets", "gains")
    )
    trees = tuple(_tree(rows, linear.names) for rows in value.get("trees", ()))
    return Recommender(linear, offsets, trees, gains)


def _tree(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> Tree:
    feature, threshold, low, high, value = zip(*rows, strict=True)
    for at, name in enumerate(feature):
        if name is not None and not all(at < row < len(rows) for row in (low[at], high[at])):
            raise ValueError(f"row {at} of a tree leads nowhere")
    return Tree(
        tuple(-1 if name is None else names.index(name) for name in feature),
        tuple(map(float, threshold)),
        tuple(map(int, low)),
        tuple(map(int, high)),
        tuple(map(float, value)),
    )


def _plain(value: Curve | Linear | Recommender | Sureness) -> dict[str, Any]:
    if isinstance(value, Curve):
        return {"x": _rounded(value.x), "y": _rounded(value.y)}
    if isinstance(value, Recommender):
        names = value.linear.names
        return {
            **_plain(value.linear),
            "offsets": dict(zip(value.offsets, _rounded(value.offsets.values()), strict=True)),
            "gains": dict(zip(value.gains, _rounded(value.gains.values()), strict=True)),
            "trees": [
                [
                    [None if at < 0 else names[at], *_rounded([limit]), low, high, *_rounded([own])]
                    for at, limit, low, high, own in zip(
                        tree.feature, tree.threshold, tree.low, tree.high, tree.value, strict=True
                    )
                ]
                for tree in value.trees
            ],
        }
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
    """JSON with small values on one line, so that it is readable and small changes make small
    diffs."""
    if isinstance(value, dict):
        if all(not isinstance(item, (dict, list)) for item in value.values()):
            return json.dumps(value)
        inner = indent + " "
        parts = [f"{inner}{json.dumps(k)}: {_lines(v, inner)}" for k, v in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    deep = isinstance(value, list) and any(
        isinstance(item, dict) or (isinstance(item, list) and isinstance(item[0], list))
        for item in value
    )
    if deep:
        inner = indent + " "
        return "[\n" + ",\n".join(inner + _lines(item, inner) for item in value) + f"\n{indent}]"
    return json.dumps(value)
