"""Image and motion statistics of synthetic clips beside those of real, labelled ones.

``python -m benchmarks.realism --dataset ../shared/clips/davis2016-train``

    DATASET/JPEGImages/<video>/00000.jpg   frames
    DATASET/Annotations/<video>/00000.png  a mask of the foreground on every frame

Both at 192 pixels height, 24 frames; synthetic clips have one object. Printed are the 10th,
50th and 90th percentiles over clips of each clip's mean.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from mose.masks import read_mask
from mose.synthetic import make_clip
from mose.video import open_video

HEIGHT, WIDTH, FRAMES = 192, 300, 24

NAMES = (
    "brightness",
    "contrast (std)",
    "saturation",
    "gradient, mean",
    "gradient, 99 %",
    "spectral slope (power)",
    "gradient on the border",
    "gradient inside",
    "gradient outside",
    "colour step at the border",
    "object area, share",
    "movement, share of size",
    "overlap with last frame",
)


def features(frames: Iterable[np.ndarray], masks: Iterable[np.ndarray]) -> np.ndarray:
    """The statistics of a clip, in the order of `NAMES`."""
    rows = []
    middle, previous = np.full(2, np.nan), None
    for frame, ids in zip(frames, masks, strict=True):
        mask = (ids > 0).astype(np.uint8)
        inside = mask > 0
        grown, shrunk = (f(mask, np.ones((5, 5), np.uint8)) > 0 for f in (cv2.dilate, cv2.erode))
        around = (cv2.dilate(mask, np.ones((21, 21), np.uint8)) > 0) & ~inside
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
        slopes = [np.abs(cv2.Sobel(grey, cv2.CV_32F, *d)) / 8 for d in ((1, 0), (0, 1))]
        gradient = slopes[0] + slopes[1]
        here = np.argwhere(inside).mean(0) if inside.any() else np.full(2, np.nan)
        overlap = np.nan
        if previous is not None:
            overlap = (inside & previous).sum() / max(1, (inside | previous).sum())
        rows.append(
            (
                grey.mean(),
                grey.std(),
                cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)[..., 1].mean(),
                gradient.mean(),
                np.percentile(gradient, 99),
                _spectral_slope(grey),
                _mean(gradient, grown & ~shrunk),
                _mean(gradient, shrunk),
                _mean(gradient, ~grown),
                np.linalg.norm(_mean(frame, inside) - _mean(frame, around)),
                inside.mean(),
                np.linalg.norm(here - middle) / np.sqrt(grey.size),
                overlap,
            )
        )
        middle, previous = here, inside
    return np.nanmean(np.array(rows, float), axis=0)


def _mean(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    return values[where].mean(0) if where.any() else np.full(values.shape[2:], np.nan)


def _spectral_slope(grey: np.ndarray) -> float:
    """Exponent of the radial power spectrum: about -2 to -3 in photographs."""
    window = np.outer(np.hanning(grey.shape[0]), np.hanning(grey.shape[1]))
    power = np.abs(np.fft.fft2((grey - grey.mean()) * window)) ** 2
    radius = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n) for n in grey.shape), indexing="ij"))
    edges = np.geomspace(0.02, 0.4, 9)
    bands = [power[(radius >= a) & (radius < b)].mean() for a, b in pairwise(edges)]
    return float(np.polyfit(np.log(np.sqrt(edges[1:] * edges[:-1])), np.log(bands), 1)[0])


def real(folder: Path) -> np.ndarray:
    """`features` of a real clip, scaled to the common height."""
    video = open_video(folder)
    count = min(FRAMES, len(video))
    wide = round(video.width * HEIGHT / video.height)
    masks = folder.parents[1] / "Annotations" / folder.name
    names = video.frame_names[:count]
    return features(
        (cv2.resize(video[i], (wide, HEIGHT), interpolation=cv2.INTER_AREA) for i in range(count)),
        (cv2.resize(read_mask(masks / f"{n}.png"), (wide, HEIGHT), interpolation=0) for n in names),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=60, help="synthetic ones")
    parser.add_argument("--preset", default="default")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    folders = sorted((args.dataset / "JPEGImages").iterdir())
    clips = (make_clip(s, FRAMES, HEIGHT, WIDTH, 1, args.preset) for s in range(args.clips))
    tables = [
        np.nanpercentile(rows, (10, 50, 90), axis=0)
        for rows in (
            [real(folder) for folder in folders],
            [features(clip.frames, clip.labels) for clip in clips],
        )
    ]
    print(f"{'':<28}{'real, 10 / 50 / 90 %':>28}{'synthetic':>28}")
    for k, name in enumerate(NAMES):
        cells = ["".join(f"{v:9.3f}" for v in table[:, k]) for table in tables]
        print(f"{name:<28}{cells[0]:>28}{cells[1]:>28}")


if __name__ == "__main__":
    main()
