"""First planning and decoding, this tree against another, alternating in one run.

    python benchmarks/reading.py --other /path/to/another/checkout

Both trees read the same data set, made for it, each in a process of its own.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

MEASURE = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from mose.dataset import open_dataset
root = sys.argv[1]
start = time.process_time()
dataset = open_dataset(root, "valid")
for name in dataset.videos:
    video = dataset.video(name)
    video.check_prompts()
    video.fingerprint(), video.height
planned = time.process_time() - start
start = time.process_time()
for name in dataset.videos[:2]:
    for frame in dataset.video(name):
        pass
print(planned, time.process_time() - start)
"""


def measure(tree: Path, data: Path) -> tuple[float, float]:
    """Seconds of processor time of planning all videos and decoding two."""
    python = tree / ".venv/bin/python"
    out = subprocess.run(
        [str(python if python.exists() else sys.executable), "-c", MEASURE, str(data)],
        cwd=tree, env={"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    planned, decoded = map(float, out.stdout.split())
    return planned, decoded


def write_data(root: Path, videos: int, frames: int) -> None:
    """Videos of 854 x 480 with a mask on every frame."""
    import numpy as np
    from PIL import Image

    from mose.masks import write_mask

    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 255, (60, 107, 3), dtype=np.uint8))
    picture = picture.resize((854, 480))
    ids = np.zeros((480, 854), np.uint8)
    ids[100:200, 100:300], ids[250:400, 400:700] = 1, 2
    for video in range(videos):
        images, masks = (root / kind / f"v{video:03d}" for kind in ("JPEGImages", "Annotations"))
        images.mkdir(parents=True)
        masks.mkdir(parents=True)
        for frame in range(frames):
            picture.save(images / f"{frame:05d}.jpg", quality=92)
            write_mask(masks / f"{frame:05d}.png", ids)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--other", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    here = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder), 20, 40)
        taken: dict[Path, list[tuple[float, float]]] = {here: [], arguments.other: []}
        for _ in range(arguments.rounds):
            for tree, times in taken.items():
                times.append(measure(tree, Path(folder)))
    for what, column in (("planning", 0), ("decoding", 1)):
        mine, other = (statistics.median(t[column] for t in taken[tree]) for tree in taken)
        print(f"{what}: {mine:.3f} s, the other {other:.3f} s, ratio {mine / other:.3f}")


if __name__ == "__main__":
    main()
