"""Scores a folder of masks against labels: ``python -m selection.evaluate PRED GT``."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from mose.masks import VOID, decode_mask, object_ids, values
from mose.readers.lists import read_names
from mose.readers.masks import check_ids
from mose.readers.meaning import MaskMeaning, meaning_of, undecided, uses_ignore
from mose.results import Results, by_video
from selection.evaluate.inputs import ALL, EvaluationScope, MaskFiles, Task, plan
from selection.evaluate.result import Evaluation
from selection.metrics import PROTOCOLS, REGISTRY, ObjectScores, VideoScorer, protocol_named
from selection.metrics.protocols import Counted
from stseg.cli import EXIT_OK, CommandParser, say
from stseg.errors import InputError
from stseg.progress import Progress

VideoScores = dict[int, ObjectScores | None]

_HELP = """\
PRED and GT are folders or zips of palette or grey PNGs of object ids:
  PRED/<video>/00000.png    a mask for every mask of GT
  GT/<video>/00000.png      full labels; or GT/Annotations/<video>/00000.png, where GT is the
                            root of a data set

Protocols:
{protocols}

Scores are means over frames, then over the objects of all videos. The objects are those of
GT's masks, or of a meta file: {meta},
given with --meta or found in or beside GT.
"""

HELP = _HELP.format(
    protocols="\n".join(
        f"  {name:<{max(map(len, PROTOCOLS))}}  {rules.summary}" for name, rules in REGISTRY.items()
    ),
    meta='{"videos": {<video>: {"objects": ["1", ...], "length": 60}}}',
)


def evaluate(
    prediction: str | Path,
    truth: str | Path,
    protocol: str = "davis",
    scope: EvaluationScope = ALL,
    *,
    workers: int = 1,
    progress: Callable[[int, int], object] | None = None,
) -> Evaluation:
    """Score a folder or zip of masks.

    prediction, truth   ``<video>/00000.png``; truth may be the root of a data set
    protocol            one of `selection.metrics.PROTOCOLS`
    scope               which videos, frames and objects count, where there is a choice
    workers             number of processes
    progress            called with the number of frames just done and that of all frames

    One frame is in memory at a time in each process. Raises `InputError` for what the
    protocol's evaluator refuses: a missing video (``mosev2`` scores it zero) or frame, a
    mask of another size, a mask that is not one of ids.
    """
    rules = protocol_named(protocol)
    if scope.all_frames and not rules.all_frames:
        raise InputError(
            f"protocol {protocol} leaves out frames: score all frames with vos-benchmark"
        )
    tasks, notes = plan(Path(prediction), Path(truth), rules, scope)
    total = sum(len(task.frames) for task in tasks)
    scored: dict[str, VideoScores] = {}
    for task, scores, more in _run(tasks, workers):
        scored[task.video] = scores
        notes += more
        if progress is not None:
            progress(len(task.frames), total)
    if not any(scores for video in scored.values() for scores in video.values()):
        raise InputError(
            f"{truth} has no object on a frame that counts: give the labels of all frames"
        )
    listed = Path(truth) / "unseen_videos.txt"
    names = read_names(listed, "list of unseen videos") if listed.is_file() else None
    unseen = set(names.matched(scored).names) if names else set()
    return Evaluation(
        protocol,
        {task.video: scored[task.video] for task in tasks},
        tuple(notes),
        frozenset((video, i) for video in unseen for i in scored[video]),
    )


def _run(tasks: Sequence[Task], workers: int) -> Iterator[tuple[Task, VideoScores, list[str]]]:
    """Every task with its scores and notes, in the order in which they are done."""
    workers = min(workers, len(tasks))
    if workers <= 1:
        for task in tasks:
            yield task, *score_video(task)
        return
    with ProcessPoolExecutor(workers) as pool:
        longest_first = sorted(tasks, key=lambda task: -len(task.frames))
        pending = {pool.submit(_score_elsewhere, task): task for task in longest_first}
        try:
            for future in as_completed(pending):
                yield pending[future], *future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _score_elsewhere(task: Task) -> tuple[VideoScores, list[str]]:
    """`score_video` in another process: its errors must survive pickling, so plain ones."""
    try:
        return score_video(task)
    except InputError as error:
        raise InputError(str(error)) from None


def score_video(task: Task) -> tuple[VideoScores, list[str]]:
    """The scores of one video's objects, and notes."""
    true_masks = _Reader(task.truth, labels=True)
    objects = set(task.objects or ())
    if task.objects is None and task.protocol.counted is Counted.KNOWN:
        for name in task.truth.names:
            if name not in task.frames:
                objects.update(object_ids(true_masks.read(name)))
    if task.protocol.counted is Counted.FIRST_MASK:
        first = object_ids(true_masks.read(task.truth.names[0]))
        objects = set(range(1, max(first, default=0) + 1))
    scorer = VideoScorer(task.protocol.name, objects)
    if task.prediction is not None:
        masks = _Reader(task.prediction)
        for name in task.frames:
            truth = true_masks.read(name)
            prediction = masks.read(task.partner(name))
            check_ids(truth, true_masks.path(name))
            if prediction.shape != truth.shape:
                raise InputError(
                    f"mask {masks.path(name)} is {prediction.shape[0]} x {prediction.shape[1]},"
                    f" but the true one is {truth.shape[0]} x {truth.shape[1]}:"
                    f" {task.protocol.server} stops there, write masks of the frames' size"
                )
            if task.protocol.void_hidden and VOID in values(truth):
                prediction = np.where(truth == VOID, 0, prediction).astype(np.uint8)
            scorer.add(prediction, truth)
    scores = scorer.scores()
    if task.objects is not None and task.protocol.counted is Counted.KNOWN:
        scores = {i: scores[i] for i in task.objects}
    if task.protocol.counted is Counted.FIRST_MASK:
        scores = {i: scores[i] for i in sorted(objects)}
    foreign = sorted(scorer.predicted - scores.keys())
    if not foreign or not task.protocol.ids_refused:
        return scores, []
    ids = ", ".join(map(str, foreign[:8])) + (", ..." if len(foreign) > 8 else "")
    return scores, [
        f"video {task.video}: its masks hold id {ids}, which no true mask does; it is ignored"
        f" here, but {task.protocol.server} refuses ids beyond the true ones"
    ]


