"""Overrides: other masks, everything that follows from them, and the way back."""

import json
import shutil
import zipfile

import numpy as np
import pytest
import yaml
from PIL import Image

from ensemble import run as run_command
from mose import InputError
from mose.masks import read_mask, write_mask
from study import override

VIDEO = "a video"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two members over one video with two objects, predictions kept."""
    root = tmp_path_factory.mktemp("override")
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    for kind in ("JPEGImages", "Annotations"):
        (root / "data" / kind / VIDEO).mkdir(parents=True)
    for index in range(5):
        ids = np.zeros((48, 64), np.uint8)
        ids[8:24, 6 + 3 * index : 22 + 3 * index] = 3
        ids[30:42, 40 - 3 * index : 52 - 3 * index] = 7
        image = np.where(ids[..., None] > 0, np.roll(noise, 3 * index, axis=1), 90)
        Image.fromarray(image.astype(np.uint8)).save(
            root / "data/JPEGImages" / VIDEO / f"{index:05d}.jpg", quality=95
        )
        if index == 0:
            write_mask(root / "data/Annotations" / VIDEO / "00000.png", ids)
    members = [{"name": name, "adapter": name, "prior": 40} for name in ("flow", "hold")]
    (root / "config.yaml").write_text(yaml.safe_dump({"members": members}))
    code = run_command.main(
        ["--config", str(root / "config.yaml"), "--dataset", str(root / "data"), "--split", "test",
         "--executor", "inline", "--output", str(root / "run"), "--keep-soft"]
    )  # fmt: skip
    assert code == 0
    return root / "run"


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def masks(run, kind="masks"):
    return np.stack([read_mask(path) for path in sorted((run / kind / VIDEO).glob("*.png"))])


def record(run):
    return json.loads((run / "selection" / f"{VIDEO}.json").read_text())


def call(run, *arguments):
    return override.main([str(run), *map(str, arguments)])


def test_another_member_replaces_masks_zip_record_and_report(run):
    before = masks(run)
    given = before[0]
    other = "hold" if record(run)["winner"] == "flow" else "flow"
    call(run, VIDEO, other)
    after = masks(run)
    assert record(run)["winner"] == other
    assert record(run)["overridden"]
    assert (after[0] == given).all()
    assert (after != before).any()
    with zipfile.ZipFile(run / "submission.zip") as archive:
        packed = archive.read(f"{VIDEO}/00004.png")
    assert packed == (run / "masks" / VIDEO / "00004.png").read_bytes()
    assert json.loads((run / "summary.json").read_text())["chosen"] == {other: 1}
    assert other in (run / "selection.csv").read_text().splitlines()[1]
    assert "overridden by hand" in next((run / "report").glob("a_video*.html")).read_text()


def test_hold_is_hold(run):
    call(run, VIDEO, "hold")
    assert (masks(run) == masks(run)[0]).all()


def test_one_object_alone(run):
    call(run, VIDEO, "flow")
    before = masks(run)
    call(run, VIDEO, "hold", "--object", 7)
    after = masks(run)
    plan = record(run)["plan"]
    assert plan == {"3": [[0, "flow"]], "7": [[0, "hold"]]}
    assert ((after == 7) == (after[0] == 7)).all()
    assert ((after == 3) == (before == 3)).all()


def test_undo_gives_back_every_byte(run):
    zipped = (run / "submission.zip").read_bytes()
    text = (run / "selection" / f"{VIDEO}.json").read_text()
    for name in ("hold", "pseudo-label", "flow"):
        call(run, VIDEO, name)
    call(run, VIDEO, "--undo")
    assert (run / "submission.zip").read_bytes() == zipped
    assert (run / "selection" / f"{VIDEO}.json").read_text() == text
    log = [json.loads(line) for line in (run / "overrides.jsonl").read_text().splitlines()]
    assert [line["candidate"] for line in log] == ["hold", "pseudo-label", "flow", None]


def test_without_predictions_only_pseudo_label_and_undo(run):
    shutil.rmtree(run / "predictions")
    with pytest.raises(InputError, match="--keep-soft"):
        call(run, VIDEO, "hold")
    call(run, VIDEO, "pseudo-label")
    assert (masks(run) == masks(run, "pseudo-labels")).all()
    call(run, VIDEO, "--undo")


def test_file_of_overrides_is_checked_before_anything_is_written(run, tmp_path):
    path = tmp_path / "overrides.jsonl"
    wish = {"video": VIDEO, "candidate": "pseudo-label"}
    path.write_text(json.dumps(wish) + "\n" + json.dumps({**wish, "candidate": "nobody"}))
    before = record(run)
    with pytest.raises(InputError, match="nobody"):
        call(run, "--file", path)
    assert record(run) == before
    path.write_text(json.dumps(wish) + "\n" + json.dumps({**wish, "object": 3}) + "\n")
    call(run, "--file", path)
    assert record(run)["winner"] == "pseudo-label"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere", "hold"), "unknown video"),
        ((VIDEO, "nobody"), "unknown candidate"),
        ((VIDEO, "hold", "--object", 9), "has no object 9"),
        ((VIDEO, "--undo"), "nothing to restore"),
        ((VIDEO,), "give a video and a member"),
    ],
)
def test_bad_wishes(run, arguments, words):
    with pytest.raises(InputError, match=words):
        call(run, *arguments)
