"""The pictures of the review in docs/images, taken in a headless Chromium.

    python -m benchmarks.review_pictures
    python -m benchmarks.review_pictures RUN

Without a run it makes one, of the built-in videos. Works on a copy of the run: opens the list,
draws the outline of the labels on the frame where a correction is worth most, and lets the members
continue from it. Needs the extra ``browser`` and a ``chromium`` on the path.

Beside the pictures it notes what they show, `looks`, and a test compares that with the pages as
they are: a picture that shows other words or another style than the pages is found.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from selection.report.first_looks import in_order
from study.apply_edit import OpenRun
from study.review.work_list import WorkRow

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
STATIC = Path(__file__).resolve().parents[1] / "study" / "review" / "static"
COLOURS = 256
"""Of a picture's palette: a part of the bytes, and the same to look at."""


def looks() -> dict[str, str]:
    """File -> hash of what it adds to how the pages look: all of a page or a style, and of a script
    the words that people read."""
    shown = {}
    for path in sorted(STATIC.iterdir()):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".js":
            text = "\n".join(sorted(set(re.findall(r'["`]([A-Z][^"`]*)["`]', text))))
        shown[path.name] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return shown


def save(page: Page, name: str) -> None:
    """Take a picture of what the page shows."""
    path = FOLDER / f"review_{name}.png"
    page.screenshot(path=str(path))
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(COLOURS)
    small.save(path, optimize=True)
    print(path)


def outline(root: Path) -> tuple[WorkRow, list[tuple[float, float]]]:
    """Where looking can gain most and the labels have the object: the video, and the corners of the
    object as shares of the frame."""
    opened = OpenRun.at(root)
    for row in in_order(WorkRow.of(opened.record(path.stem)) for path in opened.run.record_paths()):
        video = opened.video(row.video)
        ids = opened.dataset.label_masks(row.video, video)(row.frame)
        if ids is None or row.object_id is None or not (ids == row.object_id).any():
            continue
        there = (ids == row.object_id).astype(np.uint8)
        found, _ = cv2.findContours(there, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        corners = cv2.approxPolyDP(max(found, key=cv2.contourArea), 1.5, closed=True)[:, 0]
        return row, [((x + 0.5) / video.width, (y + 0.5) / video.height) for x, y in corners]
    raise SystemExit(f"no video of run {root} has labels of what could be corrected")


def work(page: Page, address: str, row: WorkRow, corners: Sequence[tuple[float, float]]) -> None:
    """Go through a review and take its pictures; ``corners`` are those of what is drawn."""
    page.goto(address)
    page.wait_for_selector("#first a")
    save(page, "list")
    page.goto(f"{address}videos/{row.page}#frame={row.frame}&object={row.object_id}")
    page.wait_for_selector("#views[data-shown]")
    page.keyboard.press("h")
    page.wait_for_timeout(1500)
    save(page, "video")
    page.keyboard.press("h")
    page.keyboard.press("g")
    page.wait_for_selector(".painting")
    page.locator(".view").scroll_into_view_if_needed()
    page.locator("#correct").scroll_into_view_if_needed()
    box = page.locator(".view").bounding_box()
    assert box
    for x, y in corners:
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.keyboard.press("Enter")
    page.wait_for_selector("#save:not(:disabled)")
    page.wait_for_timeout(500)
    save(page, "correction")
    page.keyboard.press("s")
    page.wait_for_selector("#start:not(:disabled)")
    page.click("#start")
    page.wait_for_selector("#accept")
    page.click('button:has-text("Compare")')
    page.wait_for_selector(".view.wiped")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(1500)
    save(page, "before_after")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("run", nargs="?", help="a finished run with its predictions and labels")
    arguments = p.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        root = Path(folder) / "run"
        if arguments.run:
            shutil.copytree(arguments.run, root)
        else:
            make = [sys.executable, "-m", "ensemble.run", "--split", "test", "--keep-soft"]
            subprocess.run([*make, "--output", str(root)], check=True)
        command = [sys.executable, "-m", "selection.review", str(root), "--port", "0"]
        command += ["--by", "ann", "--executor", "inline"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 860})
            page.set_default_timeout(600_000)
            work(page, server.stdout.readline().strip(), *outline(root))
            (FOLDER / "review.json").write_text(json.dumps(looks(), indent=1) + "\n")
        finally:
            browser.close()
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