class _Reader:
    """Reads the masks of one video, all with one meaning, see `MaskMeaning`."""

    def __init__(self, masks: MaskFiles, labels: bool = False):
        path = masks.path
        self._results = _open(path, path.stat().st_mtime_ns, os.getpid())
        self._masks, self._labels = masks, labels

    def path(self, name: str) -> str:
        return f"{self._results.path}/{self._masks.folder}{name}"

    def read(self, name: str) -> np.ndarray:
        """``(H, W) uint8`` ids; what is to be ignored is 255."""
        raw = self._stored(name)
        return self.meaning.ids(raw) if undecided(values(raw)) else raw

    def _stored(self, name: str) -> np.ndarray:
        data = self._results.read(f"{self._masks.folder}{name}")
        return decode_mask(io.BytesIO(data), self.path(name))

    @cached_property
    def meaning(self) -> MaskMeaning:
        stored = (values(self._stored(name)) for name in self._masks.names)
        return meaning_of(stored, self._ignores)

    def _ignores(self) -> bool:
        """Whether some other video of the labels shows that 255 is to be ignored."""
        if not self._labels:
            return False
        root = self._masks.folder.rstrip("/").rpartition("/")[0]
        path = self._results.path
        return _uses_ignore(path, path.stat().st_mtime_ns, os.getpid(), root)


@lru_cache(maxsize=4)
def _uses_ignore(path: Path, changed: int, process: int, root: str) -> bool:
    """Whether a video below the folder ``root`` of the results has both ids and 255."""
    results = _open(path, changed, process)
    videos = by_video(results.names, f"{root}/" if root else "")
    folders = {video: names for video, names in videos.items() if video}
    return any(
        uses_ignore(_stored_values(results, root, video, names)) for video, names in folders.items()
    )


def _stored_values(
    results: Results, root: str, video: str, names: Sequence[str]
) -> Iterator[list[int]]:
    """What each mask of a video holds; nothing of those that cannot be read."""
    for name in names:
        if name.lower().endswith(".png") and "/" not in name:
            path = "/".join(part for part in (root, video, name) if part)
            try:
                yield values(decode_mask(io.BytesIO(results.read(path)), path))
            except InputError:
                continue


@lru_cache(maxsize=2)
def _open(path: Path, changed: int, process: int) -> Results:
    # A zip is opened once in every process: two processes that share an open file would
    # move each other's place in it.
    return Results(path)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = CommandParser(
        "selection.evaluate",
        "Score masks against labels, as the public evaluators do.",
        epilog=HELP,
    )
    parser.add_argument("prediction", metavar="PRED", help="folder or zip of masks")
    parser.add_argument("truth", metavar="GT", help="folder or zip of labels")
    parser.add_argument("--protocol", choices=PROTOCOLS, default="davis", help="default: davis")
    parser.add_argument(
        "--all-frames",
        action="store_true",
        help="vos-benchmark and sav only: score the first and the last frame too",
    )
    parser.add_argument("--meta", metavar="FILE", help="objects and lengths of the videos")
    parser.add_argument(
        "--partial", action="store_true", help="score the videos that both PRED and GT have"
    )
    parser.add_argument("--json", metavar="FILE", help="write all scores, in [0, 1]")
    parser.add_argument("--csv", metavar="FILE", help="write what vos-benchmark writes, in percent")
    parser.add_argument(
        "--workers", type=int, default=_cores(), metavar="N", help="processes; default: %(default)s"
    )
    options = parser.parse_args(arguments)
    bar: Progress | None = None

    def show(done: int, total: int) -> None:
        nonlocal bar
        bar = bar or Progress(total, "frames")
        bar.advance(done)

    meta = Path(options.meta) if options.meta else None
    evaluation = evaluate(
        options.prediction,
        options.truth,
        options.protocol,
        EvaluationScope(options.all_frames, meta, options.partial),
        workers=options.workers,
        progress=show,
    )
    if bar is not None:
        bar.close()
    evaluation.save(json=options.json, csv=options.csv)
    say(evaluation.table())
    for note in evaluation.notes:
        say(f"note: {note}")
    return EXIT_OK


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
