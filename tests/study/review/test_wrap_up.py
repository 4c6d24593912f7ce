"""The end of a review: results and checks again, the table of edits, corrections to take along."""

import io
import json
import zipfile

from test_acts import draw, square

from mose.masks import read_mask
from selection.export import __main__ as export
from study.review.wrap_up import corrections_zip


def test_results_are_made_again_and_checked(served, run):
    assert not served.get("api/run")["stale"]
    served.act("a", "choose", candidate="hold", object=3, frames=[1, 3])
    draw(served, 4, square(3), [3])
    assert served.get("api/run")["stale"]
    status, _, body = served.ask("POST", "api/finish")
    done = json.loads(body)
    assert status == 200
    assert done["zip"]
    assert done["findings"] == []
    [row] = done["edits"]
    assert (row["video"], row["by"], row["corrected"], row["of"]) == ("a", ["ann"], 1, 6)
    assert row["frames"] == 3
    assert row["chosen"] == ["3: flow to flow, hold"]
    assert not served.get("api/run")["stale"]
    with zipfile.ZipFile(run / "submission.zip") as archive:
        assert archive.read("a/00004.png") == (run / "masks/a/00004.png").read_bytes()


def test_decisions_have_full_weight_in_training_data(served, run, tmp_path):
    served.act("a", "choose", candidate="hold", object=3, frames=[1, 3])
    draw(served, 4, square(3), [3])
    export.main([str(run), "--output", str(tmp_path / "out"), "--format", "training"])
    weights = json.loads((tmp_path / "out/weights.json").read_text())["a"]
    assert {frame for frame, row in weights.items() if row["3"] == 1} >= {"00001", "00002", "00004"}
    assert weights["00005"]["3"] < 1
    for frame in ("00002", "00004"):
        ids = read_mask(run / f"masks/a/{frame}.png")
        exported = read_mask(tmp_path / f"out/Annotations/a/{frame}.png")
        assert (exported[ids == 3] == 3).all()


def test_without_corrections_the_zip_is_empty(served):
    with zipfile.ZipFile(io.BytesIO(corrections_zip(served.desk))) as archive:
        assert archive.namelist() == []


def test_corrections_to_take_along(served, run):
    draw(served, 4, square(3), [3, 9])
    status, _, body = served.ask("GET", "api/corrections.zip")
    assert status == 200
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.namelist() == ["a/00004.png", "a/gone.json"]
        assert archive.read("a/00004.png") == (run / "corrections/a/00004.png").read_bytes()
