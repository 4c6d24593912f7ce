"""A large run without the machines: ``python -m benchmarks.simulate``.

The real scheduler and its driver loop, with simulated time, nodes, starts and failures. What
is reported:

efficiency      the least time in which the GPUs that were there could have done the work,
                over the time it took; a second figure counts as work, too, what had been done
                on pairs when their nodes were taken away, which no scheduler can save
driver          CPU time of scheduler and driver loop per pair, with every event and action
                turned into a line of JSON as a real run's log has it
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ensemble.execution.driver import RunOutcome, run_pairs
from ensemble.execution.simulated import Blow, Fate, SimulatedExecutor
from ensemble.scheduling.messages import (
    Action,
    Done,
    Event,
    Finish,
    Load,
    LogEntry,
    MemberSpec,
    Pair,
    Run,
    Shape,
    Start,
    Workload,
)
from stseg.failures import FailureKind

GPUS_PER_NODE = 8
NODE = Shape(cpus=64.0, gpus=float(GPUS_PER_NODE))
PIXELS = 1920 * 1080
FRAMES_PER_SECOND = (30.0, 22.0, 14.0, 8.0, 26.0, 18.0, 11.0, 6.0)
"""Of the members, for one object at 1080p; each further object takes a third of that again."""


@dataclass(frozen=True)
class Faults:
    """How often what happens.

    preemptions   share of the nodes that are taken away per hour (more than 1: several times)
    away          seconds until such a node is back
    start, load   seconds of a process's start, and of loading a member
    deaths        share of attempts whose worker dies for no visible reason
    errors        share of attempts that raise
    poison        share of pairs that always kill their worker
    stragglers    share of workers that are three times as slow
    """

    preemptions: float = 0.05
    away: float = 120.0
    start: float = 5.0
    load: float = 10.0
    deaths: float = 0.0
    errors: float = 0.0
    poison: float = 0.0
    stragglers: float = 0.0


@dataclass(frozen=True)
class Result:
    outcome: RunOutcome
    makespan: float
    bound: float
    bound_with_cut: float
    work: float
    cut: float
    cut_attempts: int
    attempts: int
    driver_ms: float

    @property
    def efficiency(self) -> float:
        return self.bound / self.makespan

    @property
    def efficiency_with_cut(self) -> float:
        return self.bound_with_cut / self.makespan


class _TimedExecutor(SimulatedExecutor):
    """Keeps apart what the simulation itself costs."""

    simulating = 0.0

    def wait(self, timeout: float) -> list[Event]:
        begin = time.perf_counter()
        events = super().wait(timeout)
        self.simulating += time.perf_counter() - begin
        return events

    def perform(self, action: Action) -> None:
        begin = time.perf_counter()
        super().perform(action)
        self.simulating += time.perf_counter() - begin


def simulate(videos: int, members: int, gpus: int, faults: Faults, seed: int = 0) -> Result:
    """Run ``videos`` x ``members`` pairs on ``gpus`` GPUs."""
    rng = np.random.default_rng(seed)
    frames = np.clip(rng.lognormal(np.log(160), 0.7, videos), 10, 2000).astype(int)
    objects = np.minimum(rng.geometric(0.42, videos), 20)
    names = [f"{i:06d}" for i in range(videos)]
    units = frames * objects * PIXELS
    specs = [MemberSpec(f"m{i}", num_cpus=4, num_gpus=1) for i in range(members)]
    seconds = {
        spec.name: frames * (2 + objects) / 3 / FRAMES_PER_SECOND[i % len(FRAMES_PER_SECOND)]
        for i, spec in enumerate(specs)
    }
    index = {name: i for i, name in enumerate(names)}
    pairs = [Pair(s.name, n, float(u)) for s in specs for n, u in zip(names, units, strict=True)]
    work = float(sum(per_video.sum() for per_video in seconds.values()))
    longest = float(max(per_video.max() for per_video in seconds.values()))
    nodes = max(1, gpus // GPUS_PER_NODE)
    horizon = 3 * work / gpus + 3600
    blows = preemptions(rng, nodes, faults, horizon)
    poisoned = {
        (pairs[i].member, pairs[i].video)
        for i in rng.choice(len(pairs), int(faults.poison * len(pairs)), replace=False)
    }
    slow = set(np.flatnonzero(rng.random(100_000) < faults.stragglers).tolist())

    def fate(action: Action, now: float) -> Fate:
        if isinstance(action, Start):
            return Fate(faults.start * (0.5 + rng.random()))
        if isinstance(action, Load):
            return Fate(faults.load * (0.5 + rng.random()) if action.member else 0.0)
        if isinstance(action, Finish):
            return Fate(2.0)
        if not isinstance(action, Run):
            raise TypeError(action)
        takes = float(seconds[action.member][index[action.video]])
        takes *= (0.9 + 0.2 * rng.random()) * (3 if action.worker in slow else 1)
        if (action.member, action.video) in poisoned:
            return Fate(takes / 10, loss="died")
        draw = rng.random()
        if draw < faults.deaths:
            return Fate(takes * rng.random(), loss="died")
        if draw < faults.deaths + faults.errors:
            return Fate(takes * rng.random(), failure=FailureKind.ERROR)
        return Fate(takes)

    ends: list[float] = []
    lines = 0

    def listen(entry: LogEntry) -> None:
        nonlocal lines
        lines += len(json.dumps(entry.json()))
        if isinstance(entry.message, Done):
            ends.append(entry.message.time)

    executor = _TimedExecutor([NODE] * nodes, fate, blows)
    begin = time.perf_counter()
    outcome = run_pairs(executor, Workload(specs, pairs), on_event=listen)
    driver = time.perf_counter() - begin - executor.simulating
    return Result(
        outcome,
        makespan=max(ends),
        bound=max(longest, least_time(work, nodes, blows)),
        bound_with_cut=max(longest, least_time(work + executor.cut_seconds, nodes, blows)),
        work=work,
        cut=executor.cut_seconds,
        cut_attempts=outcome.counts["Retry infrastructure"],
        attempts=outcome.counts["Run"],
        driver_ms=1000 * driver / len(pairs),
    )


def preemptions(rng: np.random.Generator, nodes: int, faults: Faults, horizon: float) -> list[Blow]:
    """Nodes are taken away at random and come back after a while."""
    if faults.preemptions == 0:
        return []
    between = 3600.0 / faults.preemptions
    blows = []
    for node in range(nodes):
        now = rng.exponential(between)
        while now < horizon:
            blows.append(Blow(now, "node", (node,), faults.away))
            now += faults.away + rng.exponential(between)
    return sorted(blows, key=lambda blow: blow.time)


def least_time(work: float, nodes: int, blows: Sequence[Blow]) -> float:
    """Seconds until the GPUs that are there have been there for ``work`` GPU seconds."""
    changes = sorted(
        [(b.time, -GPUS_PER_NODE) for b in blows]
        + [(b.time + b.seconds, GPUS_PER_NODE) for b in blows]
    )
    now, gpus = 0.0, nodes * GPUS_PER_NODE
    for at, change in changes:
        if gpus * (at - now) >= work:
            break
        work -= gpus * (at - now)
        now, gpus = at, gpus + change
    return now + work / gpus


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=int, default=100_000)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--gpus", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    for name, default in vars(Faults()).items():
        parser.add_argument(f"--{name}", type=float, default=default)
    args = parser.parse_args()
    faults = Faults(**{name: getattr(args, name) for name in vars(Faults())})
    result = simulate(args.videos, args.members, args.gpus, faults, args.seed)
    counts = result.outcome.counts
    total = args.videos * args.members
    print(f"{total} pairs, {result.work / total:.1f} s each on average, {args.gpus} GPUs")
    print(
        f"{100 * result.cut_attempts / result.attempts:.2f} % of the attempts and"
        f" {100 * result.cut / result.work:.2f} % of the work were cut off with their nodes"
    )
    print(
        f"makespan {result.makespan:.0f} s, lower bound {result.bound:.0f} s: efficiency"
        f" {100 * result.efficiency:.2f} %; counting what was cut off"
        f" {100 * result.efficiency_with_cut:.2f} %"
    )
    print(f"driver {result.driver_ms:.3f} ms per pair")
    print(
        f"{result.attempts} attempts, {counts['WorkerLost']} workers lost, {counts['Start']}"
        f" started, {len(result.outcome.given_up)} pairs given up,"
        f" {len(result.outcome.finished)} videos finished"
    )


if __name__ == "__main__":
    main()
