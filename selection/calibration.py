"""The measurements of an ensemble on a labelled split, as a JSON file in ``configs/priors``.

``python -m selection.calibrate`` fits it; this module reads and applies it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from selection.evidence import Evidence
from selection.features import FEATURES, features
from selection.models import Curve, FeatureWeights, Logistic, MaskQuality, Sureness
from selection.risk import RiskCurve, expected_j, risk_curve
from stseg.config import CONFIG_FOLDER
from stseg.errors import InputError, unknown
from stseg.files import write_text
from stseg.text import read_json

FOLDER = CONFIG_FOLDER / "priors"
FORMAT = 2
LEVELS = ("videos", "objects")
"""What is said to be sure of: the selection of a whole video, and that of one object."""


@dataclass(frozen=True)
class Calibration:
    """Everything that a labelled split tells about an ensemble.

    name       of the file
    source     where it comes from: data set, split, videos, hashes, date, command
    priors     member -> J&F in (0, 1)
    curves     member -> curve from its confidence to the expected J of its mask
    quality    expected J&F of masks, or None
    chooses    tells that `quality` chooses, too; it did not gain if not, and the shipped one stays
    sureness   one of `LEVELS` -> `Sureness`; empty: nothing is said
    risk       what replacing the member of the best prior costs, or None
    """

    name: str
    source: Mapping[str, Any]
    priors: Mapping[str, float]
    curves: Mapping[str, Curve] = field(default_factory=dict)
    quality: MaskQuality | None = None
    chooses: bool = True
    sureness: Mapping[str, Sureness] = field(default_factory=dict)
    risk: RiskCurve | None = None

    def json(self) -> dict[str, Any]:
        """As it is stored."""
        stored = {
            "format": FORMAT,
            "source": dict(self.source),
            "priors": {name: round(100 * prior, 2) for name, prior in self.priors.items()},
            "confidence": {name: asdict(curve) for name, curve in self.curves.items()},
            "quality": asdict(self.quality) if self.quality else None,
            "chooses": self.chooses,
            "sureness": {key: asdict(value) for key, value in self.sureness.items()},
            "risk": [asdict(point) for point in self.risk.points] if self.risk else None,
        }
        return {key: value if key == "source" else _rounded(value) for key, value in stored.items()}

    def save(self, path: str | Path) -> None:
        """Write to ``path``, completely or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, _lines(self.json()) + "\n")


def expected_quality(evidence: Evidence, calibration: Calibration | None) -> np.ndarray:
    """``(T, C, N)`` in [0, 1]: the J&F to expect of every mask by the fitted model, or else the J
    by `selection.risk.expected_j`. NaN before an object is scored."""
    if calibration is None or calibration.quality is None:
        return expected_j(evidence)
    return calibration.quality(features(evidence))


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
            raise ValueError(f"it has format {stored['format']}, expected {FORMAT}")
        return Calibration(
            name=path.stem,
            source=stored["source"],
            priors={name: float(value) / 100 for name, value in stored["priors"].items()},
            curves={name: _curve(value) for name, value in stored["confidence"].items()},
            quality=_quality(stored["quality"]) if stored["quality"] else None,
            chooses=bool(stored["chooses"]),
            sureness={key: _sureness(stored["sureness"][key]) for key in stored["sureness"]},
            risk=risk_curve(stored["risk"]) if stored["risk"] else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"calibration {path} cannot be read ({error}): make it again with"
            " python -m selection.calibrate"
        ) from None


def _curve(value: Mapping[str, Any]) -> Curve:
    return Curve(tuple(map(float, value["x"])), tuple(map(float, value["y"])))


def _quality(value: Mapping[str, Any]) -> MaskQuality:
    if list(value["features"]) != list(FEATURES):
        raise ValueError(f"it has the features {', '.join(value['features'])}")
    weights = {
        name: FeatureWeights(float(own["level"]), float(own["relative"]))
        for name, own in value["features"].items()
    }
    numbers = (float(value[key]) for key in ("fused", "intercept", "error"))
    return MaskQuality(weights, *numbers)


def _sureness(value: Mapping[str, Any]) -> Sureness:
    best, expected = (
        Logistic(
            {name: float(own) for name, own in value[key]["weights"].items()},
            float(value[key]["intercept"]),
        )
        for key in ("best", "expected")
    )
    return Sureness(best, expected, *(float(value[key]) for key in ("low", "high", "level")))


def _rounded(value: Any) -> Any:
    """Numbers with six digits, at any depth."""
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _lines(value: Any, indent: str = "") -> str:
    """JSON with small values on one line, so that it is readable and small changes make small
    diffs."""
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
