"""The submission zip."""

import os
import stat
import zipfile

import pytest
from layouts import blocks, write_masks

from mose import InputError
from mose.submission import write_submission


@pytest.fixture
def masks(tmp_path):
    for video in ("b", "a", "c"):
        names = [f"{n:05d}" for n in range(3)]
        write_masks(tmp_path / "masks" / video, dict.fromkeys(names, blocks(1, 2)))
    return tmp_path / "masks"


def names_of(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return archive.namelist()


def test_video_folders_lie_at_the_root_in_order(masks, tmp_path):
    assert write_submission(masks, tmp_path / "s.zip") == 9
    assert names_of(tmp_path / "s.zip") == [f"{v}/0000{n}.png" for v in "abc" for n in range(3)]
    with zipfile.ZipFile(tmp_path / "s.zip") as archive:
        for entry in archive.infolist():
            assert archive.read(entry) == (masks / entry.filename).read_bytes()
            assert entry.compress_type == zipfile.ZIP_STORED
            assert stat.S_IMODE(entry.external_attr >> 16) == 0o644


def test_equal_masks_give_equal_bytes(masks, tmp_path):
    write_submission(masks, tmp_path / "one.zip")
    for path in masks.rglob("*.png"):
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)
        path.chmod(0o600)
        os.utime(path, (10**9, 10**9))
    write_submission(masks, tmp_path / "two.zip", videos=["c", "a", "b"])
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_some_videos_and_some_frames(masks, tmp_path):
    frames = {"a": ["00002", "00000"]}
    count = write_submission(masks, tmp_path / "s.zip", videos=["b", "a"], frames=frames)
    assert count == 5
    assert names_of(tmp_path / "s.zip")[:2] == ["a/00000.png", "a/00002.png"]
    assert names_of(tmp_path / "s.zip")[2:] == [f"b/0000{n}.png" for n in range(3)]


def test_hidden_and_other_files_stay_out(masks, tmp_path):
    (masks / "a" / ".00001.png.12.partial").write_bytes(b"")
    (masks / "a" / "notes.txt").write_bytes(b"")
    (masks / ".tmp").mkdir()
    assert write_submission(masks, tmp_path / "s.zip") == 9


@pytest.mark.parametrize(
    ("spoil", "options", "match"),
    [
        (lambda m: None, {"videos": ["a", "z"]}, "no masks of video z"),
        (lambda m: None, {"frames": {"c": ["00009"]}}, r"00009\.png is missing"),
        (lambda m: (m / "b/x.png").write_bytes(b""), {}, "not a number"),
        (lambda m: (m / "d").mkdir(), {}, "d holds no masks"),
        (lambda m: m.rename(m.with_name("gone")), {}, "masks does not exist"),
        (lambda m: None, {"videos": []}, "holds no masks"),
    ],
)
def test_bad_input_leaves_the_old_zip_and_no_half_one(masks, tmp_path, spoil, options, match):
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "s.zip"
    target.write_bytes(b"old")
    spoil(masks)
    with pytest.raises(InputError, match=match):
        write_submission(masks, target, **options)
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path / "out") == ["s.zip"]


def test_a_full_disk_leaves_nothing(masks, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mose.submission.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_submission(masks, tmp_path / "s.zip")
    assert os.listdir(tmp_path) == ["masks"]
