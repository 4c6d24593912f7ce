"""The data set on disk: layout, resume, process counts, bad input."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mose.masks import object_ids, read_mask
from mose.synthetic import dataset, write_dataset
from mose.synthetic.__main__ import main
from mose.video import open_video
from stseg.errors import InputError

SMALL = {"frames": (3, 5), "objects": (1, 3), "height": 48, "width": 64}


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def run(*arguments: object, check: bool = False) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mose.synthetic", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=check,
    )


def test_layout_of_a_test_split(tmp_path):
    root = write_dataset(tmp_path, 3, late=0.5, **SMALL)
    assert root == tmp_path / "test"
    for name in ("v00000", "v00001", "v00002"):
        video = open_video(root / "JPEGImages" / name, root / "Annotations" / name)
        video.check_prompts()
        labels = sorted((root / "Labels" / name).iterdir())
        assert [path.stem for path in labels] == list(video.frame_names)
        assert (video.height, video.width) == (48, 64)
        full = [read_mask(path) for path in labels]
        for index in video.prompts:
            given = video.prompts[index]
            assert np.array_equal(given[given > 0], full[index][given > 0])
        ever = sorted({i for mask in full for i in object_ids(mask)})
        assert list(video.object_ids) == ever


def test_train_annotates_every_frame(tmp_path):
    root = write_dataset(tmp_path, 1, split="train", **SMALL)
    frames = sorted(p.stem for p in (root / "JPEGImages/v00000").iterdir())
    masks = sorted(p.stem for p in (root / "Annotations/v00000").iterdir())
    assert frames == masks
    assert not (root / "Labels").exists()


def test_splits_and_seeds_differ(tmp_path):
    makers = [("test", 0), ("valid", 0), ("test", 1)]
    firsts = set()
    for split, seed in makers:
        root = write_dataset(tmp_path / str(seed), 1, split=split, seed=seed, **SMALL)
        firsts.add((root / "JPEGImages/v00000/00000.jpg").read_bytes())
    assert len(firsts) == 3


def test_process_count_and_order_of_making_do_not_show(tmp_path):
    one = write_dataset(tmp_path / "one", 4, **SMALL)
    two = write_dataset(tmp_path / "two", 4, processes=2, **SMALL)
    assert contents(one) == contents(two)
    grown = write_dataset(tmp_path / "grown", 1, **SMALL)
    write_dataset(tmp_path / "grown", 4, **SMALL)
    assert contents(one) == contents(grown)


def test_whole_videos_are_kept_and_missing_ones_redone(tmp_path):
    root = write_dataset(tmp_path, 3, **SMALL)
    before = contents(root)
    kept = (root / "JPEGImages/v00000/00000.jpg").stat().st_mtime_ns
    shutil.rmtree(root / "JPEGImages/v00001")
    (root / ".v00002.new.partial").mkdir()
    write_dataset(tmp_path, 3, **SMALL)
    assert contents(root) == before
    assert (root / "JPEGImages/v00000/00000.jpg").stat().st_mtime_ns == kept
    assert not list(root.glob(".*.partial"))


def test_killed_and_continued(tmp_path):
    """A real SIGKILL of the driver with two workers: nothing stays, the rest is redone."""
    options = {"frames": 12, "objects": 3, "height": 96, "width": 96}
    whole = write_dataset(tmp_path / "whole", 4, **options)
    broken = tmp_path / "broken"
    words = ["--videos", 4, "--frames", 12, "--size", "96x96", "--objects", 3, "--processes", 2]
    command = [sys.executable, "-m", "mose.synthetic", broken, *words]
    process = subprocess.Popen(
        [str(part) for part in command], stderr=subprocess.DEVNULL, start_new_session=True
    )
    images = broken / "test/JPEGImages"
    assert _waited_for(lambda: list(images.glob("v*")))
    process.kill()
    process.wait()
    ended = _waited_for(lambda: not _group_alive(process.pid))
    assert ended, "workers outlive a killed driver"
    write_dataset(broken, 4, **options)
    assert contents(whole) == contents(broken / "test")


def _waited_for(event: Callable[[], object]) -> bool:
    """Whether it comes about within minutes, of which a busy machine may need some."""
    end = time.monotonic() + 180
    while not event() and time.monotonic() < end:
        time.sleep(0.005)
    return bool(event())


def _group_alive(group: int) -> bool:
    """Whether a process of the group still runs (zombies that nobody reaps do not)."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] not in "ZX":
            return True
    return False


