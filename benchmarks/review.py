"""Latency of the review in a browser, and memory of its server.

    python -m benchmarks.review
    python -m benchmarks.review --videos 2000 --frames 1000

Makes a run of one video at 1080p with five members and ten objects, and of many more videos that
have their records alone; serves it, and works on the first video in a headless Chromium (extra
``browser``). Prints how long a frame takes from the key or the jump to the picture, how long the
preview of a choice takes, how soon playing begins and its frames per second from then on, and the
memory of the server's process.
Goals: 100 ms, 200 ms, 24 per second, 500 MiB.

Beside each is the processor time that browser and server took per frame: that hardly changes with
what else a machine does. Two quiet cores play 24 frames per second where the two together stay
below 83 ms.
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
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HEIGHT, WIDTH = 1080, 1920
OBJECTS = tuple(range(1, 11))
MEMBERS = tuple(f"m{k}" for k in range(5))
DISTINCT = 24
"""Frames that differ; they repeat."""
JUMPS, PULLED = 30, 60
PAUSE = 150
"""Milliseconds between two acts, in which pages fetch ahead."""
PLAYED = 5
"""Seconds of playing that are measured."""


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


SCRUB = "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }"
TAKEN = """(() => {
  const all = performance.getEntriesByName('frame').map((m) => m.duration);
  performance.clearMeasures();
  return all;
})()"""


class Visit:
    """A page in a browser, and what it costs.

    page     is the page of the video
    server   is the id of the server's process
    """

    def __init__(self, page: Page, server: int):
        self.page, self.server = page, server
        self.spent = self.processor_time()

    def processor_time(self) -> tuple[float, float]:
        """Milliseconds that browser and server have used."""
        times = used_below(os.getpid())
        browser = [time for time, name in times.values() if name.startswith("chrom")]
        return 1000 * sum(browser), 1000 * times[self.server][0]

    def begin(self) -> None:
        """Forget what was measured so far."""
        self.page.evaluate(TAKEN)
        self.spent = self.processor_time()

    def tell(self, what: str, seconds: float | None = None) -> None:
        """Print what was measured since `begin`; frames per second where ``seconds`` are given."""
        taken = sorted(float(value) for value in self.page.evaluate(TAKEN))
        now = self.processor_time()
        browser, server = ((b - a) / len(taken) for a, b in zip(self.spent, now, strict=True))
        most = taken[int(0.95 * (len(taken) - 1))]
        rate = f"{len(taken) / seconds:.1f} frames per second, " if seconds else ""
        print(f"{what}: {rate}median {statistics.median(taken):.0f} ms, 95 % within {most:.0f} ms;"
              f" {browser:.0f} + {server:.0f} ms of processor time ({len(taken)})")  # fmt: skip


def used_below(root: int) -> dict[int, tuple[float, str]]:
    """Process -> seconds of processor time and name, of a process and all that it has started."""
    parents, times, tick = {}, {}, os.sysconf("SC_CLK_TCK")
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            head, _, tail = (folder / "stat").read_text().rpartition(")")
        except OSError:
            continue  # it has just ended
        fields = tail.split()
        parents[int(folder.name)] = int(fields[1])
        used = (int(fields[11]) + int(fields[12])) / tick
        times[int(folder.name)] = used, head.partition("(")[2]
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: times[pid] for pid in found}


def work(address: str, frames: int, server: int) -> None:
    """Work on the video in a browser, and print how long everything took."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        visit = Visit(opened(browser, address), server)
        jump(visit, frames)
        step(visit)
        visit.page.context.close()
        visit = Visit(opened(browser, address), server)
        play(visit)
        browser.close()


def opened(browser: Browser, address: str) -> Page:
    """The page of the video, with nothing fetched before."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(f"{address}videos/big#frame=0&object=1")
    page.wait_for_selector('#views[data-shown="0"]')
    page.wait_for_timeout(1000)
    return page


def jump(visit: Visit, frames: int) -> None:
    """Jumps to frames anywhere, and the slider pulled from one end to the other."""
    page, rng = visit.page, np.random.default_rng(3)
    visit.begin()
    for index in rng.choice(np.arange(1, frames), min(JUMPS, frames - 1), replace=False):
        page.locator("#scrub").evaluate(SCRUB, int(index))
        page.wait_for_selector(f'#views[data-shown="{index}"]')
        page.wait_for_timeout(PAUSE)
    visit.tell("a jump on the timeline")
    for index in np.linspace(0, frames - 1, PULLED).astype(int):
        page.locator("#scrub").evaluate(SCRUB, int(index))
        page.wait_for_timeout(30)
    page.wait_for_selector(f'#views[data-shown="{frames - 1}"]')
    visit.tell(f"the slider pulled over all frames in {PULLED} steps")


def step(visit: Visit) -> None:
    """Keys: the next frame, previews, and all members side by side."""
    page = visit.page
    page.locator("h1").click()
    page.wait_for_timeout(500)
    for key, what, count in (
        ("ArrowLeft", "the next frame by key", JUMPS),
        ("23456", "the preview of a choice", JUMPS),
        ("ArrowLeft", "a frame with all members side by side", 10),
    ):
        if "side" in what:
            page.keyboard.press("1")
            page.keyboard.press("m")
            page.wait_for_timeout(1500)
        visit.begin()
        for n in range(count):
            page.keyboard.press(key if key.startswith("Arrow") else key[n % len(key)])
            while page.evaluate("performance.getEntriesByName('frame').length") <= n:
                page.wait_for_timeout(5)
            page.wait_for_timeout(PAUSE)
        visit.tell(what)
    page.keyboard.press("m")


def play(visit: Visit) -> None:
    """The film from its first frame, with nothing fetched before."""
    page = visit.page
    page.keyboard.press(" ")
    pressed = time.monotonic()
    page.wait_for_selector('#views:not([data-shown="0"])', state="attached")
    print(f"playing begins after {1000 * (time.monotonic() - pressed):.0f} ms")
    visit.begin()
    began = time.monotonic()
    page.wait_for_timeout(1000 * PLAYED)
    visit.tell("while it plays", time.monotonic() - began)


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
    p.add_argument("--folder", help="keep the run there, or take the one that is there")
    arguments = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(arguments.folder or folder)
        if not (base / "run").is_dir():
            make_video(base, arguments.frames)
            write_records(base, arguments.videos, arguments.frames)
        command = [sys.executable, "-m", "selection.review", str(base / "run"), "--port", "0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout
        address = server.stdout.readline().strip()
        print(f"server of {arguments.videos} videos: {memory_of(server.pid):.0f} MiB at first")
        try:
            work(address, arguments.frames, server.pid)
            print(f"after the work: {memory_of(server.pid):.0f} MiB at most")
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
