"""Files and folders that appear whole or not at all, locks, and digests."""

import errno
import hashlib
import multiprocessing
import os

import pytest

from stseg import files


def hidden(folder):
    return sorted(path.name for path in folder.rglob("*") if path.name.endswith(files.PARTIAL))


def test_what_is_written_can_be_read(tmp_path):
    files.write_text(tmp_path / "a.txt", "café\n")
    files.write_bytes(tmp_path / "b.bin", b"\0\1", sync=True)
    files.write_json(tmp_path / "c.json", {"a": [1, None]})
    assert (tmp_path / "a.txt").read_bytes() == "café\n".encode()
    assert (tmp_path / "b.bin").read_bytes() == b"\0\1"
    assert files.read_json(tmp_path / "c.json") == {"a": [1, None]}
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "b.bin", "c.json"]


def test_a_writer_that_fails_leaves_what_was_there(tmp_path):
    target = tmp_path / "a.txt"
    files.write_text(target, "before")

    def fail_midway():
        with files.open_atomic(target) as file:
            file.write(b"half of it")
            assert hidden(tmp_path) == [f".a.txt.{os.getpid()}.partial"]
            raise KeyError("a bug")

    with pytest.raises(KeyError):
        fail_midway()
    assert target.read_text() == "before"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("filename", [None, "partial", "other.png"])
def test_a_full_disk_names_the_file_that_was_wanted(tmp_path, filename):
    target = tmp_path / "a.txt"
    culprit = str(files.partial_path(target)) if filename == "partial" else filename
    with pytest.raises(OSError, match="No space") as caught, files.open_atomic(target):
        raise OSError(errno.ENOSPC, "No space left on device", culprit)
    assert caught.value.filename == ("other.png" if filename == "other.png" else str(target))
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff"])
def test_damaged_json_is_none(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    assert files.read_json(tmp_path / "a.json") is None
    assert files.read_json(tmp_path / "absent.json") is None


def test_a_folder_appears_whole_and_replaces_the_old_one(tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    (folder / "old").touch()
    asked = []
    with files.appearing(folder, lambda: asked.append(os.listdir(folder))) as partial:
        (partial / "new").touch()
    assert asked == [["old"]]
    assert os.listdir(folder) == ["new"]
    assert not hidden(tmp_path)


def test_a_folder_that_may_not_be_written_does_not_appear(tmp_path):
    def forbid():
        raise PermissionError

    with pytest.raises(PermissionError), files.appearing(tmp_path / "masks", forbid):
        pass
    assert not os.listdir(tmp_path)


def test_folders_of_several_kinds_appear_in_order(tmp_path, monkeypatch):
    order = []
    put = files.put_in_place
    monkeypatch.setattr(files, "put_in_place", lambda a, b: (order.append(b), put(a, b)))
    with files.appearing_in(tmp_path, ("Annotations", "JPEGImages"), "cat") as partial:
        (partial / "JPEGImages/00000.jpg").touch()
        assert hidden(tmp_path) == [".cat.new.partial"]
    assert order == [tmp_path / "Annotations/cat", tmp_path / "JPEGImages/cat"]
    assert os.listdir(tmp_path / "JPEGImages/cat") == ["00000.jpg"]
    assert not hidden(tmp_path)


def _try_lock(path, answers):
    with files.locked(path, wait=False) as ours:
        answers.put(ours)


def test_a_lock_keeps_other_processes_out(tmp_path):
    path = tmp_path / "cache" / "net.pth"
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()

    def ask():
        process = context.Process(target=_try_lock, args=(path, answers))
        process.start()
        process.join()
        return answers.get()

    with files.locked(path) as ours:
        assert ours
        assert not ask()
    assert ask()
    assert not path.exists()


def test_digests_tell_contents_apart(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert files.file_digest(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
    assert files.digest({"a": 1, "b": 2}) == files.digest({"b": 2, "a": 1})
    assert files.digest(1) != files.digest("1")
    assert files.quick_digest("a", "bc") != files.quick_digest("ab", "c")
    assert len(files.digest()) == len(files.quick_digest()) == 24


def test_hidden_files_are_not_counted(tmp_path):
    (tmp_path / "00000.png").touch()
    files.partial_path(tmp_path / "00001.png").touch()
    assert files.count_files(tmp_path) == 1
    assert files.count_files(tmp_path / "absent") == 0
