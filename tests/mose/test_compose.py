"""Composites of labelled clips: exact labels, real disappearance, repeatable."""

import json

import numpy as np
import pytest
from PIL import Image

from mose import InputError, open_video
from mose.compose import main
from mose.masks import object_ids, read_mask, write_mask


@pytest.fixture
def clips(tmp_path):
    """Five clips of one square each, of a colour that is nowhere else."""
    root = tmp_path / "clips"
    for n in range(5):
        for kind in ("JPEGImages", "Annotations"):
            (root / kind / f"v{n}").mkdir(parents=True)
        for t in range(4):
            ids = np.zeros((60, 90), np.uint8)
            ids[15:45, 20 + t : 50 + t] = 1
            image = np.full((60, 90, 3), 128, np.uint8)
            image[ids > 0] = (40 * n + 40, 10, 10)
            Image.fromarray(image).save(root / f"JPEGImages/v{n}/{t:05d}.jpg", quality=100)
            write_mask(root / f"Annotations/v{n}/{t:05d}.png", ids)
    return root


def make(clips, out, *more):
    return main([str(clips), str(out), "--videos", "6", "--frames", "24", "--objects", "2", *more])


def contents(root):
    return {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_composites_are_a_data_set_with_exact_labels(clips, tmp_path):
    out = tmp_path / "out"
    assert make(clips, out) == 0
    gone = 0
    for n in range(6):
        video = open_video(out / f"JPEGImages/c{n:05d}", out / f"Annotations/c{n:05d}")
        assert len(video) == 24
        assert video.object_ids == (1, 2, 3)
        for t in range(24):
            labels = read_mask(out / f"Labels/c{n:05d}/{t:05d}.png")
            inside = video[t][labels > 0].astype(int)
            reddish = inside[:, 0] - inside[:, 2] > 15
            assert reddish.mean() > 0.85  # what is labelled looks like an object
            gone += len(object_ids(labels)) < 3
    assert gone > 0


def test_same_seed_same_bytes_and_whole_videos_are_kept(clips, tmp_path):
    make(clips, tmp_path / "a")
    make(clips, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    kept = (tmp_path / "a/JPEGImages/c00001/00003.jpg").stat().st_mtime_ns
    make(clips, tmp_path / "a")
    assert (tmp_path / "a/JPEGImages/c00001/00003.jpg").stat().st_mtime_ns == kept
    make(clips, tmp_path / "c", "--seed", "1")
    assert contents(tmp_path / "c") != contents(tmp_path / "a")


def test_recipe_is_written_down(clips, tmp_path):
    make(clips, tmp_path / "a")
    recipe = json.loads((tmp_path / "a/compose.json").read_text())["videos"]["c00000"]
    sources = {recipe["background"], *(paste["video"] for paste in recipe["pastes"])}
    assert len(sources) == 3


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--objects", "9"], "fewer --objects"),
        (["--frames", "0"], "--frames"),
        (["--labels", "Nothing"], "Nothing"),
    ],
)
def test_bad_input(clips, tmp_path, more, words):
    with pytest.raises(InputError, match=words):
        make(clips, tmp_path / "a", *more)


def test_missing_label_and_foreign_folder(clips, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "x").touch()
    with pytest.raises(InputError, match="something else"):
        make(clips, other)
    for n in range(5):
        (clips / f"Annotations/v{n}/00002.png").unlink()
    with pytest.raises(InputError, match=r"00002\.png is missing"):
        make(clips, tmp_path / "a")
