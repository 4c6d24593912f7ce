"""What the pipeline itself costs: ``python -m benchmarks.overhead``.

Runs uneven sleeping pairs on embedded Ray. The overhead is how much longer the workers are
there, from the moment each is ready to the last result, than the sleeping alone takes: 0 for
a schedule that keeps all of them busy to the same moment, without a gap.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass

import numpy as np

from ensemble.execution.driver import run_pairs
from ensemble.execution.executor import make_executor
from ensemble.scheduling.messages import (
    Attempt,
    Done,
    JobRecord,
    Loaded,
    LogEntry,
    MemberSpec,
    Pair,
    Workload,
)


class SleepingWorker:
    def run(self, video: str, attempt: Attempt) -> JobRecord:
        time.sleep(float(video.split("-")[1]))
        return {}


class SleepingJob:
    def check(self) -> None:
        pass

    def start(self, member: str) -> SleepingWorker:
        return SleepingWorker()

    def finish(self, video: str, members: tuple[str, ...]) -> JobRecord:
        return {}


@dataclass(frozen=True)
class Measured:
    """Seconds of sleeping, of workers being there, from start to first result, and the CPU
    time of the driver; ``longest_first`` is the overhead of longest first with no other cost."""

    sleeping: float
    present: float
    start_up: float
    driver_cpu: float
    longest_first: float

    @property
    def overhead(self) -> float:
        return self.present / self.sleeping - 1


def measure(seconds: np.ndarray, members: int, workers: int) -> Measured:
    """Run each of ``seconds`` as a video of one of the members."""
    names = [f"v{i}-{s:.4f}" for i, s in enumerate(seconds)]
    specs = [MemberSpec(f"m{i}") for i in range(members)]
    pairs = [
        Pair(specs[i % members].name, name, float(s))
        for i, (name, s) in enumerate(zip(names, seconds, strict=True))
    ]
    ready: dict[int, float] = {}
    done: list[float] = []

    def listen(entry: LogEntry) -> None:
        event = entry.message
        if isinstance(event, Loaded):
            ready.setdefault(event.worker, event.time)
        elif isinstance(event, Done) and entry.member:
            done.append(event.time)

    begin, cpu = time.monotonic(), time.process_time()
    executor = make_executor("ray", SleepingJob(), num_cpus=workers)
    outcome = run_pairs(executor, Workload(specs, pairs), on_event=listen)
    cpu = time.process_time() - cpu
    if not outcome.whole or len(ready) != workers:
        raise RuntimeError(f"not a calm run: {outcome.counts}")
    present = sum(max(done) - start for start in ready.values())
    return Measured(
        float(seconds.sum()), present, done[0] - begin, cpu, tail_of_longest_first(seconds, workers)
    )


def tail_of_longest_first(seconds: np.ndarray, workers: int) -> float:
    """The overhead of longest first when nothing else costs time."""
    ends = np.zeros(workers)
    for item in sorted(seconds, reverse=True):
        ends[ends.argmin()] += item
    return float(ends.max() * workers / seconds.sum() - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--members", type=int, default=2)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--mean", type=float, default=0.3, help="seconds of a pair, on average")
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    seconds = rng.lognormal(0.0, 0.8, args.pairs)
    seconds *= args.mean / seconds.mean()
    print(
        f"{args.pairs} pairs of {seconds.min():.2f} to {seconds.max():.2f} s, {seconds.sum():.1f} s"
        f" in all, {args.members} members, {args.workers} workers"
    )
    results = []
    for _ in range(args.repeat):
        result = measure(seconds, args.members, args.workers)
        results.append(result)
        print(
            f"overhead {100 * result.overhead:.2f} %, {1000 * result.driver_cpu / args.pairs:.2f}"
            f" ms of driver CPU per pair, first result after {result.start_up:.1f} s"
        )
    print(
        f"median overhead {100 * statistics.median(r.overhead for r in results):.2f} %"
        f" (longest first with no other cost: {100 * results[0].longest_first:.2f} %)"
    )


if __name__ == "__main__":
    main()
