"""Peak memory of a worker and of finishing does not grow with a video's length.

    python -m benchmarks.memory [--frames 200 2000]

Makes one synthetic video per length, then runs every stage in a process of its own and prints
its peak resident memory. Goal: the longest within 1.15 x of the shortest.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ensemble.config import DataConfig, MemberConfig, OutputConfig, RunConfig
from ensemble.job import RunJob
from ensemble.scheduling.messages import Attempt
from mose.dataset import open_dataset

MEMBERS = (
    MemberConfig("flow", "flow", prior=40.0),
    MemberConfig("hold", "hold", prior=25.0),
)


def peak(call: Callable[..., Any], *arguments: Any) -> float:
    """Peak resident memory, in MiB, of a new process that makes the call."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_measured, (call, arguments))


def _measured(call: Callable[..., Any], arguments: tuple[Any, ...]) -> float:
    call(*arguments)
    # Not getrusage: its peak is inherited from the parent through fork and exec.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def segment(job: RunJob, member: str, video: str) -> None:
    job.start(member).run(video, Attempt())


def finish(job: RunJob, video: str) -> None:
    job.finish(video, tuple(member.name for member in MEMBERS))


def make_job(root: Path, frames: int, size: int) -> tuple[RunJob, str]:
    """A data set of one video and the job of a run over it."""
    from mose.synthetic import write_dataset

    data = root / f"data-{frames}"
    write_dataset(data, 1, split="test", frames=frames, objects=3, height=size, width=size, seed=4)
    dataset = open_dataset(data, "test")
    video = dataset.videos[0]
    run = root / f"run-{frames}"
    for name in ("predictions", "pseudo-labels", "masks", "selection/timelines"):
        (run / name).mkdir(parents=True)
    config = RunConfig(
        data=DataConfig(str(data)), members=MEMBERS, output=OutputConfig(keep_soft=True)
    )
    keys = {member.name: "key" for member in MEMBERS}
    return RunJob(config, dataset, run, keys, "key", {}), video


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--frames", type=int, nargs="+", default=[200, 2000])
    p.add_argument("--size", type=int, default=192)
    arguments = p.parse_args()
    rows: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for frames in arguments.frames:
            job, video = make_job(Path(folder), frames, arguments.size)
            for member in MEMBERS:
                used = peak(segment, job, member.name, video)
                rows.setdefault(f"worker, {member.name}", []).append(used)
            rows.setdefault("finish", []).append(peak(finish, job, video))
    print(f"peak MiB at {arguments.frames} frames of {arguments.size} x {arguments.size}")
    for name, values in rows.items():
        figures = "  ".join(f"{value:8.1f}" for value in values)
        print(f"{name:14}  {figures}   ratio {values[-1] / values[0]:.3f}")


if __name__ == "__main__":
    main()
