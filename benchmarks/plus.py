"""Throughput of `python -m mose.plus build`: clips a minute, 1080p in and 720p out.

    python -m benchmarks.plus [--clips 6] [--frames 40]

Makes a MOSE-like source of 1080p clips, builds from it with two processes, and prints clips
per minute and the peak memory of the largest worker for half and for all of the frames.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image


def make_source(root: Path, clips: int, frames: int) -> None:
    """Clips of moving textured blobs over a textured background, at 1080p."""
    from mose.masks import write_mask

    rng = np.random.default_rng(0)
    for clip in range(clips):
        texture = rng.integers(0, 255, (68, 120, 3), dtype=np.uint8)
        back = cv2.resize(texture, (1920, 1080), interpolation=cv2.INTER_CUBIC)
        for kind in ("JPEGImages", "Annotations"):
            (root / f"train/{kind}/v{clip}").mkdir(parents=True)
        for t in range(frames):
            image = np.roll(back, 3 * t, axis=1)
            ids = np.zeros((1080, 1920), np.uint8)
            for n in range(3):
                centre = (300 + 450 * n + 6 * t, 400 + 120 * n)
                cv2.ellipse(ids, centre, (150, 90), 20 * n + t, 0, 360, n + 1, -1)
            image[ids > 0] = 255 - image[ids > 0]
            path = root / f"train/JPEGImages/v{clip}/{t:05d}.jpg"
            Image.fromarray(image).save(path, quality=90)
            write_mask(root / f"train/Annotations/v{clip}/{t:05d}.png", ids)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--clips", type=int, default=6)
    p.add_argument("--frames", type=int, default=40)
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        config = root / "c.yaml"
        config.write_text("longest_side: 1280\nduplicates: 0\n")
        for frames in (a.frames // 2, a.frames):
            source, out = root / f"source{frames}", root / f"out{frames}"
            make_source(source, a.clips, frames)
            arguments = ["--mose", str(source), "--output", str(out), "--config", str(config)]
            command = [sys.executable, "-m", "mose.plus", "build", *arguments, "--processes", "2"]
            start = time.monotonic()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds = time.monotonic() - start
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            print(
                f"{a.clips} clips of {frames} frames, 1920 x 1080 to 1280 x 720: {seconds:.1f} s,"
                f" {60 * a.clips / seconds:.1f} clips a minute,"
                f" {a.clips * frames / seconds:.1f} frames a second, peak {peak:.0f} MiB"
            )


if __name__ == "__main__":
    main()
