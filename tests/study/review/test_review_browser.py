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
from serving import AWKWARD
from small_runs import contents
from test_acts import masks

from mose.masks import read_mask
from mose.meta import ObjectMeta, VideoMeta

pytestmark = pytest.mark.browser

MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def chromium():
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    return fetch_axe(tmp_path_factory.mktemp("axe"))


@contextmanager
def browsing(chromium, refused="", **options):
    """A page with a profile of its own; nothing is said on its console until it is closed, but for
    answers with the status ``refused``."""
    said = []
    options = {"viewport": {"width": 1280, "height": 900}} | options
    with chromium.new_context(**options) as context:
        page = context.new_page()
        page.set_default_timeout(300_000)  # ends what hangs; a busy machine only takes longer
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        yield page
        # Requests that closing the page breaks off are none of its errors.
        assert [words for words in said if not refused or refused not in words] == []


@pytest.fixture
def page(chromium, served):
    """One that is closed before its server ends."""
    with browsing(chromium) as page:
        yield page


def look_at(page, served, video, frame, object_id=3):
    page.goto("about:blank")
    page.goto(f"{served.address}videos/{video}#frame={frame}&object={object_id}")
    shown(page, frame)


def shown(page, frame):
    page.wait_for_selector(f'#views[data-shown="{frame}"]')


def told(page, words):
    page.wait_for_selector(f"#told:has-text({json.dumps(words)})")


def drag(page, element, start, end):
    """The mouse pressed from one place of an element to another, as shares of its size."""
    element.scroll_into_view_if_needed()
    box = element.bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=8)
    page.mouse.up()


def stroke(page, start, end):
    """A brush stroke on the frame."""
    page.keyboard.press("b")
    page.wait_for_selector(".painting")
    drag(page, page.locator(".view").first, start, end)
    page.wait_for_selector("#save:not(:disabled)")


def click(page, element, *places):
    box = element.bounding_box()
    for x, y in places:
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])


def test_the_queue_is_worked_off_with_keys_alone(page, served, run):
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


def test_a_span_is_given_to_another_member_and_taken_back(page, served, run):
    before = masks(run)
    look_at(page, served, "a", 0)
    drag(page, page.locator(".row .band").nth(1), (2.5 / 6, 0.5), (3.5 / 6, 0.5))
    page.click('#layers button:has-text("hold")')
    page.wait_for_selector('#choose:has-text("hold for object 3, frames 2 to 3")')
    page.keyboard.press("c")
    told(page, "Taking hold: done")
    plan = served.get("api/videos/a")["plan"]
    assert plan["3"] == [[0, "flow"], [2, "hold"], [4, "flow"]]
    after = masks(run)
    assert set(np.flatnonzero((after != before).any(axis=(1, 2)))) <= {2, 3}
    for key in "uru":  # one after the other, however fast they are pressed
        page.keyboard.press(key)
    page.wait_for_selector("#log li:nth-child(4)")
    page.wait_for_selector('#done button:has-text("Undo"):disabled')
    assert (masks(run) == before).all()
    page.keyboard.press("r")
    told(page, "Having it back: done")
    assert (masks(run) == after).all()


def test_a_mask_is_painted_continued_accepted_and_undone(page, served, run):
    before, files = masks(run), contents(run / "masks")
    look_at(page, served, "a", 3)
    stroke(page, (0.7, 0.3), (0.8, 0.5))
    page.keyboard.press("s")
    told(page, "Saving the drawing: done")
    after = masks(run)
    assert (after[3] == 3).sum() > (before[3] == 3).sum()
    assert after[3][20, 48] == 3
    assert (read_mask(run / "corrections/a/00003.png") == np.where(after[3] == 3, 3, 0)).all()
    page.click("#start")
    page.wait_for_selector("#accept")
    page.click('button:has-text("Compare")')
    page.wait_for_selector(".view.wiped")
    page.click("#accept")
    told(page, "Accepting: done")
    assert (masks(run)[5] == 3)[20, 48]
    page.keyboard.press("u")
    page.keyboard.press("u")
    page.wait_for_selector("#log li:nth-child(4)")
    assert contents(run / "masks") == files
    assert (masks(run) == before).all()


def test_a_stroke_outlives_the_browser_page(page, served, run):
    look_at(page, served, "a", 3)
    stroke(page, (0.7, 0.3), (0.8, 0.5))
    look_at(page, served, "a", 3)
    told(page, "A drawing that was not saved is back.")
    page.keyboard.press("s")
    told(page, "Saving the drawing: done")
    page.keyboard.press("z")  # there is no stroke to take back any more
    assert masks(run)[3][20, 48] == 3


def test_a_drawing_waits_where_it_was_left(page, served, run):
    before = masks(run)
    look_at(page, served, "a", 3)
    stroke(page, (0.7, 0.3), (0.8, 0.5))
    page.keyboard.press("ArrowRight")
    shown(page, 4)
    page.wait_for_selector("#save:disabled")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("#save:not(:disabled)")
    page.click('#objects button:has-text("object 9")')
    page.wait_for_selector("#save:disabled")  # the drawing is none of this object
    page.goto("about:blank")
    page.goto(f"{served.address}videos/a#frame=5&object=9")
    shown(page, 3)
    page.wait_for_selector("#save:not(:disabled)")
    page.keyboard.press("s")
    told(page, "Saving the drawing: done")
    after = masks(run)
    assert after[3][20, 48] == 3
    assert set(np.flatnonzero((after != before).any(axis=(1, 2)))) == {3}
    assert ((after[3] == 3) | (after[3] == before[3])).all()


