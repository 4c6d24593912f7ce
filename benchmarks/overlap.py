"""What letting objects overlap costs: ``python -m benchmarks.overlap``.

One 1080p video of 12 frames with three objects is finished from two stored predictions in the
form of XMem (logits at stride 4), with and without ``output.overlap``, each in a process of its
own. Printed are seconds per frame, the largest memory of the process and the size of the run
folder without the predictions, and with them.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from adapters.base import FrameMasks
from adapters.expansion import Expansion
from ensemble.config import ExecutionConfig, MemberConfig, OutputConfig, RunConfig
from ensemble.finishing.video import FinishingContext, finish_video
from ensemble.storage.predictions import PredictionWriter
from ensemble.storage.run_directory import RunDirectory
from mose.dataset import open_dataset
from mose.masks import write_mask

HEIGHT, WIDTH, FRAMES, OBJECTS = 1080, 1920, 12, 3
PADDED = (1088, 1920)


def native(frame: int, member: int) -> np.ndarray:
    """``(3, 272, 480) float32`` logits of discs that overlap and move."""
    rows, columns = np.mgrid[: PADDED[0] // 4, : PADDED[1] // 4]
    planes = []
    for number in range(OBJECTS):
        middle = 130 + 8 * number, 160 + 50 * number + 3 * frame + member
        distance = np.hypot(rows - middle[0], columns - middle[1])
        planes.append((60 - distance + 2 * np.sin(rows / 5 + number)) / 3)
    return np.asarray(planes, np.float32).clip(-20, 20)


def write(root: Path) -> None:
    images, masks = root / "data" / "JPEGImages" / "v", root / "data" / "Annotations" / "v"
    images.mkdir(parents=True)
    masks.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (90, 160, 3), dtype=np.uint8)
    picture = cv2.resize(noise, (WIDTH, HEIGHT))
    for frame in range(FRAMES):
        Image.fromarray(picture).save(images / f"{frame:05d}.jpg")
    expansion = Expansion("upsample-aggregate", PADDED, (0, 0, HEIGHT, WIDTH))
    sure = np.ones(OBJECTS, np.float32)
    for member in (0, 1):
        folder = root / "run" / "predictions" / f"m{member}" / "v"
        with PredictionWriter(folder, HEIGHT, WIDTH) as writer:
            for index in range(FRAMES):
                frame = FrameMasks(index, (1, 2, 3), sure, sure, native(index, member), expansion)
                if not index and not member:
                    write_mask(masks / "00000.png", frame.labels(HEIGHT, WIDTH))
                writer.add(frame)
            writer.commit({})


def finish(root: Path, overlap: bool) -> dict[str, float]:
    members = tuple(MemberConfig(name=f"m{n}", adapter="folder") for n in (0, 1))
    output = OutputConfig(keep_soft=True, overlap=overlap)
    config = RunConfig(members=members, output=output, execution=ExecutionConfig())
    context = FinishingContext(config, open_dataset(root / "data"), RunDirectory(root / "run"))
    start = time.perf_counter()
    finish_video(context, "v", ("m0", "m1"), "key")
    seconds = (time.perf_counter() - start) / FRAMES
    sizes = {p: p.stat().st_size for p in (root / "run").rglob("*") if p.is_file()}
    soft = sum(size for path, size in sizes.items() if "predictions" in path.parts)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    whole = sum(sizes.values())
    return {"s/frame": seconds, "MB memory": peak, "KB run": (whole - soft) / 1024,
            "KB with predictions": whole / 1024}  # fmt: skip


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(finish(Path(sys.argv[1]), sys.argv[2] == "overlap")))
        return
    found = {}
    for mode in ("exclusive", "overlap"):
        with tempfile.TemporaryDirectory() as root:
            for made in ("selection/timelines", "report/frames"):
                (Path(root) / "run" / made).mkdir(parents=True)
            write(Path(root))
            command = [sys.executable, "-m", "benchmarks.overlap", root, mode]
            found[mode] = json.loads(subprocess.run(command, check=True, stdout=-1).stdout)
    for name, value in found["exclusive"].items():
        other = found["overlap"][name]
        print(f"{name:>20}  {value:9.2f}  {other:9.2f}  {other / value:5.2f} x")


if __name__ == "__main__":
    main()
