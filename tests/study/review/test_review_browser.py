"""The review as a person works with it, in a real Chromium: keys, mouse, and the files on disk.

Not run by default: ``pytest -m browser`` (needs ``chromium`` and ``npm`` on the path, and the extra
``browser``).
"""

import json
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
from browser import fetch_axe
from small_runs import contents
from test_acts import masks

from mose.masks import read_mask

pytestmark = pytest.mark.browser


@contextmanager
def browsing(**options):
    """A page of a new browser; when it ends, nothing has been said on its console."""
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        options = {"viewport": {"width": 1280, "height": 900}} | options
        page = browser.new_page(**options)
        said = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        yield page
        browser.close()
    assert said == []


def look_at(page, served, video, frame, object_id=3):
    page.goto("about:blank")
    page.goto(f"{served.address}videos/{video}#frame={frame}&object={object_id}")
    page.wait_for_selector(f'#views[data-shown="{frame}"]')


def told(page, words):
    page.wait_for_selector(f"#told:has-text({json.dumps(words)})")


def stroke(page, start, end):
    """A stroke between two places, as shares of the view."""
    box = page.locator(".view").first.bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=8)
    page.mouse.up()


def test_the_queue_is_worked_off_with_keys_alone(served, run):
    with browsing() as page:
        page.goto(served.address)
        page.wait_for_selector("#table tbody tr")
        assert page.inner_text("#progress") == "0 of 3 looked at"
        page.keyboard.press("Enter")
        for done in (1, 2, 3):
            page.wait_for_selector("#views[data-shown]")
            page.wait_for_selector("#near a")
            if done == 1:
                page.keyboard.press("3")
                page.wait_for_selector("#take:not(:disabled)")
            page.keyboard.press("Enter")
            page.wait_for_selector(f'#progress:has-text("{done} of 3")')
        page.goto(served.address)
        page.wait_for_selector('#progress:has-text("3 of 3 looked at")')
    first = served.get("api/run")["rows"][0]
    assert served.get(f"api/videos/{first['page']}")["log"][0]["candidate"] == "hold"


def test_a_span_is_given_to_another_member_and_taken_back(served, run):
    before = masks(run)
    with browsing() as page:
        look_at(page, served, "a", 0)
        row = page.locator(".row .band").nth(1)
        row.scroll_into_view_if_needed()
        band = row.bounding_box()
        y = band["y"] + band["height"] / 2
        page.mouse.move(band["x"] + band["width"] * 2.5 / 6, y)
        page.mouse.down()
        page.mouse.move(band["x"] + band["width"] * 3.5 / 6, y, steps=4)
        page.mouse.up()
        page.click('#layers button:has-text("hold")')
        page.wait_for_selector('#choose:has-text("hold for object 3, frames 2 to 3")')
        page.keyboard.press("c")
        told(page, "Taking hold: done")
        plan = served.get("api/videos/a")["plan"]
        assert plan["3"] == [[0, "flow"], [2, "hold"], [4, "flow"]]
        changed = (masks(run) != before).any(axis=(1, 2))
        assert set(np.flatnonzero(changed)) <= {2, 3}
        page.wait_for_selector('#done button:has-text("Undo"):not(:disabled)')
        page.keyboard.press("u")
        told(page, "Undoing: done")
        assert (masks(run) == before).all()
        page.keyboard.press("r")
        told(page, "Having it back: done")
        assert (masks(run) != before).any()


