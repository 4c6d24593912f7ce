"""Both real executors with a toy job; Ray with real processes and real kills."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ensemble.execution.driver import RunOutcome, run_pairs
from ensemble.execution.executor import make_executor
from ensemble.execution.inline import InlineExecutor
from ensemble.execution.ray import RayExecutor
from ensemble.scheduling.limits import RunLimits
from ensemble.scheduling.messages import Attempt, LogEntry, MemberSpec, Pair, Workload
from mose import InputError
from stseg.cli import run_command

QUICK = RunLimits(backoff=0.1, settle=0.4, deadline_floor=600.0, first_deadline=600.0)
"""No deadline decides anything, however busy the machine is."""
COST, COST_OF_HANGING = 0.05, 0.0005


def wait_until(true: Callable[[], bool]) -> None:
    """Wait for what is bound to happen; a test that waits in vain is ended from outside."""
    while not true():
        time.sleep(0.05)


class ToyWorker:
    """A video's name says what happens: "sleep-0.1-x", "kill-x", "needs2-x", ...

    "wait-NAME-0.1-x" begins when the file NAME is there, "meet-x" when two processes have come
    that far. Their files lie in the folder ``signals``.
    """

    def __init__(self, member: str, signals: Path):
        self.member, self.signals = member, signals

    def run(self, video: str, attempt: Attempt) -> dict:
        kind, _, rest = video.partition("-")
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif kind == "raise":
            raise ValueError("it cannot be done")
        elif kind == "input":
            raise InputError("frame 3 is damaged")
        elif kind == "hang":
            time.sleep(600)
        elif kind == "eat":
            eaten = []
            while True:
                eaten.append(bytearray(b"x") * (200 << 20))
                time.sleep(0.1)
        elif kind == "full":
            raise OSError(errno.ENOSPC, "No space left on device", "/data/masks")
        elif kind.startswith("needs") and attempt.step < int(kind[5:]):
            raise MemoryError
        elif kind == "meet":
            (self.signals / f"met-{os.getpid()}").touch()
            wait_until(lambda: len([*self.signals.glob("met-*")]) == 2)
        elif kind == "wait":
            name, _, rest = rest.partition("-")
            wait_until((self.signals / name).exists)
        if kind in ("sleep", "wait"):
            time.sleep(float(rest.split("-")[0]))
        return {
            "member": self.member,
            "pid": os.getpid(),
            "attempt": attempt.number,
            "threads": os.environ.get("OMP_NUM_THREADS"),
            "policy": os.environ.get("OMP_WAIT_POLICY"),
        }


@dataclasses.dataclass
class ToyJob:
    signals: Path = Path()
    finishing: float = 0.0
    blind: bool = False

    def check(self) -> None:
        if self.blind or "TOY_BLIND" in os.environ:
            raise InputError("folder /data is not there: share it")

    def start(self, member: str) -> ToyWorker:
        if member == "missing":
            raise InputError("weights x.pth do not exist")
        if member == "broken":
            os.kill(os.getpid(), signal.SIGKILL)
        return ToyWorker(member, self.signals)

    def finish(self, video: str, members: tuple[str, ...]) -> dict:
        time.sleep(self.finishing)
        return {"members": list(members), "pid": os.getpid()}


def run_toy(
    name: str,
    members: str | list[MemberSpec],
    videos: list[str],
    on_event=None,
    limits=QUICK,
    job: ToyJob = ToyJob(),  # noqa: B008
    workers: int = 1,
    **options,
) -> tuple[RunOutcome, list[dict]]:
    """Run every member on every video; ``workers`` is the most that a named member gets."""
    if isinstance(members, str):
        members = [MemberSpec(name, max_workers=workers) for name in members.split()]
    costs = {v: COST_OF_HANGING if v.startswith("hang") else COST for v in videos}
    pairs = [Pair(spec.name, video, costs[video]) for spec in members for video in videos]
    log: list[dict] = []

    def listen(logged: LogEntry) -> None:
        entry = logged.json()
        log.append(entry)
        if on_event is not None:
            on_event(entry)

    executor = make_executor(name, job, **options)
    return run_pairs(executor, Workload(members, pairs, limits=limits), on_event=listen), log


SLEEPS = [f"sleep-0.05-{i}" for i in range(6)]


@pytest.fixture(params=["inline", "ray"])
def executor(request, ray_session) -> str:
    return request.param


def test_an_executor_is_made_by_its_name():
    assert isinstance(make_executor("inline", ToyJob()), InlineExecutor)
    assert isinstance(make_executor("ray", ToyJob()), RayExecutor)


def test_pairs_are_done_and_videos_finished(executor):
    outcome, _ = run_toy(executor, "a b", SLEEPS)
    assert outcome.whole
    assert {key: record["member"] for key, record in outcome.done.items()} == {
        (m, v): m for m in "ab" for v in SLEEPS
    }
    assert {v: r["members"] for v, r in outcome.finished.items()} == {v: ["a", "b"] for v in SLEEPS}


def test_each_kind_of_failure_has_its_own_end(executor):
    videos = [*SLEEPS, "raise-1", "input-1", "needs2-1", "needs9-1"]
    outcome, _ = run_toy(executor, "a missing", videos)
    assert outcome.stopped == {"missing": "weights x.pth do not exist"}
    reasons = {g.video: (g.category, g.attempts) for g in outcome.given_up if g.member == "a"}
    assert reasons == {
        "raise-1": ("error", QUICK.errors),
        "input-1": ("input", 1),
        "needs9-1": ("memory", QUICK.ladder + 1),
    }
    messages = {g.video: g.message for g in outcome.given_up if g.member == "a"}
    assert messages["input-1"] == "frame 3 is damaged"
    assert "ValueError: it cannot be done (test_executors.py:" in messages["raise-1"]
    assert outcome.done["a", "needs2-1"]["attempt"] == 3
    assert set(outcome.finished) == {*SLEEPS, "needs2-1"}


def test_a_full_disk_ends_the_run_with_a_sentence(executor):
    with pytest.raises(InputError, match=r"no space is left on the disk of /data/masks"):
        run_toy(executor, "a", ["full-1"])


def test_killing_a_worker_repeats_its_pair_only(ray_session, tmp_path):
    """The pairs wait until it has happened, so that it does while there is work."""
    victim: list[int] = []
    pids: dict[int, int] = {}

    def kill_once(entry: dict) -> None:
        if entry["event"] == "WorkerUp":
            pids[entry["worker"]] = entry["pid"]
        if entry["event"] == "Run" and not victim and len(pids) > 1:
            victim.append(entry["worker"])
            os.kill(pids[entry["worker"]], signal.SIGKILL)
            (tmp_path / "killed").touch()

    videos = [f"wait-killed-0.0-{i}" for i in range(12)]
    outcome, log = run_toy("ray", "a", videos, kill_once, job=ToyJob(tmp_path), workers=2)
    assert outcome.whole
    assert len(outcome.done) == 12
    lost = [e for e in log if e["event"] == "WorkerLost"]
    assert [(e["worker"], e["loss"]) for e in lost] == [(victim[0], "died")]
    again = [e["video"] for e in log if e["event"] == "Run" and e["attempt"]["number"] > 1]
    assert len(again) <= 1


def test_killing_and_hanging_pairs_are_given_up_and_the_rest_goes_on(ray_session):
    """A deadline is a multiple of what was measured, by cost: a second for the one that hangs
    and says it is small, a hundred times as much for the others; on a busy machine all grow."""
    limits = dataclasses.replace(QUICK, suspect=2, deadline_floor=1.0, deadline_factor=2000.0)
    job = ToyJob(finishing=COST)
    outcome, _ = run_toy("ray", "a", [*SLEEPS, "kill-1", "hang-1"], limits=limits, job=job)
    assert {(g.video, g.category) for g in outcome.given_up} == {
        ("kill-1", "suspect"),
        ("hang-1", "suspect"),
    }
    assert set(outcome.finished) == set(SLEEPS)


def test_killing_all_workers_again_and_again_loses_nothing(ray_session):
    """After every third pair: whatever was running is done again, and nobody is blamed."""
    pids: dict[int, int] = {}
    done = 0

    def kill_all(entry: dict) -> None:
        nonlocal done
        if entry["event"] == "WorkerUp":
            pids[entry["worker"]] = entry["pid"]
        elif entry["event"] in ("WorkerLost", "Stop"):
            pids.pop(entry["worker"], None)
        elif entry["event"] == "Done" and entry["member"]:
            done += 1
            if done in (3, 6, 9):
                for pid in pids.values():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    outcome, log = run_toy("ray", "a", [f"sleep-0.1-{i}" for i in range(15)], kill_all, workers=2)
    assert outcome.whole
    assert len(outcome.done) == 15
    assert outcome.counts["Done"] == 30, "each pair and each video once"
    assert outcome.counts["WorkerLost"] >= 3
    assert {e["loss"] for e in log if e["event"] == "WorkerLost"} == {"died"}


def test_a_member_whose_workers_die_at_their_start_is_taken_out(ray_session):
    limits = RunLimits(backoff=0.05, backoff_cap=0.2, settle=0.4, barren=3)
    outcome, _ = run_toy("ray", "a broken", SLEEPS, limits=limits)
    assert set(outcome.stopped) == {"broken"}
    assert set(outcome.finished) == set(SLEEPS)


def test_workers_are_reused_and_held_to_their_cores(ray_session, tmp_path):
    """The first pair of each waits for that of the other: both work, and at the same time."""
    specs = [MemberSpec("a", num_cpus=2), MemberSpec("b", num_cpus=2)]
    videos = [f"meet-{i}" for i in range(6)]
    outcome, log = run_toy("ray", specs, videos, job=ToyJob(tmp_path))
    assert outcome.whole
    records = [*outcome.done.values()]
    assert {record["threads"] for record in records} == {"2"}
    assert sum(e["event"] == "Start" for e in log) == 2, "two of two cores fit into four"
    pids = [e["pid"] for e in log if e["event"] == "WorkerUp"]
    assert len(pids) == 2
    assert {record["pid"] for record in records} == set(pids)
    assert len(records) == 12, "six for each member"


def test_threads_of_workers_wait_passively(executor, monkeypatch):
    """Neither this process nor the Ray of these tests has the variable before."""
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    policies = set()

    def command(_: object) -> int:
        outcome, _ = run_toy(executor, "a", SLEEPS[:1])
        policies.update(record["policy"] for record in outcome.done.values())
        return 0

    with pytest.raises(SystemExit):
        run_command(command)
    assert policies == {"PASSIVE"}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (MemberSpec("big", num_gpus=8), r"'big' asks for 1 cores, 8 GPUs .* lower"),
        (MemberSpec("wide", num_cpus=64), r"'wide' asks for 64 cores"),
        (MemberSpec("fat", memory=1 << 50), r"'fat' .* 1048576\.0 GiB of memory"),
    ],
)
def test_what_no_node_has_is_said_at_once(ray_session, spec, words):
    with pytest.raises(InputError, match=words):
        run_toy("ray", [MemberSpec("a"), spec], SLEEPS)


def test_a_node_that_does_not_see_the_files_is_refused_at_once(ray_session):
    """The instance that runs here stands for a cluster; a real one: `make soak`."""
    words = "cannot take the work: folder /data is not there: share it"
    with pytest.raises(InputError, match=words):
        run_toy("ray", "a", SLEEPS, job=ToyJob(blind=True), address="here:1")


# A driver of its own, with its own Ray.

PATIENCE = 180.0
"""Seconds after which a process that should end by itself counts as hanging."""

DRIVER = """
import sys
from test_executors import run_toy
def tell(entry):
    print(entry["event"], flush=True)
