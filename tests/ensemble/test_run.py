"""The main command: what it writes, resuming after a kill, bad input."""

import json
import os
import signal
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import yaml
from small_runs import MEMBERS, arguments, contents, make_video

from adapters.weights.store import PRETRAINED
from ensemble import run as command
from ensemble.execution.run_log import RunLog
from ensemble.scheduling.messages import Run, WorkerUp
from ensemble.storage.predictions import Prediction
from mose import InputError
from mose.masks import read_mask
from selection.calibration import Calibration
from stseg.files import file_digest


def make_data(folder):
    root = folder / "some data"
    for name, frames in (("a", 5), ("b", 7), ("one frame", 1)):
        make_video(root, name, frames)
    make_video(root, "late", 6, late=True)
    return root


def make_config(folder):
    path = folder / "c.yaml"
    path.write_text(yaml.safe_dump({"members": MEMBERS}))
    return path


@pytest.fixture
def data(tmp_path):
    return make_data(tmp_path)


@pytest.fixture
def config(tmp_path):
    return make_config(tmp_path)


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """An undisturbed run over the same data."""
    folder = tmp_path_factory.mktemp("calm")
    run = arguments(make_data(folder), make_config(folder), folder / "run")
    assert command.main(run) == 0
    return folder / "run"


def test_everything_is_written(data, config, tmp_path, capsys):
    out = tmp_path / "run"
    assert command.main(arguments(data, config, out, "--labels", "Labels")) == 0
    printed = capsys.readouterr().out
    assert "oracle" in printed
    assert "selected" in printed
    for name, frames in (("a", 5), ("b", 7), ("one frame", 1), ("late", 6)):
        assert len(list((out / "masks" / name).iterdir())) == frames
        assert len(list((out / "pseudo-labels" / name).iterdir())) == frames
        record = json.loads((out / "selection" / f"{name}.json").read_text())
        assert record["winner"] in ("flow", "hold", "pseudo-label")
        assert [row["name"] for row in record["candidates"]] == ["flow", "hold", "pseudo-label"]
    with zipfile.ZipFile(out / "submission.zip") as archive:
        assert len(archive.namelist()) == 19
        assert "a/00000.png" in archive.namelist()
    summary = json.loads((out / "summary.json").read_text())
    assert summary["videos"] == 4
    assert summary["truth"]["oracle"] >= summary["truth"]["selected"]
    assert len((out / "selection.csv").read_text().splitlines()) == 5
    assert json.loads((out / "failures.json").read_text()) == {"failures": []}
    assert not list((out / "predictions").rglob("frames.bin"))


def test_given_masks_are_written_verbatim(data, calm):
    for folder in ("masks", "pseudo-labels"):
        first = read_mask(calm / folder / "late" / "00000.png")
        np.testing.assert_array_equal(first, read_mask(data / "Annotations/late/00000.png"))
        later = read_mask(calm / folder / "late" / "00002.png")
        given = read_mask(data / "Annotations/late/00002.png")
        assert (later[given > 0] == 9).all()
        assert (later == 3).any()


def test_results_do_not_depend_on_what_was_done_before(data, config, tmp_path, calm):
    pieces = tmp_path / "pieces"
    command.main(arguments(data, config, pieces, "--videos", "b"))
    assert set(contents(pieces)) < set(contents(calm))
    before = (pieces / "masks/b/00003.png").stat().st_mtime_ns
    command.main(arguments(data, config, pieces))
    assert contents(pieces) == contents(calm)
    assert (pieces / "masks/b/00003.png").stat().st_mtime_ns == before


def test_second_run_does_nothing_and_changed_options_do(data, config, tmp_path):
    out = tmp_path / "run"
    command.main(arguments(data, config, out, "--keep-soft"))
    events = (out / "events.jsonl").read_text()
    command.main(arguments(data, config, out, "--keep-soft"))
    assert (out / "events.jsonl").read_text() == events
    command.main(arguments(data, config, out, "--keep-soft", "--set", "fusion.rule=vote"))
    new = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    runs = [e for e in new[len(events.splitlines()) :] if e["event"] == "Run"]
    assert runs == []  # predictions are kept: only fused again
    assert json.loads((out / "selection/a.json").read_text())["fusion"] == "vote"


