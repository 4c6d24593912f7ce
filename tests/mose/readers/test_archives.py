"""Zips and folders of files, by the names that unpacking gives."""

import stat
import zipfile

import pytest

from mose import InputError
from mose.readers.archives import Archive, walk


def packed(path, *entries):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def link(name):
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return entry


def test_names_are_those_of_unpacking(tmp_path):
    archive = Archive(packed(tmp_path / "r.zip", ("./a//0.png", b"0"), ("a\\1.png", b"1")))
    assert sorted(archive.entries) == ["a/0.png", "a/1.png"]
    assert archive.read("a/1.png") == b"1"
    assert archive.unusual == "./a//0.png"


def test_links_lead_to_files_and_folders(tmp_path):
    entries = (("a/0.png", b"content"), (link("a/1.png"), "0.png"), (link("b"), "a"))
    archive = Archive(packed(tmp_path / "r.zip", *entries))
    assert archive.read("a/1.png") == archive.read("b/0.png") == b"content"


@pytest.mark.parametrize(
    ("entry", "content", "message"),
    [
        ("../a.png", b"", "leads outside"),
        ("/a.png", b"", "absolute"),
        (link("a"), "../b", "leads outside or in a circle"),
        (link("a"), "a", "leads outside or in a circle"),
        (link("a"), "b", "which is not in it"),
    ],
)
def test_what_leads_outside_is_refused(tmp_path, entry, content, message):
    with pytest.raises(InputError, match=message):
        Archive(packed(tmp_path / "r.zip", (entry, content)))


def test_walking_follows_links_and_ends_in_a_circle(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/0.png").touch()
    (tmp_path / "a/again").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    names = set(walk(tmp_path))
    assert {"a/0.png", "b/0.png"} & names
    assert all(name.endswith("0.png") for name in names)