outcome, _ = run_toy("ray", "a", sys.argv[1:], tell)
import ray
assert not ray.is_initialized()
print("end", *{record["policy"] for record in outcome.done.values()}, flush=True)
"""


def start_driver(tmp_path: Path, *videos: str) -> subprocess.Popen[str]:
    (tmp_path / "home").mkdir()
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[3])]
    environment = {name: v for name, v in os.environ.items() if not name.startswith("RAY_")}
    environment |= {
        "HOME": str(tmp_path / "home"),
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_WAIT_POLICY": "ACTIVE",
    }
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, *videos],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A suite in a shell's background ignores Ctrl-C, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(driver: subprocess.Popen[str], word: str) -> None:
    assert driver.stdout is not None
    for line in driver.stdout:
        if line.strip() == word:
            return
    raise AssertionError(f"the driver ended without {word}")


def gone(processes: list[psutil.Process]) -> bool:
    """Whether all of them have ended, or do soon."""
    assert processes
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE)
    return not alive


@pytest.mark.slow
def test_an_embedded_run_leaves_nothing_behind(tmp_path, ray_session):
    """No token in the home folder, no process; nor does it join the instance that runs here.
    Its workers have the environment that the user gave it."""
    driver = start_driver(tmp_path, *SLEEPS)
    wait_for(driver, "Run")
    children = psutil.Process(driver.pid).children(recursive=True)
    output, errors = driver.communicate(timeout=PATIENCE)
    assert (driver.returncode, errors) == (0, "")
    assert output.split()[-2:] == ["end", "ACTIVE"]
    assert list((tmp_path / "home").iterdir()) == []
    assert list(ray_session.iterdir()) == []
    assert gone(children)


def test_ctrl_c_ends_everything(tmp_path):
    driver = start_driver(tmp_path, "hang-1", "hang-2")
    wait_for(driver, "Run")
    children = psutil.Process(driver.pid).children(recursive=True)
    driver.send_signal(signal.SIGINT)
    _, errors = driver.communicate(timeout=PATIENCE)
    assert driver.returncode != 0
    assert "KeyboardInterrupt" in errors
    assert gone(children)


def test_killing_the_driver_ends_its_workers(tmp_path):
    """Ray's own agents follow within a minute or so."""
    driver = start_driver(tmp_path, "hang-1", "hang-2")
    wait_for(driver, "Run")
    children = psutil.Process(driver.pid).children(recursive=True)
    workers = [p for p in children if "_Actor" in " ".join(p.cmdline())]
    driver.kill()
    driver.communicate(timeout=PATIENCE)
    assert gone(workers)
