"""Scores a folder of masks against labels: ``python -m selection.evaluate PRED GT``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from mose.boards import Board, boards, chosen_board, shown_board
from mose.masks import VOID
from selection.evaluate.inputs import ALL, EvaluationScope, Request, Task, plan
from selection.evaluate.masks import MaskReader
from selection.evaluate.result import Evaluation
from selection.evaluate.unseen import UnseenObjects, unseen_objects
from selection.metrics import PROTOCOLS, REGISTRY, ObjectScores, VideoScorer, protocol_named
from selection.metrics.protocols import Counted, Protocol
from selection.metrics.regions import Regions
from stseg.cli import EXIT_OK, CommandParser, print_line
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
    protocol: str | None = None,
    scope: EvaluationScope = ALL,
    *,
    workers: int = 1,
    progress: Callable[[int, int], object] | None = None,
) -> Evaluation:
    """Score a folder or zip of masks.

    prediction, truth   ``<video>/00000.png``; truth may be the root of a data set
    protocol            one of `selection.metrics.PROTOCOLS`; None: the board's, or ``davis``
    scope               which videos, frames and objects count, where there is a choice
    workers             number of processes
    progress            called with the number of frames just done and that of all frames

    One frame is in memory at a time in each process. Raises `InputError` for what the
    protocol's evaluator refuses: a missing video (``mosev2`` scores it zero) or frame, a
    mask of another size, a mask that is not one of ids.
    """
    usual = scope.board.protocol if scope.board else "davis"
    rules = protocol_named(protocol or usual)
    if scope.all_frames and not rules.all_frames:
        raise InputError(
            f"protocol {rules.name} leaves out frames: score all frames with vos-benchmark"
        )
    tasks, notes = plan(Request(Path(prediction), Path(truth), rules, scope))
    total = sum(len(task.frames) for task in tasks)
    scored: dict[str, VideoScores] = {}
    for task, scores, more in _run(tasks, workers):
        scored.setdefault(task.video, {}).update(scores)
        notes += more
        if progress is not None:
            progress(len(task.frames), total)
    if not any(scores for video in scored.values() for scores in video.values()):
        raise InputError(
            f"{truth} has no object on a frame that counts: give the labels of all frames"
        )
    unseen = _unseen(rules, Path(truth), scored, notes)
    videos = {video: dict(sorted(scored[video].items())) for video in sorted(scored)}
    return Evaluation(rules.name, videos, tuple(notes), unseen)


def _unseen(
    rules: Protocol, truth: Path, videos: Mapping[str, VideoScores], notes: list[str]
) -> UnseenObjects:
    """The objects that count as unseen; a note where the protocol asks and nothing tells."""
    if not rules.kinds:
        return frozenset()
    unseen = unseen_objects(truth, videos)
    if unseen is not None:
        return unseen
    notes.append(
        f"nothing in or beside {truth} tells which kinds the training set has none of: all objects"
        f" count as seen, {rules.server} goes by unseen_videos.txt, val_unseen.txt, or categories"
        " in meta.json and train/meta.json"
    )
    return frozenset()


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
    true_masks = MaskReader(task.truth, labels=True)
    objects = set(task.objects or ())
    if task.objects is None and task.protocol.counted is Counted.KNOWN:
        for name in task.truth.names:
            if name not in task.frames:
                objects.update(true_masks.read(name).areas)
    if task.protocol.counted is Counted.FIRST_MASK:
        first = true_masks.read(task.truth.names[0]).areas
        objects = set(range(1, max(first, default=0) + 1))
    scorer = VideoScorer(task.protocol.name, objects)
    masks = None if task.prediction is None else MaskReader(task.prediction)
    if masks is not None:
        for name in task.frames:
            truth = true_masks.read(name)
            prediction = masks.read(task.partner(name))
            if prediction.shape != truth.shape:
                raise InputError(
                    f"mask {masks.path(name)} is {prediction.shape[0]} x {prediction.shape[1]},"
                    f" but the true one is {truth.shape[0]} x {truth.shape[1]}:"
                    f" {task.protocol.server} stops there, write masks of the frames' size"
                )
            if task.protocol.void_hidden and VOID in truth.values:
                shown = np.where(truth.ids == VOID, 0, prediction.ids).astype(np.uint8)
                prediction = Regions(shown)
            scorer.add(prediction, truth)
    scores = _concluded(task, scorer)
    if task.alone is not None:
        return {task.alone: scores.get(1)}, []
    if task.objects is not None and task.protocol.counted is Counted.KNOWN:
        scores = {i: scores[i] for i in task.objects}
    if task.protocol.counted is Counted.FIRST_MASK:
        scores = {i: scores[i] for i in sorted(objects)}
    notes = []
    if masks is not None and masks.read_as_one_object and scores.keys() != {1}:
        notes.append(
            f"video {task.video}: its masks hold 0 and 255 alone and are read as one object with id"
            f" 1, but the true objects are {_listed(sorted(scores))}: write their ids"
        )
    foreign = sorted(scorer.predicted - scores.keys())
    if foreign and task.protocol.ids_refused:
        notes.append(
            f"video {task.video}: its masks hold id {_listed(foreign)}, which no true mask does; it"
            f" is ignored here, but {task.protocol.server} refuses ids beyond the true ones"
        )
    return scores, notes


def _listed(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids[:8])) + (", ..." if len(ids) > 8 else "")


def _concluded(task: Task, scorer: VideoScorer) -> VideoScores:
    """The scores of every object; inside its range where the protocol goes by ranges."""
    scores = scorer.scores()
    if task.protocol.conclude_range is None:
        return scores
    series = scorer.series()
    numbers = [task.truth.numbers.get(name, 0) for name in task.frames]
    for object_id, (first, last) in task.ranges.items():
        frames = zip(series.get(object_id, ()), numbers, strict=False)
        inner = [frame for frame, number in frames if first < number < last]
        scores[object_id] = task.protocol.conclude_range(inner)
    return scores


def main(arguments: Sequence[str] | None = None) -> int:
    parser = CommandParser(
        "selection.evaluate",
        "Score masks against labels, as the public evaluators do.",
        epilog=HELP,
    )
    parser.add_argument("prediction", metavar="PRED", help="folder or zip of masks")
    parser.add_argument("truth", metavar="GT", help="folder or zip of labels")
    parser.add_argument("--protocol", choices=PROTOCOLS, help="default: the board's, or davis")
    parser.add_argument(
        "--board", choices=tuple(boards()), help="how masks lie (default: as GT shows)"
    )
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
        EvaluationScope(options.all_frames, meta, options.partial, _board(options)),
        workers=options.workers,
        progress=show,
    )
    if bar is not None:
        bar.close()
    evaluation.save(json=options.json, csv=options.csv)
    print_line(evaluation.table())
    for note in evaluation.notes:
        print_line(f"note: {note}")
    return EXIT_OK


def _board(options: argparse.Namespace) -> Board | None:
    """The board that was named, or that GT shows plainly where no protocol was named; said in a
    line."""
    if options.board is None and options.protocol is not None:
        return None
    truth = Path(options.truth)
    place = next((p for p in (truth, truth.parent) if shown_board(p)), None)
    if options.board is None and place is None:
        return None
    board, sentence = chosen_board(options.board, place or truth)
    print_line(sentence)
    return board


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
