"""Speed of the selection report.

    python -m benchmarks.report

Makes a run directory of videos at 480p (moving, deforming objects, five members, evidence of
every frame) and prints how long its report takes: made after a run, whose finishing has left the
stills; and made anew from the run directory alone, with ``report/`` deleted. Goal: 20 s for 60
videos.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

HEIGHT, WIDTH = 480, 854
OBJECTS = (1, 2, 5)
MEMBERS = tuple(f"m{k}" for k in range(5))


def ids_at(index: int) -> np.ndarray:
    """``(H, W) uint8`` three blobs on frame ``index``."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    for n, object_id in enumerate(OBJECTS):
        y, x = 110 + 110 * n + 20 * np.sin(index / 7 + n), 200 + 150 * n + 2 * index
        angle = np.arctan2(rows - y, columns - x)
        radius = (80 - 15 * n) * (1 + 0.2 * np.sin(3 * angle + index / 5))
        ids[np.hypot(rows - y, columns - x) < radius] = object_id
    return ids


def make_video(root: Path, images: Path, frames: int) -> None:
    """The first video: masks, frames and stills as finishing leaves them."""
    from PIL import Image

    from mose.masks import write_mask
    from selection.evidence import PSEUDO_LABEL
    from selection.report.stills import StillsWriter
    from selection.run_paths import RunPaths

    rng = np.random.default_rng(0)
    texture = rng.integers(0, 255, (HEIGHT // 8, WIDTH // 8 + 60, 3), dtype=np.uint8)
    names = (*MEMBERS, PSEUDO_LABEL)
    folders = [root / "masks/v000", root / "pseudo-labels/v000", images / "v000"]
    stills = RunPaths(root).stills("v000")
    for folder in (*folders, stills, root / "selection/timelines"):
        folder.mkdir(parents=True)
    writer = StillsWriter(stills, frames, HEIGHT, WIDTH, names, labelled=False)
    for index in range(frames):
        ids = ids_at(index)
        for folder in folders[:2]:
            write_mask(folder / f"{index:05d}.png", ids)
        small = texture[:, index % 60 : index % 60 + WIDTH // 8]
        frame = np.asarray(Image.fromarray(small).resize((WIDTH, HEIGHT)))
        Image.fromarray(frame).save(folders[2] / f"{index:05d}.jpg")
        if index in writer.indices:
            layers = {name: np.roll(ids, 3 * k, 1) for k, name in enumerate(names)}
            writer.add(f"{index:05d}", frame, {**layers, "box average": ids, "max fusion": ids})
    writer.close()


def make_run(root: Path, images: Path, videos: int, frames: int) -> None:
    """A run directory of ``videos`` that share their pictures and differ in their numbers."""
    from selection.evidence import PSEUDO_LABEL, Evidence
    from selection.record import CandidateRow, SelectionRecord
    from selection.spans import whole

    make_video(root, images, frames)
    rng = np.random.default_rng(1)
    names = (*MEMBERS, PSEUDO_LABEL)
    shared = (root / "masks", root / "pseudo-labels", images, root / "report/frames")
    stems = tuple(f"{t:05d}" for t in range(frames))
    for number in range(videos):
        video = f"v{number:03d}"
        for folder in shared:
            if number:
                shutil.copytree(folder / "v000", folder / video, copy_function=os.link)
        evidence = Evidence.blank(video, names, np.full(6, 0.6), OBJECTS, stems)
        for name in ("agreement_j", "agreement_f", "presence", "confidence"):
            evidence[name][1:] = rng.beta(8, 2, evidence[name][1:].shape)
        evidence["area"][:] = rng.normal(9000, 900, evidence["area"].shape)
        evidence.overlap[:] = rng.beta(6, 3, evidence.overlap.shape)
        evidence.save(root / f"selection/timelines/{video}.npz")
        agreement = rng.beta(8, 2, 6).round(4)
        scores = dict(zip(names, agreement.tolist(), strict=True))
        rows = tuple(
            CandidateRow(name, 0.6, a, dict.fromkeys(OBJECTS, a), a, 0.8)
            for name, a in scores.items()
        )
        winner = max(scores, key=lambda name: scores[name])
        record = SelectionRecord(
            video, frames, tuple(OBJECTS), "pgmr", "agreement", "video", winner, scores, 0.02,
            "agrees best with the pseudo-label", dict.fromkeys(OBJECTS, whole(winner, frames)),
            {}, rows, 0.05,
        )  # fmt: skip
        (root / f"selection/{video}.json").write_text(json.dumps(record.json()))
    members = [{"name": name, "prior": 60} for name in MEMBERS]
    config = {"data": {"dataset": "benchmark", "split": "test"}, "members": members}
    (root / "config.yaml").write_text(json.dumps(config))
    (root / "environment.json").write_text(json.dumps({"images": str(images)}))
    summary = {
        "videos": videos, "chosen": {}, "agreement": {}, "truth": {}, "failures": [], "seconds": 1,
    }  # fmt: skip
    (root / "summary.json").write_text(json.dumps(summary))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--videos", type=int, default=60)
    p.add_argument("--frames", type=int, default=60)
    p.add_argument("--keep", metavar="PATH", help="make the run here and keep it")
    arguments = p.parse_args()
    from selection.report import write_report

    with tempfile.TemporaryDirectory() as folder:
        base = Path(arguments.keep or folder)
        root = base / "run"
        make_run(root, base / "images", arguments.videos, arguments.frames)

        def timed(what: str) -> None:
            clock, cpu = time.perf_counter(), time.process_time()
            write_report(root)
            clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
            print(f"{what}: {clock:.1f} s, of them {cpu:.1f} s of CPU time")

        timed(f"report of {arguments.videos} videos, stills of the run there")
        timed("again, nothing changed")
        shutil.rmtree(root / "report")
        timed("from the run directory alone, report/ deleted")


if __name__ == "__main__":
    main()
