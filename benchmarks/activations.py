"""Peak memory of the published networks on one video, the source of `adapters.forecast`.

    python -m benchmarks.activations [MODEL...]

Runs each network with the seeded weights of the parity tests on 6 frames of two sizes, with one
and with three objects, each in a process of its own, and prints by how much the process grew
above its size with the model loaded: in MiB, and in bytes per pixel of the working size.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import psutil

SIZES = ((240, 432), (480, 864))
FRAMES = 6
ADAPTERS = {"xmem": "xmem", "cutie-base": "cutie", "livos": "livos", "tmo-rn101": "tmo"}


def growth(model: str, height: int, width: int, objects: int) -> tuple[float, float]:
    """(MiB of the process with the model, MiB that it grows by over one video)."""
    import adapters
    from benchmarks.networks import seeded_weights
    from mose import Video

    with tempfile.TemporaryDirectory() as folder:
        weights = seeded_weights(model, Path(folder) / "weights.pth")
        segmenter = adapters.load(
            ADAPTERS[model], weights, **({} if "tmo" in model else {"size": -1})
        )
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (FRAMES, height, width, 3), np.uint8)
    ids = np.zeros((height, width), np.uint8)
    for number in range(objects):
        ids[20:120, 20 + 100 * number : 100 + 100 * number] = number + 1
    process, stop = psutil.Process(), threading.Event()
    before = peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not stop.wait(0.001):
            peak = max(peak, process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    for frame in segmenter.segment(Video.from_arrays(frames, {0: ids})):
        del frame
    stop.set()
    thread.join()
    return before / 2**20, (peak - before) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=list(ADAPTERS))
    parser.add_argument("--case", nargs=3, type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        height, width, objects = args.case
        before, more = growth(args.models[0], height, width, objects)
        each = more * 2**20 / (height * width)
        what = f"{args.models[0]} {height} x {width}, {objects} objects"
        print(f"{what}: {before:.0f} + {more:.0f} MiB, {each:.0f} bytes a pixel", flush=True)
        return
    # What is freed goes back at once, so that the peak is of what is in use.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    for model in args.models:
        for size in SIZES:
            for objects in (1, 3):
                case = [model, "--case", *map(str, (*size, objects))]
                command = [sys.executable, "-m", "benchmarks.activations", *case]
                subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    main()