def test_damaged_prediction_is_made_again_never_used(data, config, tmp_path, calm):
    out = tmp_path / "run"
    command.main(arguments(data, config, out, "--keep-soft"))
    path = out / "predictions/flow/a/frames.bin"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    path.write_bytes(damaged)
    (out / "selection/a.json").unlink()
    assert command.main(arguments(data, config, out, "--keep-soft")) == 0
    assert contents(out) == contents(calm)
    assert len(Prediction(out / "predictions/flow/a")) == 5


KILLED = """
import os, signal, sys
from ensemble import run
from ensemble.execution.run_log import RunLog
events, log = int(sys.argv[1]), RunLog.__call__
def killing(self, entry):
    global events
    log(self, entry)
    events -= 1
    if not events:
        os.kill(os.getpid(), signal.SIGKILL)
RunLog.__call__ = killing
run.main(sys.argv[2:])
"""


@pytest.mark.parametrize("events", [pytest.param(2, marks=pytest.mark.soak), 8])
def test_killed_driver_leaves_nothing_wrong(data, config, tmp_path, calm, events):
    """After so many events; at random moments: `make soak`."""
    out = tmp_path / "killed"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(events), *arguments(data, config, out)],
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL
    assert command.main(arguments(data, config, out)) == 0
    assert contents(out) == contents(calm)


def test_one_bad_video_does_not_stop_the_others(data, config, tmp_path, capsys):
    (data / "JPEGImages/b/00004.jpg").write_bytes(
        (data / "JPEGImages/b/00004.jpg").read_bytes()[:300]
    )
    (data / "Annotations/late/00000.png").unlink()
    (data / "Annotations/late/00002.png").unlink()
    out = tmp_path / "run"
    assert command.main(arguments(data, config, out)) == 1
    assert sorted(p.name for p in (out / "masks").iterdir()) == ["a", "b", "one frame"]
    failures = json.loads((out / "failures.json").read_text())["failures"]
    by_video = {failure["video"]: failure for failure in failures}
    assert by_video["b"]["member"] == "flow"
    assert "00004.jpg" in by_video["b"]["message"]
    assert "late" in by_video["late"]["message"]
    # mended, the same command finishes the rest
    make_video(data, "b", 7)
    make_video(data, "late", 6, late=True)
    assert command.main(arguments(data, config, out)) == 0
    calm = tmp_path / "calm"
    command.main(arguments(data, config, calm))
    assert contents(out) == contents(calm)


def test_member_that_cannot_start_does_not_stop_the_others(data, config, tmp_path):
    broken = {"name": "theirs", "adapter": "folder", "options": {"path": str(tmp_path / "none")}}
    config.write_text(yaml.safe_dump({"members": [*MEMBERS, broken]}))
    out = tmp_path / "run"
    assert command.main(arguments(data, config, out)) == 1
    assert len(list((out / "masks").iterdir())) == 4
    record = json.loads((out / "selection/a.json").read_text())
    assert record["missing_members"] == ["theirs"]


