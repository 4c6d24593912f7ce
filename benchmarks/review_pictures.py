"""The pictures of the review in docs/images, taken in a headless Chromium.

    python -m benchmarks.review_pictures
    python -m benchmarks.review_pictures --clip bigbuckbunny.mp4

The first makes a run of the built-in videos, and shows the list and the first video. The second
makes a run of a clip of a film, see `benchmarks.review_clip`, corrects an object, and lets the
members continue from there. Needs the extra ``browser`` and a ``chromium`` on the path. ``--run``
takes a run that is there already, and works on a copy of it.

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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from PIL import Image

from benchmarks.review_clip import CORRECTED, DRAWN, NAME, Drawn, make_run
from selection.record import read_records
from selection.report.first_looks import in_order
from study.review.work_list import WorkRow

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
STATIC = Path(__file__).resolve().parents[1] / "study" / "review" / "static"
NOTED = FOLDER / "review.json"
COLOURS = 256
"""Of a picture's palette: a part of the bytes, and the same to look at."""
BUILT_IN, CLIP = "built-in videos", "clip"
"""What the pictures are of."""

DIVIDED = 0.25
"""Where the line between before and after is, as a share of the width: across the rabbit."""

Corners: TypeAlias = Sequence[tuple[float, float]]
"""Of an outline, as shares of the frame (x, y) in [0, 1]."""


def looks(what: str) -> dict[str, str]:
    """File -> hash of what it adds to how pictures look: all of a page or a style, and of a script
    the words that people read; for those of the clip, also what is drawn on it."""
    shown = {DRAWN.name: _hash(DRAWN.read_text(encoding="utf-8"))} if what == CLIP else {}
    for path in sorted(STATIC.iterdir()):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".js":
            text = "\n".join(sorted(set(re.findall(r'["`]([A-Z][^"`]*)["`]', text))))
        shown[path.name] = _hash(text)
    return shown


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def note(what: str) -> None:
    """Write down what the pictures that were just taken show."""
    noted = json.loads(NOTED.read_text()) | {what: looks(what)}
    NOTED.write_text(json.dumps(noted, indent=1) + "\n")


def save(page: Page, name: str) -> None:
    """Take a picture of what the page shows."""
    path = FOLDER / f"review_{name}.png"
    page.screenshot(path=str(path))
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(COLOURS)
    small.save(path, optimize=True)
    print(path)


def work(page: Page, address: str, root: Path) -> None:
    """Pictures of the built-in videos: the list, and where members differ in the first of them."""
    page.goto(address)
    page.wait_for_selector("#first a")
    save(page, "list")
    first = in_order(WorkRow.of(record) for record in read_records(root))[0]
    look_at(page, address, first.page, first.frame, first.object_id)
    page.keyboard.press("h")
    page.wait_for_timeout(1500)
    save(page, "video")


def work_on_clip(page: Page, address: str) -> None:
    """Pictures of the clip: its masks, the correction of object 1, and what follows from it."""
    look_at(page, address, NAME, CORRECTED, 1)
    save(page, "clip")
    page.locator("#correct input[type=range]").evaluate(SLID, "80")
    page.keyboard.press("e")
    page.wait_for_selector(".painting")
    for y in (0.15, 0.5, 0.85):
        sweep(page, y)
    draw(page, Drawn.stored().corrected)
    save(page, "clip_correction")
    page.keyboard.press("s")
    page.wait_for_selector("#start:not(:disabled)")
    page.click("#start")
    page.wait_for_selector("#accept")
    page.click('button:has-text("Compare")')
    page.wait_for_selector(".view.wiped")
    page.locator(".wiping input").evaluate(SLID, str(DIVIDED))
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(1500)
    save(page, "before_after")


SLID = "(e, value) => { e.value = value; e.dispatchEvent(new Event('input')); }"


def look_at(page: Page, address: str, video: str, frame: int, object_id: int | None) -> None:
    """Open a video at a frame."""
    page.goto(f"{address}videos/{video}#frame={frame}&object={object_id}")
    page.wait_for_selector(f'#views[data-shown="{frame}"]')


def draw(page: Page, corners: Corners) -> None:
    """Draw a polygon on the frame, and leave it unsaved."""
    page.keyboard.press("g")
    page.wait_for_selector('#correct [aria-pressed=true]:has-text("Polygon")')
    page.locator(".view").scroll_into_view_if_needed()
    page.locator("#correct").scroll_into_view_if_needed()
    box = page.locator(".view").bounding_box()
    assert box
    for x, y in corners:
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.keyboard.press("Enter")
    page.wait_for_selector("#save:not(:disabled)")
    page.wait_for_timeout(500)


def sweep(page: Page, y: float) -> None:
    """Drag the mouse over the frame, at a share of its height, from left to right."""
    box = page.locator(".view").bounding_box()
    assert box
    page.mouse.move(box["x"] + 2, box["y"] + y * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + y * box["height"], steps=20)
    page.mouse.up()


@contextmanager
def reviewed(root: Path) -> Iterator[tuple[Page, str]]:
    """A page in a browser, and the address of a server over the run in ``root``."""
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-m", "selection.review", str(root), "--port", "0"]
    command += ["--by", "ann", "--executor", "inline"]
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=path, args=["--no-sandbox"]) as browser,
    ):
        assert server.stdout
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.set_default_timeout(600_000)
        try:
            yield page, server.stdout.readline().strip()
        finally:
            server.terminate()


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--clip", metavar="FILE", help="make the pictures of the clip, which lies there")
    p.add_argument("--run", help="a finished run of the same videos with its predictions")
    arguments = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "run"
        if arguments.run:
            shutil.copytree(arguments.run, root)
        elif arguments.clip:
            make_run(Path(arguments.clip), Path(folder))
        else:
            make = [sys.executable, "-m", "ensemble.run", "--split", "test", "--keep-soft"]
            subprocess.run([*make, "--output", str(root)], check=True)
        with reviewed(root) as (page, address):
            if arguments.clip:
                work_on_clip(page, address)
            else:
                work(page, address, root)
        note(CLIP if arguments.clip else BUILT_IN)


if __name__ == "__main__":
    main()
