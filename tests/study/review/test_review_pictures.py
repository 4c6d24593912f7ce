"""The pictures of the review in the documents show its pages as they are."""

import json

from benchmarks.review_pictures import FOLDER, looks


def test_the_pictures_are_of_these_pages():
    shown = json.loads((FOLDER / "review.json").read_text())
    now = looks()
    changed = sorted(name for name in {*shown, *now} if shown.get(name) != now.get(name))
    assert not changed, "make the pictures again: python -m benchmarks.review_pictures"


def test_every_file_that_is_seen_counts():
    assert {"index.html", "video.html", "review.css", "player.js"} <= set(looks())
