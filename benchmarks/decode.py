"""What sharing decoded frames on a node could save: ``python -m benchmarks.decode``.

Three ways to have the next 1080p frame: decode its JPEG, decode it in threads beside the model
(`mose.prefetch`, as workers do), copy it from shared memory where another member had put it
(the best case of a cache: nothing is counted for filling it). The model is a wait, as a GPU is
for the worker's cores.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mose.prefetch import prefetched
from mose.video import Video, open_video


def make_frames(folder: Path, frames: int) -> Video:
    """Natural enough for a JPEG decoder: coarse structure and some noise."""
    rng = np.random.default_rng(0)
    for index in range(frames):
        coarse = rng.integers(0, 255, (34, 60, 3), np.uint8)
        frame = cv2.resize(coarse, (1920, 1080), interpolation=cv2.INTER_CUBIC)
        noise = rng.normal(0, 6, frame.shape)
        image = np.clip(frame + noise, 0, 255).astype(np.uint8)
        Image.fromarray(image).save(folder / f"{index:05d}.jpg", quality=90)
    return open_video(folder)


def per_frame(frames: Callable[[], Iterator[np.ndarray]], model: float) -> tuple[float, float]:
    """Seconds of the clock and of CPU per frame of a model that takes ``model`` of the former."""
    start, cpu = time.perf_counter(), time.process_time()
    count = 0
    for _ in frames():
        count += 1
        if model:
            time.sleep(model)
    return (time.perf_counter() - start) / count, (time.process_time() - cpu) / count


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--fps", type=float, nargs="+", default=[91.0, 39.5])
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.NamedTemporaryFile(dir="/dev/shm") as shared,
    ):
        video = make_frames(Path(folder), args.frames)
        shape = (args.frames, 1080, 1920, 3)
        cache = np.memmap(shared.name, np.uint8, "w+", shape=shape)
        for index, frame in enumerate(video):
            cache[index] = frame

        def ahead() -> Iterator[np.ndarray]:
            with prefetched(video, 4) as frames:
                yield from frames

        def from_cache() -> Iterator[np.ndarray]:
            return (np.array(frame) for frame in cache)

        ways = {"decode": video.__iter__, "decode ahead": ahead, "shared memory": from_cache}
        print(f"{args.frames} frames of 1080p, median of {args.repeat}, ms a frame (of CPU)")
        for model in [0.0, *(1 / fps for fps in args.fps)]:
            times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
            for _ in range(args.repeat):  # in turn, so that the machine's load hits all alike
                for name, frames in ways.items():
                    times[name].append(per_frame(frames, model))
            medians = {n: 1000 * np.median(t, axis=0) for n, t in times.items()}
            told = ", ".join(f"{n} {clock:.1f} ({cpu:.1f})" for n, (clock, cpu) in medians.items())
            print(f"model {1000 * model:.1f}: {told}")


if __name__ == "__main__":
    main()
