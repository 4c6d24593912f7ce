"""A small labelled run with stored predictions of made-up members, for studies."""

from pathlib import Path

import cv2
import numpy as np
import yaml
from PIL import Image

from adapters.base import FrameMasks
from adapters.expansion import Expansion
from ensemble.storage.predictions import PredictionWriter
from mose.masks import write_mask

SIDE = 48
MEMBERS = {"strong": (0.6, 70.0), "middle": (1.6, 60.0), "weak": (3.0, 50.0)}
"""Name -> how far its masks wander, in pixels, and its prior."""


def truth(rng, frames):
    """``(frames, SIDE, SIDE) uint8``: two discs that move, the second leaves half way in some."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    starts, speeds = rng.uniform(12, 36, (2, 2)), rng.uniform(-1, 1, (2, 2))
    leaves = rng.random() < 0.3
    out = np.zeros((frames, SIDE, SIDE), np.uint8)
    for t in range(frames):
        for n in range(2):
            if n == 1 and leaves and t > frames // 2:
                continue
            y, x = np.clip(starts[n] + speeds[n] * t, 8, 40)
            out[t][np.hypot(rows - y, columns - x) < 7 - n] = n + 1
    return out


def make_run(root: Path, videos: int = 10, frames: int = 5, seed: int = 0) -> Path:
    """A data set in ``root/data`` and a run over it in ``root/run``; returns the run."""
    for number in range(videos):
        rng = np.random.default_rng([seed, number])
        name = f"v{number:02d}"
        labels = truth(rng, frames)
        for kind in ("JPEGImages", "Annotations", "Labels"):
            (root / "data" / kind / name).mkdir(parents=True)
        for t, ids in enumerate(labels):
            image = np.stack([40 + 90 * (ids == 1), 60 + 90 * (ids == 2), 80 + 0 * ids], axis=-1)
            path = root / "data/JPEGImages" / name / f"{t:05d}.jpg"
            Image.fromarray(image.astype(np.uint8)).save(path)
            write_mask(root / "data/Labels" / name / f"{t:05d}.png", ids)
        write_mask(root / "data/Annotations" / name / "00000.png", labels[0])
        for member, (wander, _) in MEMBERS.items():
            _predict(root / "run/predictions" / member / name, labels, rng, wander)
    config = {
        "data": {"dataset": str(root / "data"), "split": "test", "labels": "Labels"},
        "members": [
            {"name": name, "adapter": "hold", "prior": prior}
            for name, (_, prior) in MEMBERS.items()
        ],
        "output": {"keep_soft": True},
    }
    (root / "run/config.yaml").write_text(yaml.safe_dump(config))
    return root / "run"


def _predict(folder, labels, rng, wander):
    """Masks that drift away from the true ones; how far is drawn per video."""
    shift, drift = np.zeros(2), rng.normal(scale=wander * rng.lognormal(sigma=0.7) / 2, size=2)
    with PredictionWriter(folder, SIDE, SIDE) as writer:
        for t, ids in enumerate(labels):
            move = np.float32([[1, 0, shift[1]], [0, 1, shift[0]]])
            planes = np.stack([
                cv2.GaussianBlur(cv2.warpAffine((ids == n).astype(np.float32), move, (SIDE, SIDE)),
                                 (0, 0), 1.0)
                for n in (1, 2)
            ])  # fmt: skip
            quality = float(np.exp(-np.hypot(*shift) / 6))
            confidence = np.clip(rng.normal(0.3 + 0.6 * quality, 0.05, 2), 0.05, 1)
            present = planes.max(axis=(1, 2))
            writer.add(FrameMasks(t, (1, 2), present.astype(np.float32),
                                  confidence.astype(np.float32), planes,
                                  Expansion("probability")))  # fmt: skip
            shift = shift + drift
        writer.commit({"key": "made up"})
