"""Latency of the review in a browser, and memory of its server.

    python -m benchmarks.review
    python -m benchmarks.review --videos 2000 --frames 1000

Makes a run of one video at 1080p with five members and ten objects, and of many more videos that
have their records alone; serves it, and works on the first video in a headless Chromium (extra
``browser``). Prints how long a frame takes from the key or the jump to the picture, how long the
preview of a choice takes, frames per second while it plays, and the memory of the server's process.
Goals: 100 ms, 200 ms, 24 per second, 500 MiB.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

HEIGHT, WIDTH = 1080, 1920
OBJECTS = tuple(range(1, 11))
MEMBERS = tuple(f"m{k}" for k in range(5))
DISTINCT = 24
"""Frames that differ; they repeat."""
JUMPS = 30


def ids_at(index: int, shift: float) -> np.ndarray:
    """``(H, W) uint8`` ten blobs on frame ``index``."""
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    angles = np.linspace(0, 2 * np.pi, 60)
    for n in OBJECTS:
        x = 180 + 370 * ((n - 1) % 5) + 40 * np.sin(index / 4 + n) + shift
        y = 280 + 500 * ((n - 1) // 5) + 40 * np.cos(index / 5 + n)
        radius = 130 * (1 + 0.2 * np.sin(3 * angles + index / 3 + shift))
        corners = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)
        cv2.fillPoly(ids, [corners.astype(np.int32)], int(n))
    return ids


def make_video(base: Path, frames: int) -> None:
    """Frames, given masks, predictions, masks, evidence and record of the video ``big``."""
    from mose.masks import write_mask
    from selection.evidence import PSEUDO_LABEL, Evidence

    run = base / "run"
    rng = np.random.default_rng(0)
    folders = [base / "data/JPEGImages/big", base / "data/Annotations/big"]
    folders += [run / "masks/big", run / "pseudo-labels/big"]
    for folder in folders:
        folder.mkdir(parents=True)
    noise = rng.integers(0, 255, (HEIGHT // 6, WIDTH // 6, 3), dtype=np.uint8)
    for index in range(frames):
        name = f"{index:05d}"
        if index >= DISTINCT:
            old = f"{index % DISTINCT:05d}"
            os.link(folders[0] / f"{old}.jpg", folders[0] / f"{name}.jpg")
            for folder in folders[2:]:
                os.link(folder / f"{old}.png", folder / f"{name}.png")
            continue
        image = cv2.resize(np.roll(noise, index, 1), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folders[0] / f"{name}.jpg"), image)
        for folder in folders[2:] if index else folders[1:]:
            write_mask(folder / f"{name}.png", ids_at(index, 0))
    first = run / "predictions" / MEMBERS[0] / "big"
    predict(first, frames)
    for member in MEMBERS[1:]:
        shutil.copytree(first, run / "predictions" / member / "big", copy_function=os.link)
    names = (*MEMBERS, PSEUDO_LABEL)
    stems = tuple(f"{t:05d}" for t in range(frames))
    evidence = Evidence.blank("big", names, np.full(6, 0.6), OBJECTS, stems)
    for plane in ("agreement_j", "agreement_f"):
        evidence[plane][1:] = rng.beta(8, 2, evidence[plane][1:].shape)
    evidence.disputed[:] = rng.random(frames) / 3
    (run / "selection/timelines").mkdir(parents=True)
    evidence.save(run / "selection/timelines/big.npz")


def predict(folder: Path, frames: int) -> None:
    """Store a prediction as a network's at stride 4 would be."""
    from adapters.expansion import Expansion
    from ensemble.storage.predictions import PredictionWriter, StoredFrame

    ones = np.ones(len(OBJECTS), np.float32)
    kept = []
    for index in range(DISTINCT):
        ids = ids_at(index, 4.0)
        planes = [
            cv2.resize((ids == n).astype(np.float32), (480, 270), interpolation=cv2.INTER_AREA)
            for n in OBJECTS
        ]
        kept.append((np.stack(planes), ids))
    with PredictionWriter(folder, HEIGHT, WIDTH) as writer:
        for index in range(frames):
            native, ids = kept[index % DISTINCT]
            how = Expansion("probability")
            writer.add(StoredFrame(index, OBJECTS, ones, ones, native, how, ids=ids))
        writer.commit({"key": "made up"})