def test_a_mask_is_painted_continued_accepted_and_undone(served, run):
    before, files = masks(run), contents(run / "masks")
    with browsing() as page:
        look_at(page, served, "a", 3)
        page.keyboard.press("b")
        page.wait_for_selector(".painting")
        stroke(page, (0.7, 0.3), (0.8, 0.5))
        page.wait_for_selector("#save:not(:disabled)")
        page.keyboard.press("s")
        told(page, "Saving the drawing: done")
        after = masks(run)
        assert (after[3] == 3).sum() > (before[3] == 3).sum()
        assert after[3][20, 48] == 3
        assert (read_mask(run / "corrections/a/00003.png") == np.where(after[3] == 3, 3, 0)).all()
        page.click("#start")
        page.wait_for_selector("#accept", timeout=120_000)
        page.click('button:has-text("Compare")')
        page.wait_for_selector(".view.wiped")
        page.click("#accept")
        told(page, "Accepting: done")
        assert (masks(run)[5] == 3)[20, 48]
        for left in (1, 0):
            page.wait_for_selector('#done button:has-text("Undo"):not(:disabled)')
            page.keyboard.press("u")
            page.wait_for_selector(f"#log li:nth-child({4 - left})")
        assert contents(run / "masks") == files
        assert (masks(run) == before).all()


def test_a_stroke_outlives_the_browser_page(served, run):
    with browsing() as page:
        look_at(page, served, "a", 3)
        page.keyboard.press("b")
        page.wait_for_selector(".painting")
        stroke(page, (0.7, 0.3), (0.8, 0.5))
        page.wait_for_selector("#save:not(:disabled)")
        look_at(page, served, "a", 3)
        told(page, "A drawing that was not saved is back.")
        page.keyboard.press("s")
        told(page, "Saving the drawing: done")
    assert masks(run)[3][20, 48] == 3


@pytest.mark.parametrize("tool", ["eraser", "polygon", "fill", "take", "absent"])
def test_every_tool(served, run, tool):
    before = masks(run)[3]
    with browsing() as page:
        look_at(page, served, "a", 3)
        if tool == "absent":
            page.click('button:has-text("Absent here")')
        elif tool == "take":
            page.keyboard.press("3")
            page.click('button:has-text("Take hold here")')
        else:
            page.keyboard.press({"eraser": "e", "polygon": "g", "fill": "f"}[tool])
            page.wait_for_selector(".painting")
            box = page.locator(".view").bounding_box()
            corners = [(0.6, 0.6), (0.9, 0.6), (0.9, 0.9)] if tool == "polygon" else [(0.3, 0.35)]
            if tool == "fill":
                corners = [(0.95, 0.05)]
            for x, y in corners:
                page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
            if tool == "polygon":
                page.keyboard.press("Enter")
        if tool != "absent":
            page.wait_for_selector("#save:not(:disabled)")
            page.keyboard.press("s")
        told(page, "Saving the drawing: done")
    after = masks(run)[3]
    more = (after == 3).sum() - (before == 3).sum()
    if tool in ("polygon", "fill"):
        assert more > 0
    elif tool == "take":
        assert ((after == 3) == (masks(run)[0] == 3)).all()
    else:
        assert more < 0
    assert tool != "absent" or not (after == 3).any()


def test_names_with_markup_and_the_end_of_a_review(served, run):
    with browsing() as page:
        page.goto(served.address)
        page.wait_for_selector("#table tbody tr")
        assert "<b onclick=alert(1)>&'" in page.inner_text("#table")
        assert page.locator("#table b").count() == 0
        page.click('a:has-text("onclick")')
        page.wait_for_selector("#views[data-shown]")
        assert page.inner_text("h1") == "<b onclick=alert(1)>&'"
        served.act("a", "choose", candidate="hold")
        page.goto(served.address)
        page.click('button:has-text("Write zip")')
        page.wait_for_selector('#results:has-text("The check found nothing wrong.")')
        assert "6 of 6" in page.inner_text("#results") or "5 of 6" in page.inner_text("#results")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_pages_are_accessible(served, tmp_path, width, dark):
    axe = fetch_axe(tmp_path)
    scheme = "dark" if dark else "light"
    size = {"width": width, "height": 900}
    with browsing(viewport=size, color_scheme=scheme, bypass_csp=True) as page:
        for address, ready in (("", "#table tbody tr"), ("videos/a#object=3", "[data-shown]")):
            page.goto(served.address + address)
            page.wait_for_selector(ready)
            page.evaluate(axe)
            violations = page.evaluate("async () => (await axe.run()).violations")
            assert [(v["id"], [n["target"] for n in v["nodes"]][:3]) for v in violations] == []
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width
