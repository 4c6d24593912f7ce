"""The report: complete, self-contained, and nothing in a name or a JSON becomes markup."""

import html.parser
import json

import numpy as np
import pytest
import yaml
from PIL import Image

from mose import InputError
from mose.masks import write_mask
from selection.report import write_report

AWKWARD = "<img src=x onerror=alert(1)>&\"'% #?"


@pytest.fixture
def run(tmp_path):
    root, images = tmp_path / "run", tmp_path / "images"
    for name in ("calm", AWKWARD):
        for folder in (root / "masks" / name, images / name, root / "selection"):
            folder.mkdir(parents=True, exist_ok=True)
        for index in range(3):
            ids = np.zeros((20, 30), np.uint8)
            ids[4:9, index : index + 8] = 5
            write_mask(root / "masks" / name / f"{index:05d}.png", ids)
            Image.new("RGB", (30, 20), (9, 90, 9)).save(images / name / f"{index:05d}.jpg")
        rows = [
            {"name": who, "prior": 0.6, "agreement": 0.9, "objects": {"5": 0.9}, "score": 0.8}
            for who in ("<b>net</b>", "pseudo-label")
        ]
        record = {
            "video": name, "frames": 3, "objects": [5], "winner": "<b>net</b>", "margin": 0.1,
            "reason": "a < b & c", "fusion": "pgmr", "disputed": 0.02, "candidates": rows,
        }  # fmt: skip
        (root / "selection" / f"{name}.json").write_text(json.dumps(record))
    config = {"data": {"dataset": "<i>d", "split": "test"}, "members": [{"name": "<b>net</b>"}]}
    (root / "config.yaml").write_text(yaml.safe_dump(config))
    (root / "environment.json").write_text(json.dumps({"images": str(images)}))
    summary = {
        "videos": 2, "chosen": {"<b>net</b>": 2}, "agreement": {"<b>net</b>": 0.9},
        "truth": {}, "failures": 0, "seconds": 1.0,
    }  # fmt: skip
    (root / "summary.json").write_text(json.dumps(summary))
    return root


class Reader(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.sources, self.text = [], [], ""

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [v for k, v in attributes if k in ("src", "href") and v]

    def handle_data(self, data):
        self.text += data


def read(path):
    reader = Reader()
    reader.feed(path.read_text())
    return reader


def test_names_never_become_markup(run):
    write_report(run)
    index, page = read(run / "report/index.html"), read(run / f"report/{AWKWARD}.html")
    assert AWKWARD in index.text
    assert "<b>net</b>" in page.text
    assert "a < b & c" in page.text
    assert page.tags.count("img") == 3
    assert "i" not in index.tags


def test_pages_are_self_contained_and_link_to_each_other(run):
    index = write_report(run)
    for path in index.parent.glob("*.html"):
        for source in read(path).sources:
            assert source.startswith("data:") or not source.startswith(("http", "//"))
    assert "calm.html" in read(index).sources


def test_report_is_made_without_the_frames_too(run, tmp_path):
    (run / "environment.json").write_text(json.dumps({"images": str(tmp_path / "gone")}))
    write_report(run)
    assert read(run / "report/calm.html").tags.count("img") == 3


def test_folder_that_is_no_run(tmp_path):
    with pytest.raises(InputError, match="no run folder"):
        write_report(tmp_path)
