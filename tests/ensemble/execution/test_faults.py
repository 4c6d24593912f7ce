"""The main command against what disks, files, members and other drivers do to it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faulty
import pytest
import yaml
from small_runs import MEMBERS, contents, make_video

from adapters.weights import catalogue
from adapters.weights import store as weights
from adapters.weights.catalogue import Checkpoint
from ensemble import job as worker
from ensemble import run as command
from ensemble.execution import lease
from ensemble.execution.lease import Fenced, held
from ensemble.execution.setup import specs_of, wanted_room
from ensemble.job import find_weights
from ensemble.plan import make_job, open_data
from ensemble.run import configure, parser
from ensemble.scheduling.messages import Attempt, Shape
from ensemble.storage.run_directory import RunDirectory
from mose import InputError
from stseg.cli import run_command

ROOT = Path(__file__).parents[3]


def make_data(folder: Path) -> Path:
    root = folder / "data"
    for name in ("a", "b", "c"):
        make_video(root, name, 5)
    return root


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path)


def arguments(data: Path, output: Path, *more: object, members: list = MEMBERS) -> list[str]:
    config = data.parent / "c.yaml"
    config.write_text(yaml.safe_dump({"members": members}))
    return [
        *("--dataset", str(data), "--split", "test", "--config", str(config)),
        *("--output", str(output), "--executor", "inline", *map(str, more)),
    ]


def in_a_process(arguments: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ensemble.run", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=400, **options,
    )  # fmt: skip


def in_this_process(arguments: list[str], capsys: pytest.CaptureFixture) -> tuple[object, str]:
    """Exit code and standard error of the command, without starting Python anew."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        run_command(lambda _: command.main(arguments))
    return ended.value.code, capsys.readouterr().err


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Hashes of what an undisturbed run over the same data writes."""
    folder = tmp_path_factory.mktemp("calm")
    run = arguments(make_data(folder), folder / "run", "--set", "output.report=false")
    assert command.main(run) == 0
    return contents(folder / "run")


# Disks.


@contextlib.contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[tuple[dict, Callable[[], None]]]:
    """A disk of so many KiB at ``folder``: options of a process on it, and how to make it large.

    Where nothing may be mounted, no file of the process may be larger than an eighth of that.
    """
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        largest = (kib * 128, kib * 128)
        yield {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, largest)}, list
        return
    try:
        grow = ["mount", "-o", "remount,size=64m", str(folder)]
        yield {}, lambda: subprocess.run(grow, check=True)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("kib", [12, *(pytest.param(k, marks=pytest.mark.slow) for k in (60, 132))])
def test_full_disk_ends_the_run_and_room_completes_it(data, calm, tmp_path, kib, capsys):
    """Full at the start, in the midst of predictions, and while videos are finished."""
    with small_disk(tmp_path / "disk", kib) as (limits, enlarge):
        more = ("--set", "output.report=false")
        run = arguments(data, tmp_path / "disk" / "run", *more)
        if limits:
            ended = in_a_process(run, **limits)
            code, errors = ended.returncode, ended.stderr
        else:
            code, errors = in_this_process(run, capsys)
        assert code == 2
        assert errors.splitlines()[-1].startswith("error: no space is left on the disk of")
        assert "Traceback" not in errors
        assert not (tmp_path / "disk/run/submission.zip").exists()
        enlarge()
        assert command.main(run) == 0
        assert contents(tmp_path / "disk" / "run") == calm
        assert not list((tmp_path / "disk").rglob("*.partial"))


def test_output_that_may_not_be_written(data, capsys):
    code, errors = in_this_process(arguments(data, Path("/sys/run")), capsys)
    assert code == 2
    assert errors.startswith("error: /sys/run may not be written")
    assert len(errors.splitlines()) == 1


# Files.


def before_finishing(monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], object]) -> None:
    """Do something to the run folder right before its first video is finished."""
    finish, done = worker.RunJob.finish, []

    def harmed(job, video, members):
        if not done:
            done.append(harm(job.root))
        return finish(job, video, members)

    monkeypatch.setattr(worker.RunJob, "finish", harmed)


def flip_a_bit(root: Path) -> None:
    for path in root.glob("predictions/flow/*/frames.bin"):
        damaged = bytearray(path.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        path.write_bytes(damaged)


def lose_a_file(root: Path) -> None:
    for path in root.glob("predictions/flow/*/index.npy"):
        path.unlink()


def lose_the_folder(root: Path) -> None:
    for path in root.glob("predictions/flow/*"):
        shutil.rmtree(path)


@pytest.mark.parametrize("harm", [flip_a_bit, lose_a_file, lose_the_folder])
def test_spoilt_prediction_is_made_again_by_the_same_run(data, calm, tmp_path, monkeypatch, harm):
    before_finishing(monkeypatch, harm)
    out = tmp_path / "run"
    assert command.main(arguments(data, out, "--set", "output.report=false")) == 0
    assert contents(out) == calm
    log = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    assert sum(entry["event"] == "Plan" for entry in log) == 2
    assert [(e["member"]) for e in log if e["event"] == "Run"].count("hold") == 3, "not again"


def test_frame_that_vanishes_under_a_member_costs_its_pair(data, calm, tmp_path, monkeypatch):
    from adapters.flow import FlowSegmenter

    frame, kept = data / "JPEGImages/b/00003.jpg", data / "kept.jpg"
    segment = FlowSegmenter.segment

    def losing(self, video):
        if video.name == "b":
            frame.rename(kept)
        return segment(self, video)

    out = tmp_path / "run"
    run = arguments(data, out, "--set", "output.report=false")
    with monkeypatch.context() as patch:
        patch.setattr(FlowSegmenter, "segment", losing)
        assert command.main(run) == 1
    (failure,) = json.loads((out / "failures.json").read_text())["failures"]
    assert (failure["video"], failure["member"], failure["category"]) == ("b", "flow", "input")
    assert str(frame) in failure["message"]
    kept.rename(frame)
    assert command.main(run) == 0
    assert contents(out) == calm


def test_frame_that_vanishes_before_finishing_has_all_members_redone(data, tmp_path, monkeypatch):
    """Their predictions would not be of the same frames."""

    def lose_a_frame(root: Path) -> None:
        (data / "JPEGImages/b/00003.jpg").unlink()

    before_finishing(monkeypatch, lose_a_frame)
    out = tmp_path / "run"
    assert command.main(arguments(data, out, "--set", "output.report=false")) == 0
    command.main(arguments(data, tmp_path / "calm", "--set", "output.report=false"))
    assert contents(out) == contents(tmp_path / "calm")
    assert len(list((out / "masks/b").iterdir())) == 4


def test_masks_that_vanished_from_a_finished_run_are_made_again(data, calm, tmp_path):
    out = tmp_path / "run"
    run = arguments(data, out, "--set", "output.report=false")
    command.main(run)
    (out / "masks/a/00002.png").unlink()
    assert command.main(run) == 0
    assert contents(out) == calm


# Drivers.


HOLD = """
import sys
from ensemble.execution.lease import held
with held(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def files_of_a_run(out: Path) -> dict[Path, object]:
    """When each was written; of the lease, which its holder touches now and then, what it says."""
    return {
        path: path.read_text() if path.name == lease.LEASE else path.stat().st_mtime_ns
        for path in out.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("more", [(), pytest.param(("--overwrite",), marks=pytest.mark.slow)])
def test_second_driver_is_refused_and_touches_nothing(data, tmp_path, more, capsys):
    out = tmp_path / "run"
    assert command.main(arguments(data, out, "--videos", "a")) == 0
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(out)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert first.stdout.readline() == "held\n"
        before = files_of_a_run(out)
        code, errors = in_this_process(arguments(data, out, *more), capsys)
        assert code == 2
        assert errors.startswith(f"error: run {out} is being worked on by process")
        assert files_of_a_run(out) == before
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.communicate()
    assert command.main(arguments(data, out)) == 0, "a dead driver's run is taken over"


def test_late_writes_of_a_dead_drivers_worker_are_left_out(data, tmp_path):
    """It has segmented, or finished, a video when another driver takes the run over."""
    config = configure(parser().parse_args(arguments(data, tmp_path / "run")))
    run = RunDirectory(tmp_path / "run")
    run.root.mkdir()
    dataset = open_data(config, tmp_path)
    with held(run.root) as first:
        job = make_job(config, dataset, run, first)
        flow, hold = job.start("flow"), job.start("hold")
        flow.run("a", Attempt(token="1"))
        (run.root / lease.LEASE).unlink()  # as one that dies leaves it, but at once
        with held(run.root):
            with pytest.raises(Fenced, match="another driver"):
                hold.run("a", Attempt(token="2"))
            with pytest.raises(Fenced, match="another driver"):
                job.finish("a", ("flow",))
            with pytest.raises(Fenced, match="another driver"):
                job.start("hold")
            files = sorted(str(p.relative_to(run.root)) for p in run.root.rglob("*.*"))
            assert [name for name in files if not name.startswith("predictions/flow/a/")] == [
                "lease.json"
            ]


# Members.


CATEGORIES = {"kills": "suspect", "hangs": "suspect", "raises": "error", "eats": "memory"}


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param(("kills", "raises", "eats"), marks=pytest.mark.slow),
        pytest.param((*CATEGORIES,), marks=pytest.mark.soak),
    ],
)
def test_faulty_members_cost_what_they_spoil_and_nothing_else(tmp_path, spoilt):
    """On real workers: pairs that kill, hang, raise and eat memory; a member without weights.

    A deadline is a multiple of what was measured, by frames: the short video that hangs gets
    seconds, the others minutes; on a busy machine all grow.
    """
    data = tmp_path / "data"
    for name in ("a", *spoilt):
        make_video(data, name, 2 if name == "hangs" else 16)
    good = MEMBERS[-1:]
    reference = arguments(data, tmp_path / "calm", "--set", "output.report=false", members=good)
    assert command.main(reference) == 0
    members = [
        *good,
        {"name": "faulty", "adapter": "faulty", "prior": 20},
        {"name": "weightless", "adapter": "xmem", "weights": str(tmp_path / "x.pth")},
    ]
    plugin = tmp_path / "plugin" / "faulty-1.0.dist-info"
    plugin.mkdir(parents=True)
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1.0\n")
    (plugin / "entry_points.txt").write_text(faulty.ENTRY_POINT)
    out = tmp_path / "run"
    run = arguments(data, out, "--set", "output.report=false", members=members)
    run[run.index("inline")] = "ray"
    paths = [str(ROOT), str(Path(__file__).parent), str(plugin.parent)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, faulty.__file__, *run],
        cwd=ROOT, capture_output=True, text=True, timeout=600,
        env={**environment, "PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr[-3000:]
    failures = json.loads((out / "failures.json").read_text())["failures"]
    of_faulty = {f["video"]: f["category"] for f in failures if f["member"] == "faulty"}
    assert of_faulty == {name: CATEGORIES[name] for name in spoilt}
    of_weightless = [f for f in failures if f["member"] == "weightless"]
    assert [f["category"] for f in of_weightless] == ["member"] * (1 + len(spoilt))
    assert all("x.pth" in f["message"] for f in of_weightless)
    for name in ("a", *spoilt):
        record = json.loads((out / f"selection/{name}.json").read_text())
        expected = (["faulty"] if name in spoilt else []) + ["weightless"]
        assert record["missing_members"] == expected
    # What the spoilt videos get is what the whole members alone give.
    calm, here = contents(tmp_path / "calm"), contents(out)
    for name in spoilt:
        of = {k: v for k, v in calm.items() if f"/{name}/" in k and k.startswith("masks")}
        assert of == {k: v for k, v in here.items() if k in of}


def test_weights_are_fetched_once_and_only_where_asked_for(tmp_path, monkeypatch):
    asked = []

    def download(address, partial, **_):
        asked.append(address.url)
        time.sleep(0.1)  # for the others to come, if they do not wait
        partial.write_bytes(b"weights")

    sha256 = hashlib.sha256(b"weights").hexdigest()
    entry = Checkpoint("tiny", "xmem", "tiny.pth", "MIT", url="http://here/t", sha256=sha256)
    monkeypatch.setattr(catalogue, "read_catalogue", lambda: {"tiny": entry})
    monkeypatch.setattr(weights, "download", download)
    monkeypatch.setenv("STSEG_WEIGHTS", str(tmp_path))
    with pytest.raises(InputError, match=r"adapters\.weights fetch tiny"):
        find_weights("tiny")
    together = threading.Barrier(4)

    def find(_):
        together.wait()
        return find_weights("tiny", fetch=True)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(find, range(4)))
    assert found == [tmp_path / "tiny.pth"] * 4
    assert asked == ["http://here/t"]


def test_more_gpus_than_there_are_is_said_before_anything_is_written(data, tmp_path):
    with pytest.raises(InputError, match="cuda"):
        command.main(arguments(data, tmp_path / "run", "--device", "cuda:7"))
    assert not (tmp_path / "run").exists()


def test_growing_cluster_is_asked_for_what_the_configuration_says(data, tmp_path):
    members = [
        {"name": "half", "adapter": "hold", "num_gpus": 0.5, "num_cpus": 3, "memory": 1 << 30},
        {"name": "whole", "adapter": "hold"},
    ]
    run = arguments(data, tmp_path / "run", "--device", "cuda", members=members)
    assert wanted_room(configure(parser().parse_args(run))) is None
    wanted = wanted_room(configure(parser().parse_args([*run, "--set", "execution.gpus=4"])))
    assert wanted == Shape(cpus=4 * 6 + 4, gpus=4, memory=4 << 30)
    specs = specs_of(configure(parser().parse_args(run)))
    assert all(spec.shape.fits(wanted) for spec in specs)
