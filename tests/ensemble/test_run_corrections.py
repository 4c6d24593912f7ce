"""`--corrections`: verbatim on their frame, followed from there, listed, and part of the key."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from small_runs import HEIGHT, MEMBERS, WIDTH, arguments, contents, make_video

from ensemble import run as command
from mose import InputError, check
from mose.masks import read_mask, write_mask
from selection.record import read_record

CORRECTED = np.zeros((HEIGHT, WIDTH), np.uint8)
CORRECTED[20:40, 2:12] = 3


@pytest.fixture
def data(tmp_path) -> Path:
    root = tmp_path / "data"
    make_video(root, "a", 6, late=True)
    make_video(root, "b", 4)
    return root


@pytest.fixture
def config(tmp_path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump({"members": MEMBERS}))
    return path


def correct(tmp_path: Path, ids: np.ndarray, frame: str = "00003") -> Path:
    folder = tmp_path / "corrections"
    (folder / "a").mkdir(parents=True, exist_ok=True)
    write_mask(folder / "a" / f"{frame}.png", ids)
    return folder


def test_a_correction_is_written_and_followed(data, config, tmp_path):
    plain, corrected = tmp_path / "plain", tmp_path / "corrected"
    folder = correct(tmp_path, CORRECTED)
    assert command.main(arguments(data, config, plain)) == 0
    assert command.main(arguments(data, config, corrected, "--corrections", folder)) == 0
    for kind in ("masks", "pseudo-labels"):
        found = read_mask(corrected / kind / "a" / "00003.png")
        np.testing.assert_array_equal(found == 3, CORRECTED == 3)
        before = read_mask(plain / kind / "a" / "00003.png")
        np.testing.assert_array_equal((found == 9) | (CORRECTED == 3), (before == 9) | (found == 3))
        later = read_mask(corrected / kind / "a" / "00005.png")
        assert (later == 3)[20:40, :16].sum() > 100
        assert contents(plain / kind / "b") == contents(corrected / kind / "b")
    assert read_record(corrected / "selection" / "a.json").provenance.corrections == {"00003": (3,)}
    assert "corrections" not in json.loads((corrected / "selection" / "b.json").read_text())


def test_one_who_is_gone_has_no_pixel_from_there_on(data, config, tmp_path):
    out = tmp_path / "run"
    folder = correct(tmp_path, CORRECTED, "00002")
    (folder / "a" / "gone.json").write_text('{"00004": [3]}')
    assert command.main(arguments(data, config, out, "--corrections", folder)) == 0
    for frame in ("00004", "00005"):
        ids = read_mask(out / "masks" / "a" / f"{frame}.png")
        assert not (ids == 3).any()
        assert (ids == 9).any()


def test_corrected_videos_alone_are_run_again(data, config, tmp_path, capsys):
    out = tmp_path / "run"
    assert command.main(arguments(data, config, out, "--keep-soft")) == 0
    made = {name: (out / "masks" / name).stat().st_mtime_ns for name in "ab"}
    folder = correct(tmp_path, CORRECTED)
    for expected in (CORRECTED, np.roll(CORRECTED, 5, axis=1)):
        correct(tmp_path, expected)
        again = arguments(data, config, out, "--keep-soft", "--corrections", folder)
        assert command.main(again) == 0
        found = read_mask(out / "masks" / "a" / "00003.png")
        np.testing.assert_array_equal(found == 3, expected == 3)
    assert (out / "masks" / "b").stat().st_mtime_ns == made["b"]
    assert (out / "masks" / "a").stat().st_mtime_ns != made["a"]


def test_corrections_of_no_video_are_bad_input(data, config, tmp_path):
    folder = correct(tmp_path, CORRECTED)
    (folder / "a").rename(folder / "aa")
    with pytest.raises(InputError, match="unknown video 'aa'"):
        command.main(arguments(data, config, tmp_path / "run", "--corrections", folder))
    with pytest.raises(InputError, match="does not exist"):
        command.main(arguments(data, config, tmp_path / "run", "--corrections", tmp_path / "no"))


def test_the_check_knows_them(data, tmp_path, capsys):
    folder = correct(tmp_path, CORRECTED)
    assert check.main([str(data), "--corrections", str(folder)]) == 0
    correct(tmp_path, np.where(CORRECTED, 9, 0).astype(np.uint8), "00001")
    assert check.main([str(data), "--corrections", str(folder)]) == 1
    assert "corrects object 9 before its given mask" in capsys.readouterr().out
