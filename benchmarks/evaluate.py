"""CPU time of selection.evaluate and of vos-benchmark on the same 1080p masks.

    python -m venv /tmp/bench && /tmp/bench/bin/pip install vos-benchmark
    python -m benchmarks.evaluate --reference /tmp/bench/bin/python

vos-benchmark has an environment of its own because it brings another OpenCV. Makes masks of
three moving, deforming objects with ragged outlines and predictions that are now good, now
poor; runs the two in turn, as processes, with all their children; checks that they agree.
Goal: at most a fifth of vos-benchmark's CPU time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from mose.masks import write_mask

HEIGHT, WIDTH = 1080, 1920

SCENES = {
    "usual": ((0.15, 0.06, 0.02), 16),
    "large": ((0.35, 0.20, 0.12), 60),
}
"""Scene -> share of the frame that each object covers, and by how many pixels the predictions
are off at most."""

REFERENCE = """
import json, sys
from vos_benchmark.benchmark import benchmark
truth, masks, target, processes = sys.argv[1:]
_, _, _, objects = benchmark([truth], [masks], num_processes=int(processes), verbose=False)
json.dump(objects[0], open(target, "w"))
"""


def smooth_noise(rng: np.random.Generator, cells: int) -> np.ndarray:
    """``(HEIGHT, WIDTH) float32`` noise that varies over some ``WIDTH / cells`` pixels."""
    coarse = rng.standard_normal((cells * HEIGHT // WIDTH, cells)).astype(np.float32)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def draw(
    shares: tuple[float, ...], index: int, shift: float, coarse: list[np.ndarray], fine: np.ndarray
) -> np.ndarray:
    """``(HEIGHT, WIDTH) uint8``: deformed ellipses, displaced by ``shift`` pixels."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number, (share, outline) in enumerate(zip(shares, coarse, strict=True), 1):
        radius = np.sqrt(share * HEIGHT * WIDTH / np.pi)
        y = HEIGHT * (0.5 + 0.15 * np.sin(index / 9 + number)) + shift
        x = WIDTH * (0.26 * number - 0.02) + 5 * index + shift
        distance = np.hypot((rows - y) / 1.15, (columns - x) * 1.15) / radius
        ids[distance + 0.12 * np.roll(outline, 4 * index, axis=1) + 0.03 * fine < 1] = number
    return ids


def make_masks(root: Path, scene: str, videos: int, frames: int) -> None:
    """Labels ``gt/<video>`` and predictions ``pred/<video>``."""
    rng = np.random.default_rng(7)
    shares, most = SCENES[scene]
    for video in range(videos):
        coarse = [smooth_noise(rng, 24) for _ in shares]
        off = most * (video + 1) / videos
        for side in ("gt", "pred"):
            (root / side / f"video{video}").mkdir(parents=True)
        for index in range(frames):
            fine = smooth_noise(rng, 300)
            truth = draw(shares, index, 0, coarse, fine)
            rough = 0.7 * fine + 0.5 * smooth_noise(rng, 150)
            prediction = draw(shares, index, off * np.sin(index / 3), coarse, rough)
            write_mask(root / "gt" / f"video{video}" / f"{index:05d}.png", truth)
            write_mask(root / "pred" / f"video{video}" / f"{index:05d}.png", prediction)


def cpu_seconds(command: list[str]) -> float:
    """User and system time of a command and all its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def largest_difference(ours: Path, theirs: Path) -> float:
    """Between any score of any object, in [0, 1]."""
    found = json.loads(ours.read_text())["videos"]
    expected = json.loads(theirs.read_text())
    differences = []
    for video, scores in expected.items():
        for name, objects in zip(("J", "F"), scores, strict=True):
            differences += [abs(found[video][i][name] - s / 100) for i, s in objects.items()]
    return max(differences)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--reference", default=sys.executable, help="Python that has vos-benchmark")
    p.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES))
    p.add_argument("--videos", type=int, default=3)
    p.add_argument("--frames", type=int, default=27)
    p.add_argument("--repeat", type=int, default=5)
    p.add_argument("--workers", type=int, default=1)
    options = p.parse_args()
    compared = options.videos * (options.frames - 2)
    for scene in options.scenes:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            make_masks(root, scene, options.videos, options.frames)
            truth, masks, workers = str(root / "gt"), str(root / "pred"), str(options.workers)
            ours, theirs = root / "ours.json", root / "theirs.json"
            reference = [options.reference, "-c", REFERENCE, truth, masks, str(theirs), workers]
            product = [sys.executable, "-m", "selection.evaluate", masks, truth]
            product += ["--protocol", "vos-benchmark", "--json", str(ours), "--workers", workers]
            times: dict[str, list[float]] = {"vos-benchmark": [], "selection.evaluate": []}
            for _ in range(options.repeat):
                times["vos-benchmark"].append(cpu_seconds(reference))
                times["selection.evaluate"].append(cpu_seconds(product))
            print(f"{scene}: {compared} frames at {HEIGHT} x {WIDTH}, objects {SCENES[scene][0]}")
            print(f"  mean J&F {mean(ours):.3f}, differs by {largest_difference(ours, theirs):.1e}")
            medians = {name: statistics.median(seconds) for name, seconds in times.items()}
            for name, seconds in times.items():
                print(
                    f"  {name:<20}{1000 * medians[name] / compared:8.1f} ms of CPU time a frame"
                    f"  (runs: {', '.join(f'{s:.1f}' for s in seconds)} s)"
                )
            ratio = medians["selection.evaluate"] / medians["vos-benchmark"]
            print(f"  {ratio:.3f} of vos-benchmark's, 1/{1 / ratio:.1f}")


def mean(path: Path) -> float:
    return json.loads(path.read_text())["mean"]["J&F"]


if __name__ == "__main__":
    main()
