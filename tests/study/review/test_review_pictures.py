"""The pictures of the review in the documents show its pages as they are."""

import json

import pytest

from benchmarks.review_clip import DRAWN, Drawn, first_mask
from benchmarks.review_pictures import BUILT_IN, CLIP, NOTED, looks

COMMANDS = {
    BUILT_IN: "python -m benchmarks.review_pictures",
    CLIP: "python -m benchmarks.review_pictures --clip FILE",
}


@pytest.mark.parametrize("what", COMMANDS)
def test_the_pictures_are_of_these_pages(what):
    shown = json.loads(NOTED.read_text())[what]
    now = looks(what)
    changed = sorted(name for name in {*shown, *now} if shown.get(name) != now.get(name))
    assert not changed, f"make the pictures again: {COMMANDS[what]}"


def test_every_file_that_is_seen_counts():
    assert {"index.html", "video.html", "review.css", "player.js"} <= set(looks(BUILT_IN))
    assert DRAWN.name in looks(CLIP)


def test_what_is_drawn_on_the_clip_lies_in_its_frame():
    drawn = Drawn.stored()
    for corners in (*drawn.given.values(), drawn.corrected):
        assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y in corners)
    assert set(first_mask(drawn).ravel()) == {0, *drawn.given}
