"""Planning the resumption of a large run: ``python -m benchmarks.resume``.

Makes a data set and a run directory as a run that was stopped half-way leaves them, with every
folder and file that planning looks at (empty where only its size and time count), and plans the
rest in a process of its own. Needs some 12 inodes per video and up to 2 per pair.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import tempfile
import time
from pathlib import Path

from ensemble.config import DataConfig, MemberConfig, OutputConfig, RunConfig
from ensemble.execution.driver import Scheduler
from ensemble.plan import make_job, make_plan
from ensemble.resume import unchanged
from ensemble.scheduling.messages import MemberSpec, Workload
from ensemble.storage.journal import Input, Journal, Whole, open_journal
from ensemble.storage.run_directory import RunDirectory
from mose.dataset import Dataset, open_dataset
from stseg.files import count_files


def make_videos(root: Path, videos: int) -> Dataset:
    """Folders with one small file each: planning opens none of them."""
    for kind in ("JPEGImages", "Annotations"):
        for index in range(videos):
            folder = root / kind / f"{index:06d}"
            folder.mkdir(parents=True)
            (folder / ("00000.jpg" if kind == "JPEGImages" else "00000.png")).touch()
    return open_dataset(root, "test")


def remember_videos(dataset: Dataset, journal: Journal) -> None:
    """Note each video as if it had been looked at."""
    for index, name in enumerate(dataset.videos):
        folder, masks = dataset.images / name, dataset.annotations[0] / name
        mask = (masks / "00000.png").stat()
        times = (folder.stat().st_mtime_ns, masks.stat().st_mtime_ns)
        stamps = (*times, mask.st_size, mask.st_mtime_ns)
        found = Input(f"{index:024x}", 160, 3, 1080, 1920, ("1/00000.png",), stamps)
        journal.note_input(name, found)
    if not unchanged(dataset, name, found):
        raise RuntimeError("the stamps are not what planning compares")


def make_run(
    config: RunConfig, dataset: Dataset, run: RunDirectory, finished: float, whole: float
) -> None:
    """The first ``finished`` of the videos are finished, of the others the first ``whole`` of
    the members' predictions are there."""
    for name in ("predictions", "pseudo-labels", "masks", "selection/timelines"):
        (run.root / name).mkdir(parents=True)
    job = make_job(config, dataset, run, "")
    members = [member.name for member in config.members]
    with open_journal(run) as journal, journal.together():
        remember_videos(dataset, journal)
        for index, (name, found) in enumerate(journal.inputs.items()):
            done = index < finished * len(dataset)
            if done:
                for folder in (run.masks(name), run.pseudo_labels(name)):
                    folder.mkdir()
                run.record_path(name).write_text("{}")
                key = job.video_key(found.fingerprint)
                journal.note_video(name, Whole(key, run.finished_stamp(name)))
            kept = members if config.output.keep_soft else []
            for member in kept if done else members[: round(whole * len(members))]:
                folder = run.prediction(member, name)
                folder.mkdir(parents=True)
                (folder / "frames.bin").touch()
                key = job.pair_key(member, found.fingerprint)
                journal.note_pair(member, name, Whole(key, run.prediction_stamp(member, name)))


def plan(root: Path, config: RunConfig, pipe) -> None:  # type: ignore[no-untyped-def]
    """Time what a driver does before the first pair runs."""
    start, cpu = time.perf_counter(), time.process_time()
    dataset = open_dataset(root / "data", "test")
    opened = time.perf_counter()
    run = RunDirectory(root / "run")
    with open_journal(run) as journal:
        read = time.perf_counter()
        made = make_plan(config, dataset, run, "token", journal)
    planned = time.perf_counter()
    specs = [MemberSpec(member.name) for member in config.members]
    done = [(member, video) for member, names in made.whole.items() for video in names]
    Scheduler(Workload(specs, made.pairs, done))
    queued = time.perf_counter()
    pipe.send(
        {
            "open the data set": opened - start,
            "read resume.jsonl": read - opened,
            "compare with the disk": planned - read,
            "queue": queued - planned,
            "total": queued - start,
            "CPU": time.process_time() - cpu,
            "finished": len(made.finished),
            "whole": len(done),
            "to run": len(made.pairs),
            "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=int, default=125_000)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--finished", type=float, default=0.5, help="share of the videos")
    parser.add_argument("--whole", type=float, default=0.75, help="share of the others' pairs")
    parser.add_argument("--keep-soft", action="store_true")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--folder", help="on the file system to measure")
    args = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="resume-", dir=args.folder))
    try:
        config = RunConfig(
            data=DataConfig(str(root / "data")),
            members=tuple(MemberConfig(f"m{i}", "hold") for i in range(args.members)),
            output=OutputConfig(keep_soft=args.keep_soft),
        )
        dataset = make_videos(root / "data", args.videos)
        make_run(config, dataset, RunDirectory(root / "run"), args.finished, args.whole)
        size = (root / "run" / "resume.jsonl").stat().st_size / 2**20
        print(f"{args.videos * args.members} pairs of {args.videos} videos, ledger {size:.0f} MiB")
        context = multiprocessing.get_context("spawn")
        for _ in range(args.repeat):
            here, there = context.Pipe(duplex=False)
            process = context.Process(target=plan, args=(root, config, there))
            process.start()
            result = here.recv()
            process.join()
            print(json.dumps({k: round(v, 2) for k, v in result.items()}))
        print(f"{count_files(root / 'run' / 'masks')} folders in masks/")
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
