"""Speed of finishing a video: fuse, score the candidates, write.

    python -m benchmarks.finish

Makes a 1080p video of three moving, deforming objects and the stored predictions of five
members that differ from it by noise, then finishes it on one core and prints milliseconds
per frame. Goal: at most 45 ms with ``pgmr``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

HEIGHT, WIDTH = 1080, 1920
NATIVE = (120, 216)
PADDED = (480, 864)
WINDOW = (0, 5, 480, 854)


def logits(rng: np.random.Generator, index: int, shift: np.ndarray, noise: np.ndarray):
    """Stride-4 logits ``(3, 120, 216)`` of three blobs on frame ``index``, seen by one member."""
    rows, columns = np.mgrid[: NATIVE[0], : NATIVE[1]].astype(np.float32)
    planes = []
    for n, radius in enumerate((22, 16, 11)):
        y = 30 + 28 * n + 6 * np.sin(index / 7 + n) + shift[n, 0]
        x = 50 + 50 * n + 0.6 * index + shift[n, 1]
        angle = np.arctan2(rows - y, columns - x)
        outline = radius * (1 + 0.2 * np.sin(3 * angle + index / 5) + 0.1 * np.sin(7 * angle + n))
        planes.append((outline - np.hypot(rows - y, columns - x)) * 1.2 + noise)
    return np.stack(planes).astype(np.float32)


def make_run(root: Path, frames: int, members: int) -> None:
    """A data set and stored predictions of it."""
    import cv2
    from PIL import Image

    from adapters.base import FrameMasks
    from adapters.expansion import Expansion
    from ensemble.storage.predictions import PredictionWriter
    from mose.masks import write_mask

    rng = np.random.default_rng(1)
    images = root / "data" / "JPEGImages" / "clip"
    given = root / "data" / "Annotations" / "clip"
    images.mkdir(parents=True)
    given.mkdir(parents=True)
    for index in range(frames):
        Image.new("RGB", (WIDTH, HEIGHT)).save(images / f"{index:05d}.jpg")
    said = np.full(3, 0.8, np.float32)
    expansion = Expansion("aggregate-upsample", PADDED, WINDOW)
    for member in range(members):
        shift = rng.normal(scale=0.8, size=(3, 2))
        with PredictionWriter(root / f"run/predictions/m{member}/clip", HEIGHT, WIDTH) as writer:
            for index in range(frames):
                noise = cv2.GaussianBlur(rng.normal(size=NATIVE).astype(np.float32), (0, 0), 2) * 4
                native = logits(rng, index, shift, noise)
                frame = FrameMasks(index, (1, 2, 3), said, said, native, expansion)
                if index == 0 and member == 0:
                    write_mask(given / "00000.png", frame.labels(HEIGHT, WIDTH))
                writer.add(frame)
            size = writer.commit({})
    print(f"{size / frames / 3 / 1000:.1f} KB per object and frame on disk")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--frames", type=int, default=40)
    p.add_argument("--members", type=int, default=5)
    p.add_argument("--repeat", type=int, default=5)
    p.add_argument("--rule", default="pgmr")
    p.add_argument("--no-report", action="store_true", help="without the report's stills")
    p.add_argument("--profile", action="store_true")
    arguments = p.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    from ensemble.config import FusionOptions, MemberConfig, OutputConfig, RunConfig
    from ensemble.finishing.video import FinishingContext, finish_video
    from ensemble.storage.run_directory import RunDirectory
    from mose.dataset import open_dataset

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_run(root, arguments.frames, arguments.members)
        for name in ("pseudo-labels", "masks", "selection/timelines"):
            (root / "run" / name).mkdir(parents=True)
        names = tuple(f"m{i}" for i in range(arguments.members))
        config = RunConfig(
            members=tuple(MemberConfig(n, "hold", prior=60 + 3 * i) for i, n in enumerate(names)),
            fusion=FusionOptions(rule=arguments.rule),
            output=OutputConfig(keep_soft=True, report=not arguments.no_report),
        )
        dataset = open_dataset(root / "data")
        run = RunDirectory(root / "run")

        def once() -> float:
            start = time.process_time()
            finish_video(FinishingContext(config, dataset, run), "clip", names, "key")
            return 1000 * (time.process_time() - start) / arguments.frames

        once()
        if arguments.profile:
            import cProfile
            import pstats

            with cProfile.Profile() as profile:
                once()
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)
            return
        times = [once() for _ in range(arguments.repeat)]
    print(
        f"finish with {arguments.rule}, {arguments.members} members, 3 objects, {WIDTH} x {HEIGHT},"
        f" one core: median {statistics.median(times):.1f} ms per frame"
        f" (min {min(times):.1f}, max {max(times):.1f})"
    )


if __name__ == "__main__":
    main()