def test_enter_saves_the_drawing_before_it_goes_on(page, served, run):
    page.goto(served.address)
    first = served.get("api/run")["rows"][0]["page"]
    assert served.get(f"api/videos/{first}")["given"]["3"] == 0
    look_at(page, served, first, 3)
    page.keyboard.press("g")
    page.wait_for_selector(".painting")
    for corner in ((0.6, 0.6), (0.9, 0.6)):
        click(page, page.locator(".view"), corner)
    page.keyboard.press("Enter")
    told(page, "A polygon needs three corners.")
    click(page, page.locator(".view"), (0.9, 0.9))
    page.keyboard.press("Enter")
    page.wait_for_selector("#save:not(:disabled)")
    page.wait_for_selector('#near a[rel="next"]')
    page.keyboard.press("Enter")
    page.wait_for_selector('#progress:has-text("1 of 3")')
    assert list(served.get(f"api/videos/{first}")["corrections"]) == ["00003"]


def test_every_tool(page, served, run):
    before = masks(run)
    tools = {"e": [(0.3, 0.35)], "g": [(0.6, 0.6), (0.9, 0.6), (0.9, 0.9)], "f": [(0.95, 0.05)]}
    look_at(page, served, "a", 1)
    for frame, key in enumerate(tools, 1):
        shown(page, frame)
        page.keyboard.press(key)
        page.wait_for_selector(".painting")
        click(page, page.locator(".view"), *tools[key])
        if key == "g":
            page.keyboard.press("Enter")
        page.wait_for_selector("#save:not(:disabled)")
        page.keyboard.press("s")
        page.wait_for_selector(f"#log li:nth-child({frame})")
        page.keyboard.press("ArrowRight")
    shown(page, 4)
    page.keyboard.press("3")
    page.click('button:has-text("Take hold here")')
    page.keyboard.press("s")
    page.wait_for_selector("#log li:nth-child(4)")
    page.keyboard.press("ArrowRight")
    shown(page, 5)
    page.click('button:has-text("Absent here")')
    page.wait_for_selector("#log li:nth-child(5)")
    after = masks(run)
    _, erased, polygon, filled, taken, absent = [
        int((after[t] == 3).sum()) - int((before[t] == 3).sum()) for t in range(6)
    ]
    assert erased < 0 < min(polygon, filled)
    assert ((after[4] == 3) == (after[0] == 3)).all()
    assert taken == 0 or (before[4] == 3).sum() != (before[0] == 3).sum()
    assert absent < 0
    assert not (after[5] == 3).any()


def test_a_video_is_played_and_jumped_in(page, served):
    look_at(page, served, "a", 0)
    page.keyboard.press(" ")
    shown(page, 5)
    page.wait_for_selector('#play:has-text("Play")')
    band = page.locator(".row .band").first
    click(page, band, (3.5 / 6, 0.5))
    shown(page, 3)
    for key, words in (("q", "expected to be"), ("h", "members differ")):
        page.keyboard.press(key)
        page.wait_for_selector(f'#how:has-text("{words}")')
        shown(page, 3)
    page.keyboard.press("h")
    for _ in range(4):
        page.keyboard.press("+")
    assert "scale(" in page.locator(".moved").get_attribute("style")


def test_who_works_on_an_older_state_is_told(page, chromium, served, run):
    """Two reviewers on one video: nothing of either is lost."""
    with browsing(chromium, refused="409") as other:
        look_at(page, served, "a", 3)
        look_at(other, served, "a", 3)
        stroke(page, (0.7, 0.3), (0.8, 0.5))
        stroke(other, (0.1, 0.8), (0.2, 0.9))
        page.keyboard.press("s")
        told(page, "Saving the drawing: done")
        drawn = masks(run)[3]
        other.keyboard.press("u")
        told(other, "ann has changed this video meanwhile")
    assert (masks(run)[3] == drawn).all()


def test_names_with_markup_and_the_end_of_a_review(page, served, monkeypatch):
    meta = {"b": VideoMeta(tracks={3: ObjectMeta(MARKUP)})}
    monkeypatch.setitem(vars(served.desk.opened.dataset), "meta", meta)
    page.goto(served.address)
    page.wait_for_selector("#table tbody tr")
    assert AWKWARD in page.inner_text("#table")
    assert page.locator("#table b").count() == 0
    page.click('a:has-text("onclick")')
    page.wait_for_selector("#views[data-shown]")
    assert page.inner_text("h1") == AWKWARD
    look_at(page, served, "b", 1)
    assert MARKUP in page.inner_text("#objects")
    assert page.locator("img").count() == 0
    served.act("a", "choose", candidate="hold")
    page.goto(served.address)
    page.click('button:has-text("Write zip")')
    page.wait_for_selector('#results:has-text("The check found nothing wrong.")')
    assert "6 of 6" in page.inner_text("#results") or "5 of 6" in page.inner_text("#results")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_pages_are_accessible(chromium, served, axe, width, scheme):
    size = {"width": width, "height": 900}
    with browsing(chromium, viewport=size, color_scheme=scheme, bypass_csp=True) as page:
        for address, ready in (("", "#table tbody tr"), ("videos/a#object=3", "[data-shown]")):
            page.goto(served.address + address)
            page.wait_for_selector(ready)
            page.evaluate(axe)
            violations = page.evaluate("async () => (await axe.run()).violations")
            assert [(v["id"], [n["target"] for n in v["nodes"]][:3]) for v in violations] == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