BAD = {
    "no such split": (["--split", "tset"], "tset"),
    "no such data set": (["--dataset", "nowhere"], "nowhere"),
    "no such member": (["--members", "flwo"], "did you mean 'flow'"),
    "no such video": (["--videos", "zzz"], "zzz"),
    "no such device": (["--device", "cuda:7"], "cuda:7"),
    "no such key": (["--set", "fusion.ruel=vote"], "fusion.rule"),
    "no such rule": (["--set", "fusion.rule=best"], "pgmr"),
    "no such config": (["--config", "nothing.yaml"], "nothing.yaml"),
    "no such labels": (["--labels", "Truth"], "Truth"),
    "no such adapter": (["--set", "members.flow.adapter=flwo"], "flow"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_nothing_is_written(data, config, tmp_path, case):
    more, words = BAD[case]
    out = tmp_path / "run"
    with pytest.raises(InputError) as error:
        command.main(arguments(data, config, out, *more))
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert not out.exists()


def test_command_exits_with_2_and_one_line(data, config, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "ensemble.run", *arguments(data, config, tmp_path / "r"),
         "--members", "nobody"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown member 'nobody'")
    assert len(done.stderr.splitlines()) == 1


def test_run_folder_of_another_data_set_is_refused(data, config, tmp_path):
    out = tmp_path / "run"
    command.main(arguments(data, config, out, "--videos", "a"))
    other = tmp_path / "other"
    make_video(other, "a")
    with pytest.raises(InputError, match="belongs to a run over dataset"):
        command.main(arguments(other, config, out))
    assert command.main(arguments(other, config, out, "--overwrite")) == 0


def test_foreign_folder_is_never_touched(data, config, tmp_path):
    out = tmp_path / "holiday"
    out.mkdir()
    (out / "photo.jpg").write_bytes(b"x")
    for more in ([], ["--overwrite"]):
        with pytest.raises(InputError, match="holds other things"):
            command.main(arguments(data, config, out, *more))
    assert (out / "photo.jpg").read_bytes() == b"x"


def test_dry_run_prints_the_plan_and_writes_nothing(data, config, tmp_path, capsys):
    out = tmp_path / "run"
    assert command.main(arguments(data, config, out, "--dry-run")) == 0
    printed = capsys.readouterr().out
    assert "8 pairs to run" in printed
    assert "not here yet" not in printed
    assert not out.exists()


def test_dry_run_says_which_weights_are_missing(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("STSEG_WEIGHTS", str(tmp_path / "empty"))
    path = tmp_path / "c.yaml"
    members = ["xmem", "cutie", {"extends": "sam2-tiny", "cost": 32.8}, "demo-tmo"]
    path.write_text(yaml.safe_dump({"members": members}))
    assert command.main(arguments(data, path, tmp_path / "run", "--dry-run")) == 0
    printed = capsys.readouterr().out
    rows = {line.split()[0]: line.split() for line in printed.splitlines() if line.strip()}
    names = ("xmem", "cutie", "sam2-tiny", "demo-tmo")
    assert [int(rows[name][4]) for name in names] == [8, 4, 88, 0]
    assert [rows[name][5] for name in names] == ["measured", "measured", "estimated", "estimated"]
    assert float(rows["xmem"][6]) > float(rows["demo-tmo"][6]) > 0
    assert [rows[name][7] for name in names] == ["estimated", "measured", "estimated", "measured"]
    assert "weights that are not here yet: xmem, cutie-base-mega, sam2.1-hiera-tiny" in printed
    assert "python -m adapters.weights fetch xmem cutie-base-mega sam2.1-hiera-tiny" in printed


@pytest.mark.parametrize("said", [False, True])
def test_calibration_of_other_weights_is_told(data, tmp_path, capsys, said):
    weights = PRETRAINED / "demo-tmo.safetensors"
    stored = "0" * 64 if said else file_digest(weights)
    source = {"members": {"tmo": {"weights_sha256": stored}, "flow": {"weights_sha256": None}}}
    Calibration("mine", source, {"tmo": 0.4, "flow": 0.4}).save(tmp_path / "mine.json")
    member = {"name": "tmo", "adapter": "tmo", "weights": str(weights), "prior": 40}
    path = tmp_path / "c.yaml"
    settings = {"members": [*MEMBERS, member], "calibration": str(tmp_path / "mine.json")}
    path.write_text(yaml.safe_dump(settings))
    assert command.main(arguments(data, path, tmp_path / "run", "--dry-run")) == 0
    printed = capsys.readouterr().out
    assert ("calibration mine was measured with other weights of tmo" in printed) == said
    assert printed.count("other weights") == said


def test_help_imports_neither_torch_nor_ray():
    code = (
        "import sys\n"
        "from ensemble import run\n"
        "try:\n    run.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules and 'ray' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_killed_workers_leave_nothing_wrong(data, config, tmp_path, calm, ray_session, monkeypatch):
    """The first two workers, each as soon as it has work."""
    out = tmp_path / "killed"
    pids, killed, log = {}, [], RunLog.__call__

    def killing(self, entry):
        log(self, entry)
        event = entry.message
        if isinstance(event, WorkerUp):
            pids[event.worker] = event.pid
        elif isinstance(event, Run) and len(killed) < 2 and pids[event.worker] not in killed:
            killed.append(pids[event.worker])
            os.kill(killed[-1], signal.SIGKILL)

    monkeypatch.setattr(RunLog, "__call__", killing)
    ray = arguments(data, config, out)
    ray[ray.index("inline")] = "ray"
    assert command.main(ray) == 0
    assert len(killed) == 2
    assert contents(out) == contents(calm)
