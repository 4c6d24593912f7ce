"""The scheduler, driven through `run_pairs` by simulated workers and faults."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble.execution.driver import RunOutcome, run_pairs
from ensemble.execution.simulated import Blow, Fate, SimulatedExecutor
from ensemble.scheduling.limits import RunLimits
from ensemble.scheduling.messages import (
    FINISH,
    Action,
    Event,
    Finish,
    Load,
    LogEntry,
    MemberSpec,
    Pair,
    Run,
    Shape,
    Start,
    Tick,
    Workload,
)
from ensemble.scheduling.scheduler import Scheduler
from mose import InputError
from stseg.failures import FailureKind

LIMITS = RunLimits(deadline_floor=50.0, first_deadline=200.0, start_deadline=100.0)


def calm(action: Action, now: float) -> Fate:
    """Processes start in 2 s, members load in 3 s; a video named "7" takes 7 s."""
    if isinstance(action, Start):
        return Fate(2.0)
    if isinstance(action, Load):
        return Fate(3.0 if action.member else 0.0)
    if isinstance(action, Run):
        return Fate(float(action.video.split("-")[0]))
    return Fate(0.1)


def pairs_of(members: str, videos: list[str]) -> list[Pair]:
    return [Pair(m, v, float(v.split("-")[0])) for m in members for v in videos]


def simulate(
    members: str | list[MemberSpec],
    videos: list[str],
    fate=calm,
    nodes: tuple[Shape, ...] = (Shape(4.0),),
    blows: tuple[Blow, ...] = (),
    limits: RunLimits = LIMITS,
    **more,
) -> tuple[RunOutcome, list[dict]]:
    specs = [MemberSpec(m) for m in members] if isinstance(members, str) else members
    pairs = pairs_of("".join(s.name for s in specs), videos)
    log: list[dict] = []
    executor = SimulatedExecutor(nodes, fate, blows)
    work = Workload(specs, pairs, limits=limits, **more)
    outcome = run_pairs(executor, work, on_event=lambda entry: log.append(entry.json()))
    return outcome, log


def runs(log: list[dict], **wanted) -> list[dict]:
    found = [entry for entry in log if entry["event"] == "Run"]
    return [e for e in found if all(e[key] == value for key, value in wanted.items())]


# Whatever happens.


class Checks:
    """Follows a log and fails on anything that must never be."""

    def __init__(self, specs: list[MemberSpec], pairs: list[Pair], room: Shape | None):
        self.specs = {spec.name: spec for spec in specs}
        self.units = {(p.member, p.video): p.units for p in pairs}
        self.members_of = defaultdict(set)
        for pair in pairs:
            self.members_of[pair.video].add(pair.member)
        self.room = room
        self.workers: dict[int, list] = {}
        self.settled: dict[tuple[str, str], str] = {}
        self.attempts: Counter = Counter()
        self.tokens: set[str] = set()
        self.failures: Counter = Counter()

    def __call__(self, logged: LogEntry) -> None:
        entry = logged.json()
        handler = getattr(self, f"on_{entry['event'].lower()}", None)
        if handler is not None:
            handler(entry)

    def on_start(self, entry: dict) -> None:
        assert entry["worker"] not in self.workers
        self.workers[entry["worker"]] = [entry["member"], None, Shape(**entry["shape"])]
        holders = Counter(member for member, _, _ in self.workers.values())
        limit = self.specs[entry["member"]].max_workers if entry["member"] else None
        assert limit is None or holders[entry["member"]] <= limit
        if self.room is not None:
            assert sum(shape.cpus for _, _, shape in self.workers.values()) <= self.room.cpus
            assert sum(shape.gpus for _, _, shape in self.workers.values()) <= self.room.gpus

    def on_load(self, entry: dict) -> None:
        assert self.workers[entry["worker"]][1] is None
        self.workers[entry["worker"]][0] = entry["member"]
        assert self.workers[entry["worker"]][2] == self.specs[entry["member"]].shape

    def begin(self, entry: dict, item: tuple[str, str]) -> None:
        worker = self.workers[entry["worker"]]
        assert worker[1] is None, "two items on one worker"
        assert item not in self.settled, "an item that is settled was run again"
        assert all(item != busy for _, busy, _ in self.workers.values()), "run twice at a time"
        worker[1] = item
        self.attempts[item] += 1
        assert entry["attempt"]["number"] == self.attempts[item]
        assert entry["attempt"]["token"] not in self.tokens
        self.tokens.add(entry["attempt"]["token"])
        assert entry["attempt"]["step"] <= LIMITS.ladder

    def on_run(self, entry: dict) -> None:
        item = entry["member"], entry["video"]
        assert self.workers[entry["worker"]][0] == entry["member"]
        if not self.attempts[item]:
            longer = [
                other
                for other, units in self.units.items()
                if other[0] == item[0] and units > self.units[item] and not self.attempts[other]
            ]
            assert not [other for other in longer if other not in self.settled], "not longest first"
        self.begin(entry, item)

    def on_finish(self, entry: dict) -> None:
        video = entry["video"]
        assert self.workers[entry["worker"]][2].gpus == 0
        states = {m: self.settled.get((m, video)) for m in self.members_of[video]}
        assert None not in states.values(), "finished before its pairs are settled"
        assert set(entry["members"]) == {m for m, state in states.items() if state == "done"}
        assert list(entry["members"]) == [m for m in self.specs if m in entry["members"]]
        self.begin(entry, (FINISH, video))

    def end(self, entry: dict) -> tuple[str, str] | None:
        worker = self.workers.get(entry["worker"])
        if worker is None:
            return None
        item, worker[1] = worker[1], None
        return item

    def on_done(self, entry: dict) -> None:
        self.settled[self.end(entry)] = "done"

    def on_failed(self, entry: dict) -> None:
        self.failures[self.end(entry), entry["failure"]] += 1

    def on_workerlost(self, entry: dict) -> None:
        item = self.end(entry)
        self.workers.pop(entry["worker"], None)
        self.failures[item, entry["loss"]] += 1

    def on_stop(self, entry: dict) -> None:
        item = self.end(entry)
        self.workers.pop(entry["worker"], None)
        if item is not None:
            self.failures[item, "hang"] += 1

    def on_giveup(self, entry: dict) -> None:
        item = entry["member"], entry["video"]
        assert item not in self.settled
        self.settled[item] = "given up"

    def close(self, outcome: RunOutcome, limits: RunLimits) -> None:
        """Everything is settled once, and no budget was exceeded."""
        items = {*self.units, *((FINISH, video) for video in self.members_of)}
        assert set(self.settled) == items
        assert set(outcome.done) == {i for i in self.units if self.settled[i] == "done"}
        assert {(g.member, g.video) for g in outcome.given_up} == set(self.units) - set(
            outcome.done
        )
        assert set(outcome.finished) | {g.video for g in outcome.unfinished} == set(self.members_of)
        total = limits.infrastructure + limits.suspect + limits.errors + 2 * limits.ladder + 2
        for item, count in self.attempts.items():
            assert count <= total
            assert self.failures[item, "input"] <= 1
            assert self.failures[item, "error"] <= limits.errors
            assert self.failures[item, "hang"] <= limits.suspect
            assert self.failures[item, "memory"] <= limits.ladder + 2


SHAPES = [(1.0, 0.0), (2.0, 0.0), (1.0, 1.0), (1.0, 0.5)]


@st.composite
def worlds(draw):
    """Members, videos and a stream of fates and blows."""
    specs = []
    for name in "abc"[: draw(st.integers(1, 3))]:
        cpus, gpus = draw(st.sampled_from(SHAPES))
        limit = draw(st.sampled_from([None, None, 1, 2]))
        specs.append(MemberSpec(name, num_cpus=cpus, num_gpus=gpus, max_workers=limit))
    lengths = draw(st.lists(st.integers(1, 30), min_size=1, max_size=8))
    videos = [f"{length}-{index}" for index, length in enumerate(lengths)]
    nodes = tuple(Shape(float(c), 2.0) for c in draw(st.sampled_from([(2,), (4,), (3, 2)])))
    fault = st.sampled_from(
        ["ok"] * 12
        + ["input", "error", "broken", "memory", "died", "node", "memory loss", "hang", "slow"]
    )
    faults = draw(st.lists(fault, max_size=60))
    blow = st.builds(
        Blow,
        time=st.floats(0, 100),
        kind=st.sampled_from(["workers", "node"]),
        numbers=st.tuples(st.integers(0, 7)),
        seconds=st.floats(1, 60),
    )
    blows = draw(st.lists(blow, max_size=6))
    return specs, videos, nodes, faults, tuple(blows)


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_every_item_is_settled_once_within_its_budgets(world):
    specs, videos, nodes, faults, blows = world
    stream = iter(faults)

    def fate(action: Action, now: float) -> Fate:
        fault = next(stream, "ok")
        base = calm(action, now)
        if fault == "hang":
            return Fate(float("inf"))
        if fault == "slow":
            return Fate(base.seconds * 10)
        if fault in ("died", "node"):
            return Fate(base.seconds / 2, loss=fault)
        if fault == "memory loss":
            return Fate(base.seconds / 2, loss="memory")
        if fault == "ok" or isinstance(action, Start):
            return base
        return Fate(base.seconds / 2, failure=FailureKind(fault))

    pairs = pairs_of("".join(s.name for s in specs), videos)
    steady = not any(blow.kind == "node" for blow in blows)
    room = Shape(sum(n.cpus for n in nodes), sum(n.gpus for n in nodes)) if steady else None
    checks = Checks(specs, pairs, room)
    executor = SimulatedExecutor(nodes, fate, blows)
    outcome = run_pairs(executor, Workload(specs, pairs, limits=LIMITS), on_event=checks)
    checks.close(outcome, LIMITS)


@settings(max_examples=40, deadline=None)
@given(worlds())
def test_the_same_events_give_the_same_actions(world):
    """The log alone, through JSON, repeats every decision."""
    specs, videos, nodes, faults, blows = world
    stream = iter(faults)

    def fate(action: Action, now: float) -> Fate:
        lost = next(stream, "ok") in ("died", "broken")
        return Fate(1.0, loss="died") if lost else calm(action, now)

    log: list[LogEntry] = []
    pairs = pairs_of("".join(s.name for s in specs), videos)
    executor = SimulatedExecutor(nodes, fate, blows)
    work = Workload(specs, pairs, limits=LIMITS)
    run_pairs(executor, work, on_event=log.append)
    scheduler = Scheduler(work)
    batch: list[Event] = []
    decided: list[Action] = []
    logged: list[Action] = []
    for entry in log:
        message = entry.message
        if isinstance(message, Event):
            batch.append(message)
            continue
        if len(decided) == len(logged):
            decided += scheduler.handle(*batch, Tick(entry.decided))
            batch = []
        logged.append(message)
    assert decided == logged
    assert scheduler.finished


# One fault at a time.


def fated(**faults: Fate):
    """`calm`, but runs of the videos (or starts and loads of the members) named go so."""

    def fate(action: Action, now: float) -> Fate:
        name = action.video if isinstance(action, (Run, Finish)) else action.member
        return faults.get(name.replace("-", "_")) or calm(action, now)

    return lambda action, now: (
        calm(action, now) if isinstance(action, (Start, Finish)) else fate(action, now)
    )


VIDEOS = [f"{5 + i}-{i}" for i in range(12)]


def test_a_calm_run_is_whole_and_longest_first():
    outcome, log = simulate("ab", VIDEOS)
    assert outcome.whole
    assert len(outcome.done) == 24
    assert len(outcome.finished) == 12
    for member in "ab":
        order = [float(e["video"].split("-")[0]) for e in runs(log, member=member)]
        assert order == sorted(order, reverse=True)


def test_pairs_done_before_count_for_finishing_only():
    outcome, log = simulate("a", ["3-x"], done=[("b", "3-x"), ("b", "4-y")])
    finishes = {e["video"]: e["members"] for e in log if e["event"] == "Finish"}
    assert finishes == {"3-x": ("a", "b"), "4-y": ("b",)}
    assert set(outcome.done) == {("a", "3-x")}


def test_a_pair_that_kills_its_worker_is_given_up_alone():
    outcome, log = simulate("ab", [*VIDEOS, "9-bad"], fated(**{"9_bad": Fate(1.0, loss="died")}))
    assert {(g.member, g.video, g.category) for g in outcome.given_up} == {
        ("a", "9-bad", "suspect"),
        ("b", "9-bad", "suspect"),
    }
    assert [g.video for g in outcome.unfinished] == ["9-bad"]
    assert len(outcome.done) == 24
    assert len(runs(log, member="a", video="9-bad")) == LIMITS.suspect
    healthy = max(e["time"] for e in runs(log, member="a") if e["video"] != "9-bad")
    assert runs(log, member="a", video="9-bad")[1]["time"] >= healthy, "suspects run last"


@pytest.mark.parametrize("numbers", [(), (0,), (0, 2)])
def test_killing_workers_from_outside_is_no_items_fault(numbers):
    """All workers, one, or two of four, every 2 seconds for a minute."""
    blows = tuple(Blow(6.0 + 2 * i, "workers", tuple(n + i for n in numbers)) for i in range(30))
    videos = [f"1-{i}" for i in range(150)]

    def fate(action: Action, now: float) -> Fate:
        return Fate(0.4) if isinstance(action, (Start, Load)) else calm(action, now)

    outcome, _ = simulate("a", videos, fate, blows=blows)
    assert outcome.whole
    assert len(outcome.done) == 150


def test_a_lost_node_costs_no_item_anything_and_its_return_is_used():
    nodes = (Shape(2.0), Shape(2.0))
    blows = (Blow(20.0, "node", (0,), 30.0),)
    outcome, log = simulate("ab", VIDEOS, nodes=nodes, blows=blows)
    assert outcome.whole
    again = [e for e in log if e["event"] == "Retry"]
    assert {e["category"] for e in again} == {"infrastructure"}
    assert len(again) == 2
    assert any(e["event"] == "Start" and e["time"] >= 50.0 for e in log)


def test_an_item_that_raises_is_tried_again_within_its_budget():
    fates = {"9_bad": FailureKind.ERROR, "8_no": FailureKind.INPUT, "7_worn": FailureKind.CORRUPT}
    raises = fated(**{video: Fate(1.0, failure=kind) for video, kind in fates.items()})
    outcome, log = simulate("a", [*VIDEOS, "9-bad", "8-no", "7-worn"], raises)
    assert {(g.video, g.category, g.attempts) for g in outcome.given_up} == {
        ("9-bad", "error", LIMITS.errors),
        ("8-no", "input", 1),
        ("7-worn", "corrupt", 1),
    }
    assert sum(e["event"] == "Start" for e in log) == 4, "the workers live on"


def test_a_video_is_finished_from_the_members_that_are_left():
    def fate(action: Action, now: float) -> Fate:
        if isinstance(action, Run) and (action.member, action.video) == ("a", "5-0"):
            return Fate(1.0, failure=FailureKind.ERROR)
        return calm(action, now)

    outcome, log = simulate("ab", VIDEOS, fate)
    assert len(outcome.finished) == 12
    (finish,) = [e for e in log if e["event"] == "Finish" and e["video"] == "5-0"]
    assert finish["members"] == ("b",)


def test_too_little_memory_climbs_the_ladder():
    def fate(action: Action, now: float) -> Fate:
        needs = {"9-bad": 99, "8-big": 2}
        if isinstance(action, Run) and action.attempt.step < needs.get(action.video, 0):
            return Fate(1.0, failure=FailureKind.MEMORY)
        return calm(action, now)

    outcome, log = simulate("a", [*VIDEOS, "9-bad", "8-big"], fate)
    assert [(g.video, g.category) for g in outcome.given_up] == [("9-bad", "memory")]
    assert [e["attempt"]["step"] for e in runs(log, video="8-big")] == [0, 1, 2]
    assert [e["attempt"]["step"] for e in runs(log, video="9-bad")] == [0, 1, 2, 3]


def test_kills_by_the_memory_monitor_climb_from_the_second_on():
    """The first may have hit the wrong one; the second hits an item in quarantine."""
    outcome, log = simulate("a", [*VIDEOS, "9-bad"], fated(**{"9_bad": Fate(1.0, loss="memory")}))
    assert [e["attempt"]["step"] for e in runs(log, video="9-bad")] == [0, 0, 1, 2, 3]
    assert [(g.video, g.category) for g in outcome.given_up] == [("9-bad", "memory")]


def test_a_pair_that_hangs_is_stopped_at_a_deadline_from_measured_cost():
    outcome, log = simulate("a", [*VIDEOS, "9-bad"], fated(**{"9_bad": Fate(float("inf"))}))
    assert [(g.video, g.category) for g in outcome.given_up] == [("9-bad", "suspect")]
    begun = runs(log, video="9-bad")[-1]
    (given_up,) = [e for e in log if e["event"] == "GiveUp" and e["member"] == "a"]
    expected = LIMITS.deadline_factor * 9.0
    assert expected <= given_up["time"] - begun["time"] <= expected + 2.0


def test_a_member_that_cannot_be_loaded_stops_at_once():
    outcome, log = simulate("abx", VIDEOS, fated(x=Fate(1.0, failure=FailureKind.INPUT)))
    assert set(outcome.stopped) == {"x"}
    assert {(g.member, g.category) for g in outcome.given_up} == {("x", "member")}
    assert len(outcome.finished) == 12
    assert sum(e["event"] == "LoadFailed" for e in log) <= 4
    assert not runs(log, member="x")


@pytest.mark.parametrize("fault", ["load", "start", "hang", "run"])
def test_the_breaker_takes_out_a_member_whose_workers_only_die(fault):
    def fate(action: Action, now: float) -> Fate:
        if action.member == "x" if isinstance(action, (Start, Load, Run)) else False:
            if fault == "load" and isinstance(action, Load):
                return Fate(1.0, loss="died")
            if fault == "start" and isinstance(action, Start):
                return Fate(1.0, loss="died")
            if fault == "hang" and isinstance(action, Load):
                return Fate(float("inf"))
            if fault == "run" and isinstance(action, Run):
                return Fate(1.0, loss="died")
        return calm(action, now)

    specs = [MemberSpec("a"), MemberSpec("b"), MemberSpec("x", num_cpus=2)]
    outcome, _ = simulate(specs, VIDEOS, fate)
    assert set(outcome.stopped) == {"x"}
    assert all(g.member == "x" for g in outcome.given_up)
    assert len(outcome.finished) == 12


def test_a_full_disk_ends_the_run():
    with pytest.raises(InputError, match="simulated"):
        simulate("a", VIDEOS, fated(**{"5_0": Fate(1.0, failure=FailureKind.DISK)}))


# Who gets the workers.


def test_idle_workers_go_to_the_member_with_most_work_left():
    def fate(action: Action, now: float) -> Fate:
        base = calm(action, now)
        slow = isinstance(action, Run) and action.member == "a"
        return Fate(base.seconds * 10) if slow else base

    outcome, log = simulate("ab", VIDEOS, fate)
    moved = [e for e in log if e["event"] == "Load"]
    assert outcome.whole
    assert [e["member"] for e in moved] == ["a", "a"]
    assert sum(e["event"] == "Start" for e in log) == 4, "the same processes go on"


def test_a_member_with_more_work_starts_with_more_workers():
    specs = [MemberSpec("a", seconds_per_unit=3.0), MemberSpec("b", seconds_per_unit=1.0)]
    _, log = simulate(specs, [f"10-{i}" for i in range(40)], nodes=(Shape(8.0),))
    first = [e["member"] for e in log if e["event"] == "Start"][:8]
    assert Counter(first) == {"a": 6, "b": 2}


def test_videos_are_finished_beside_gpu_workers():
    """A core is kept for finishing where all members run on GPUs."""
    specs = [MemberSpec("a", num_cpus=1, num_gpus=1)]
    _, log = simulate(specs, VIDEOS, nodes=(Shape(4.0, 4.0),))
    finishes = [e["time"] for e in log if e["event"] == "Finish"]
    assert finishes[0] < runs(log)[-1]["time"]
    assert sum(e["event"] == "Start" and e["shape"]["gpus"] > 0 for e in log) == 3


def test_shapes_make_room_for_each_other():
    specs = [
        MemberSpec("a", num_cpus=1, num_gpus=1),
        MemberSpec("b", num_cpus=3, num_gpus=1, memory=8),
        MemberSpec("c", num_cpus=2),
    ]
    outcome, _ = simulate(specs, VIDEOS, nodes=(Shape(3.0, 1.0, 8),))
    assert outcome.whole