def write_records(base: Path, videos: int, frames: int) -> None:
    """Records of all videos, and folders of those that nobody opens."""
    from selection.evidence import PSEUDO_LABEL
    from selection.record import CandidateRow, SelectionRecord
    from selection.spans import whole

    names, run = (*MEMBERS, PSEUDO_LABEL), base / "run"
    for number in range(videos):
        video = "big" if not number else f"v{number:05d}"
        for kind in ("JPEGImages", "Annotations") if number else ():
            (base / "data" / kind / video).mkdir()
        rows = tuple(
            CandidateRow(name, 0.6, 0.9, dict.fromkeys(OBJECTS, 0.9), 0.9, 0.8) for name in names
        )
        record = SelectionRecord(
            video, frames, OBJECTS, "pgmr", "agreement", "video", "m0", dict.fromkeys(names, 0.9),
            0.02, "agrees best", dict.fromkeys(OBJECTS, whole("m0", frames)), {}, rows, 0.05,
        )  # fmt: skip
        (run / f"selection/{video}.json").write_text(json.dumps(record.json()))
    members = [{"name": name, "adapter": "hold", "prior": 60} for name in MEMBERS]
    config = {"data": {"dataset": str(base / "data"), "split": "test"}, "members": members}
    (run / "config.yaml").write_text(json.dumps(config))


def work(address: str, frames: int) -> None:
    """Work on the video in a browser, and print how long everything took."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})

        def measured() -> list[float]:
            taken = page.evaluate(
                "(() => { const all = performance.getEntriesByName('frame').map((m) => m.duration);"
                " performance.clearMeasures(); return all; })()"
            )
            return [float(value) for value in taken]

        def shown(index: int) -> None:
            page.wait_for_selector(f'#views[data-shown="{index}"]')

        page.goto(f"{address}videos/big#frame=0&object=1")
        shown(0)
        page.wait_for_timeout(1000)
        rng = np.random.default_rng(3)
        measured()
        for index in rng.choice(np.arange(1, frames), min(JUMPS, frames - 1), replace=False):
            scrub = "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }"
            page.locator("#scrub").evaluate(scrub, int(index))
            shown(int(index))
            page.wait_for_timeout(150)
        told("a jump on the timeline", measured())
        page.locator("h1").click()
        for _ in range(JUMPS):
            page.keyboard.press("ArrowLeft")
            page.wait_for_timeout(150)
        told("the next frame by key", measured())
        for n in range(JUMPS):
            page.keyboard.press(str(2 + n % 5))
            page.wait_for_timeout(250)
        told("the preview of a choice", measured())
        page.keyboard.press("1")
        page.keyboard.press("m")
        page.wait_for_timeout(1500)
        measured()
        for _ in range(10):
            page.keyboard.press("ArrowLeft")
            page.wait_for_timeout(400)
        told("a frame with all members side by side", measured())
        page.keyboard.press("m")
        page.wait_for_timeout(500)
        measured()
        page.keyboard.press(" ")
        page.wait_for_timeout(5000)
        print(f"while it plays: {len(measured()) / 5:.1f} frames per second")
        browser.close()


def told(what: str, taken: list[float]) -> None:
    ordered = sorted(taken)
    most = ordered[int(0.95 * (len(ordered) - 1))]
    print(f"{what}: median {statistics.median(ordered):.0f} ms, 95 % within {most:.0f} ms"
          f" ({len(ordered)})")  # fmt: skip


def memory_of(pid: int) -> float:
    """MiB that a process holds at most."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) / 1024


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--videos", type=int, default=200)
    p.add_argument("--frames", type=int, default=240)
    arguments = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        make_video(base, arguments.frames)
        write_records(base, arguments.videos, arguments.frames)
        command = [sys.executable, "-m", "selection.review", str(base / "run"), "--port", "0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout
        address = server.stdout.readline().strip()
        print(f"server of {arguments.videos} videos: {memory_of(server.pid):.0f} MiB at first")
        try:
            work(address, arguments.frames)
            print(f"after the work: {memory_of(server.pid):.0f} MiB at most")
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
