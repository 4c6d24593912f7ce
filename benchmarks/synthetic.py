"""Frames a second of mose.synthetic on one core: ``python -m benchmarks.synthetic``.

Drawing only, then drawing and writing as a data set (JPEG frames, PNG masks).
"""

from __future__ import annotations

import argparse
import tempfile
import time

import cv2

from mose.synthetic import make_clip, write_dataset


def drawing(size: int, frames: int, clips: int, objects: int, preset: str) -> float:
    """Frames a second of CPU time of `make_clip`, scene building included.

    One thread does it all, so this is what an otherwise idle core gives.
    """
    start = time.process_time()
    for seed in range(clips):
        make_clip(seed, frames, size, size, objects, preset)
    return clips * frames / (time.process_time() - start)


def writing(size: int, frames: int, clips: int, objects: int) -> float:
    """Frames a second of `write_dataset` with one process."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        write_dataset(folder, clips, frames=frames, objects=objects, height=size, width=size)
        return clips * frames / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=30)
    parser.add_argument("--repeat", type=int, default=3, help="best of this many")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    make_clip(0, 2)  # builds the texture bank
    print("what                      size  frames  objects  frames/s")
    for preset, size, frames in (
        ("default", 192, 24),
        ("default", 192, 8),
        ("default", 192, 96),
        ("easy", 192, 24),
        ("hard", 192, 24),
        ("default", 256, 24),
        ("default", 480, 24),
    ):
        best = max(drawing(size, frames, args.clips, 3, preset) for _ in range(args.repeat))
        print(f"draw, {preset:<18} {size:>5} {frames:>7} {3:>8} {best:>9.0f}", flush=True)
    for size in (192, 256):
        best = max(writing(size, 24, args.clips, 3) for _ in range(args.repeat))
        print(f"draw and write, default  {size:>5} {24:>7} {3:>8} {best:>9.0f}", flush=True)


if __name__ == "__main__":
    main()
