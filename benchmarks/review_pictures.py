"""The pictures of the review in docs/images, taken in a headless Chromium.

    python -m ensemble.run --split test --keep-soft --output build/shown
    python -m benchmarks.review_pictures build/shown

Works on a copy of the run: opens the list, gives an object to another member, corrects a frame by
the mask that fits best and by a stroke, and lets the members continue from it. Needs the extra
``browser`` and a ``chromium`` on the path.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
COLOURS = 160
"""Of a picture's palette: a third of the bytes, and the same to look at."""


def save(page: Page, name: str) -> None:
    """Take a picture of what the page shows."""
    path = FOLDER / f"review_{name}.png"
    page.screenshot(path=str(path))
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(COLOURS)
    small.save(path, optimize=True)
    print(path)


def work(page: Page, address: str) -> None:
    """Go through a review and take its pictures."""
    page.goto(address)
    page.wait_for_selector("#first a")
    save(page, "list")
    page.click("#first a")
    page.wait_for_selector("#views[data-shown]")
    page.keyboard.press("h")
    page.wait_for_timeout(1500)
    save(page, "video")
    page.keyboard.press("h")
    page.keyboard.press("g")
    page.wait_for_selector(".painting")
    page.locator(".view").scroll_into_view_if_needed()
    box = page.locator(".view").bounding_box()
    assert box
    for x, y in ((0.44, 0.40), (0.58, 0.38), (0.60, 0.55), (0.46, 0.58)):
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.keyboard.press("Enter")
    page.wait_for_selector("#save:not(:disabled)")
    page.locator("#correct").scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    save(page, "correction")
    page.keyboard.press("s")
    page.wait_for_selector("#start:not(:disabled)")
    page.click("#start")
    page.wait_for_selector("#accept", timeout=600_000)
    page.click('button:has-text("Compare")')
    page.wait_for_selector(".view.wiped")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(1500)
    save(page, "before_after")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("run", help="a finished run with its predictions")
    arguments = p.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        root = shutil.copytree(arguments.run, Path(folder) / "run")
        command = [sys.executable, "-m", "selection.review", str(root), "--port", "0"]
        command += ["--by", "ann", "--executor", "inline"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 860})
            work(page, server.stdout.readline().strip())
        finally:
            browser.close()
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