def test_refuses_what_is_not_its_own(tmp_path):
    (tmp_path / "test").mkdir()
    (tmp_path / "test/thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="holds something else"):
        write_dataset(tmp_path, 1, **SMALL)
    assert [p.name for p in (tmp_path / "test").iterdir()] == ["thesis.txt"]
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file is in its place"):
        write_dataset(tmp_path / "file", 1, **SMALL)


def test_refuses_other_options_for_the_same_folder(tmp_path):
    write_dataset(tmp_path, 1, **SMALL)
    with pytest.raises(InputError, match="made with other options"):
        write_dataset(tmp_path, 1, seed=1, **SMALL)


def test_a_full_disk_is_one_sentence_and_leaves_whole_videos_only(tmp_path):
    limited = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
        "from stseg.cli import run_command\n"
        "from mose.synthetic.__main__ import main\n"
        f"run_command(lambda _: main([{str(tmp_path)!r}, '--videos', '1', '--size', '96x96']))\n"
    )
    result = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "Traceback" not in result.stderr
    root = tmp_path / "test"
    assert not (root / "JPEGImages").exists()
    assert not list(root.glob(".*.partial"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["OUT"], "--videos"),
        (["OUT", "--videos", "0"], "videos is 0"),
        (["OUT", "--videos", "1", "--split", "tset"], "did you mean 'test'"),
        (["OUT", "--videos", "1", "--frames", "9-3"], "rising"),
        (["OUT", "--videos", "1", "--size", "16x16"], "height is 16"),
        (["OUT", "--videos", "1", "--preset", "esay"], "did you mean 'easy'"),
        (["OUT", "--videos", "1", "--set", "leave"], "KNOB=NUMBER"),
        (["OUT", "--videos", "1", "--set", "leaf=1"], "did you mean 'leave'"),
        (["OUT", "--videos", "1", "--objects", "40"], "objects is 40"),
        (["--stats", "0"], "--stats is 0"),
    ],
)
def test_bad_command_lines_write_nothing(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words):
        main(arguments)
    assert not list(tmp_path.iterdir())


def test_malformed_numbers_are_a_usage_error(capsys):
    for arguments in (["OUT", "--frames", "a-b"], ["OUT", "--size", "12xx"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
        assert "is not of the form" in capsys.readouterr().err


def test_two_writers_do_not_meet(tmp_path, monkeypatch):
    """The second comes while the first is about to write its video."""
    second = []
    write = dataset._write_video

    def writing(*arguments):
        second.append(run(tmp_path, "--videos", 1, "--frames", 4, "--size", "48x64"))
        return write(*arguments)

    monkeypatch.setattr(dataset, "_write_video", writing)
    root = write_dataset(tmp_path, 1, frames=4, height=48, width=64)
    assert [process.returncode for process in second] == [2]
    assert "being written by another process" in second[0].stderr
    assert len(list((root / "JPEGImages/v00000").iterdir())) == 4


def test_stats_prints_a_table(capsys):
    assert main(["--stats", "2", "--size", "64x64", "--frames", "4"]) == 0
    printed = capsys.readouterr().out
    assert "share of clips with a disappearance" in printed
    assert printed.split()[:2] == ["clips", "2.000"]


def test_help_draws_the_layout():
    result = run("--help")
    assert result.returncode == 0
    assert "JPEGImages/v00000/00000.jpg" in result.stdout
