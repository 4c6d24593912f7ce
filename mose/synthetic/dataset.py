"""Write a synthetic data set in MOSE layout: complete videos only, resumable, in parallel."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mose.masks import object_ids, write_mask
from mose.synthetic.clip import draw_frames
from mose.synthetic.plan import SyntheticPlan
from stseg.errors import InputError
from stseg.files import PARTIAL, appearing_in, locked, write_text
from stseg.progress import Progress
from stseg.text import read_text

MANIFEST = "synthetic.json"
_JPEG_QUALITY = 95


def write_dataset(
    out: str | Path, videos: int, *, processes: int = 1, progress: bool = False, **options: Any
) -> Path:
    """Make ``out/<split>`` hold ``videos`` videos and return that folder.

    ::

        OUT/test/JPEGImages/v00000/00000.jpg   frames
        OUT/test/Annotations/v00000/00000.png  masks that are given: every frame in train;
                                               elsewhere every object where it first appears
        OUT/test/Labels/v00000/00000.png       the mask of every frame (not in train)
        OUT/test/synthetic.json                what it was made with

    processes   how many make videos; the bytes do not depend on it
    progress    show a line on standard error
    options     split, seed, frames, objects, height, width, labels, config and knobs of
                `SyntheticConfig`, see `SyntheticPlan.of`

    Complete videos are kept, so the same call continues an interrupted one, and a larger ``videos``
    extends a folder. Raises `InputError` if the folder holds something else, was made with other
    arguments, or is being written by another process. `OSError` is not caught.
    """
    plan = SyntheticPlan.of(**options)
    for name, value in (("videos", videos), ("processes", processes)):
        if not 1 <= value <= 100_000:
            raise InputError(f"{name} is {value}, expected a whole number of at least 1")
    root = Path(out) / plan.split
    with _claimed(root, plan):
        todo = [k for k in range(videos) if not (root / "JPEGImages" / video_name(k)).is_dir()]
        bar = Progress(len(todo), "videos") if progress and todo else None
        for _ in _made(root, plan, todo, processes):
            if bar:
                bar.advance()
        if bar:
            bar.close(f"in {root}")
    return root


def video_name(index: int) -> str:
    """The folder of a video."""
    return f"v{index:05d}"


@contextlib.contextmanager
def _claimed(root: Path, plan: SyntheticPlan) -> Iterator[None]:
    """Hold the folder for this process alone; refuse a folder that holds something else."""
    try:
        root.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{root} cannot be a folder, a file is in its place") from None
    manifest = root / MANIFEST
    others = (path for path in root.iterdir() if not path.name.startswith("."))
    if not manifest.exists() and any(others):
        raise InputError(
            f"folder {root} holds something else than a synthetic data set: choose an empty one"
        )
    with locked(manifest, wait=False) as ours:
        if not ours:
            raise InputError(f"folder {root} is being written by another process")
        if not manifest.exists():
            write_text(manifest, plan.json())
        elif read_text(manifest, "manifest") != plan.json():
            raise InputError(
                f"folder {root} was made with other options (see {manifest}): repeat those, or"
                " choose another folder"
            )
        for stale in root.glob(f".*{PARTIAL}"):
            shutil.rmtree(stale)
        yield


def _made(root: Path, plan: SyntheticPlan, todo: list[int], processes: int) -> Iterator[int]:
    """Make the videos ``todo``; yields each one when it is complete."""
    processes = min(processes, len(todo))
    if processes <= 1:
        for index in todo:
            yield _write_video(root, plan, index)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_start_worker) as pool:
        waiting = list(reversed(todo))
        running: set[Future[int]] = set()
        try:
            while waiting or running:
                while waiting and len(running) < 2 * processes:
                    running.add(pool.submit(_write_video, root, plan, waiting.pop()))
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """Use one thread for OpenCV, and end with the parent, which may be killed without notice."""
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel

        def follow() -> None:
            multiprocessing.connection.wait([sentinel])
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()


def _write_video(root: Path, plan: SyntheticPlan, index: int) -> int:
    """Write a video under a temporary name, then move it into place, frames last."""
    name = video_name(index)
    everywhere = plan.split == "train"
    kinds = ["Annotations", "JPEGImages"]
    if plan.labels and not everywhere:
        kinds.insert(0, "Labels")
    with appearing_in(root, kinds, name) as partial:
        seen: set[int] = set()
        for number, frame in enumerate(draw_frames(plan.clip(index))):
            stem = f"{number:05d}"
            code = cv2.imencode(
                ".jpg",
                cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR),
                [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY],
            )[1]
            (partial / "JPEGImages" / f"{stem}.jpg").write_bytes(code.tobytes())
            new = [i for i in object_ids(frame.labels) if i not in seen]
            seen.update(new)
            if everywhere:
                write_mask(partial / "Annotations" / f"{stem}.png", frame.labels)
            elif new:
                given = np.where(np.isin(frame.labels, new), frame.labels, 0)
                write_mask(partial / "Annotations" / f"{stem}.png", given)
            if "Labels" in kinds:
                write_mask(partial / "Labels" / f"{stem}.png", frame.labels)
    return index
