"""What an evaluation compares: videos, frames and objects, found as the public evaluators do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mose.boards.board import Board, MaskForm
from mose.layout import ANNOTATIONS, RATES, RESOLUTIONS
from mose.meta import VideoMeta, read_meta
from selection.evaluate.masks import (
    MaskFiles,
    Parts,
    find_masks,
    predicted_regions,
    true_regions,
)
from selection.metrics.protocols import Missing, Protocol
from stseg.errors import InputError


@dataclass(frozen=True)
class Task:
    """One video to score, or one object of it where each has masks of its own.

    prediction   None where it is missing
    frames       file names of the masks to compare, in order
    objects      the ids to score; None: those of the true masks
    ranges       first and last frame number of objects, where a meta file says them
    alone        the id of the only object, which the masks hold as 1; None: masks hold ids
    """

    video: str
    protocol: Protocol
    prediction: MaskFiles | None
    truth: MaskFiles
    frames: tuple[str, ...]
    objects: tuple[int, ...] | None
    ranges: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    alone: int | None = None

    def partner(self, name: str) -> str:
        """The prediction for a true mask."""
        assert self.prediction is not None
        return self.prediction.partner(name, self.truth.numbers.get(name)) or name


@dataclass(frozen=True)
class EvaluationScope:
    """Which videos, frames and objects count, where a protocol leaves a choice.

    all_frames   scores the first and the last frame too; ``vos-benchmark`` and ``sav`` only
    meta         is a meta.json with the objects and lengths of the videos; None: one in or beside
                 the labels if it knows all videos, else the true masks tell
    partial      scores the videos that both have, instead of refusing a missing one
    board        tells how masks lie; None: as they show
    """

    all_frames: bool = False
    meta: Path | None = None
    partial: bool = False
    board: Board | None = None


ALL = EvaluationScope()
"""What the protocol's server counts."""


@dataclass(frozen=True)
class Request:
    """What is to be compared, and how.

    prediction, truth   are folders or zips of masks; truth may be the root of a data set
    protocol            tells which frames and objects count
    scope               tells so where the protocol leaves a choice
    """

    prediction: Path
    truth: Path
    protocol: Protocol
    scope: EvaluationScope = ALL

    @property
    def form(self) -> MaskForm | None:
        return self.scope.board.form if self.scope.board else None


def plan(request: Request) -> tuple[list[Task], list[str]]:
    """The videos to score, by name, and notes on what the protocol's server would do.

    Reads names and the meta file, no mask. Raises `InputError` for what the server refuses.
    """
    protocol, meta = request.protocol, request.scope.meta
    labels, masks = _both(request)
    notes = _wrapping_notes(request, masks)
    videos = _videos(request, labels, masks, notes)
    known = read_meta(meta) if meta else _find_meta(request.truth, labels, notes)
    if protocol.conclude_range is not None and not any(spans_of(said) for said in known.values()):
        notes.append(
            f"no meta file with the ranges of objects is in or beside {request.truth}:"
            f" {protocol.server} goes by it, here objects count between their own first and last"
            " label"
        )
    tasks = []
    for video in videos:
        said = known.get(video, VideoMeta())
        for part, true in labels[video].items():
            alone = None if part is None else _object_id(part, labels[video])
            predicted = _predicted(request, video, part, alone, masks.get(video))
            notes += _order_notes(video, true, predicted)
            if meta and protocol.frames_by_prediction:
                _check_length(video, said, true, meta)
            frames = _frames(video, protocol, predicted, true, request.scope, notes)
            objects = said.objects if alone is None else None
            tasks.append(
                Task(video, protocol, predicted, true, frames, objects, spans_of(said), alone)
            )
    return tasks, notes


def spans_of(meta: VideoMeta) -> dict[int, tuple[int, int]]:
    """Object id -> numbers of its first and last frame, as far as a meta file says them."""
    return {i: track.span for i, track in meta.tracks.items() if track.span is not None}


def _both(request: Request) -> tuple[dict[str, Parts], dict[str, Parts]]:
    """The labels and the masks of every video."""
    if request.form is MaskForm.REGIONS:
        return (
            true_regions(request.truth),
            predicted_regions(request.prediction, request.truth),
        )
    labels = find_masks(_truth_root(request.truth), request.form)
    alone = any(None not in parts for parts in labels.values())
    form = MaskForm.PER_OBJECT if alone else MaskForm.IDS
    return labels, find_masks(request.prediction, form, labels)


def _predicted(
    request: Request, video: str, part: str | None, alone: int | None, masks: Parts | None
) -> MaskFiles | None:
    """What is compared with the labels of a video, or of one object of it."""
    if masks is None or part in masks:
        return None if masks is None else masks[part]
    if None in masks:
        return replace(masks[None], only=alone)
    raise InputError(
        f"video {video} of {request.prediction} has no masks of object {part}:"
        f" {request.protocol.server} stops there, write them"
    )


def _object_id(part: str, labels: Parts) -> int:
    """The id of an object by its folder: its number, one more where they begin at 0."""
    numbers = [int(name) for name in labels if name is not None]
    return int(part) + (0 in numbers)


def _videos(
    request: Request, labels: Mapping[str, Parts], masks: Mapping[str, Parts], notes: list[str]
) -> list[str]:
    """The videos to score; `InputError` for missing ones, or ones too many, that the server
    refuses."""
    prediction, truth, protocol = request.prediction, request.truth, request.protocol
    left_out = request.scope.partial or protocol.missing is Missing.LEFT_OUT
    missing = sorted(labels.keys() - masks.keys())
    extra = sorted(masks.keys() - labels.keys())
    if len(missing) == len(labels):
        raise InputError(
            f"{prediction} holds no video of {truth}: expected {missing[0]}/00000.png in it"
        )
    for video in missing:
        if left_out:
            notes.append(f"video {video} is not in {prediction}: left out")
        elif protocol.missing is Missing.ZERO:
            notes.append(f"video {video} is not in {prediction}: {protocol.server} scores it zero")
        else:
            raise InputError(
                f"video {video} of {truth} is not in {prediction}: {protocol.server} refuses"
                " that, add it or score what is there with --partial"
            )
    if extra and protocol.extra_refused and not request.scope.partial:
        raise InputError(
            f"video {extra[0]} of {prediction} is not in {truth}: {protocol.server} refuses that,"
            " remove it or score what both have with --partial"
        )
    return sorted(labels.keys() & masks.keys() if left_out else labels)


def _truth_root(truth: Path) -> Path:
    """The folder of video folders: the data set's annotations where its root was given."""
    places = (truth / ANNOTATIONS, truth / RATES[ANNOTATIONS])
    annotations = next((place for place in places if place.is_dir()), None)
    if annotations is None:
        return truth
    inner = (annotations / name for name in RESOLUTIONS)
    return next((folder for folder in inner if folder.is_dir()), annotations)


def _order_notes(video: str, labels: MaskFiles, masks: MaskFiles | None) -> Iterator[str]:
    """What the public evaluators, which go by names as text, would make of these names."""
    if tuple(sorted(labels.names)) != labels.names:
        yield (
            f"video {video}: the order of its masks' names as text is not that of their numbers"
            f" ({labels.names[0]} to {labels.names[-1]}), which counts here; the public evaluators"
            " leave out other frames"
        )
    if masks is not None and masks.numbers and labels.numbers:
        other = [n for n in labels.names if n not in masks.names]
        partners = [masks.partner(n, labels.numbers[n]) for n in other]
        if any(partners):
            yield (
                f"video {video}: mask {partners[0]} is taken for {other[0]} by its number; servers"
                " go by the name"
            )
        alone = [n for n in other if masks.partner(n, labels.numbers[n]) is None]
        extra = [n for n in masks.names if labels.partner(n, masks.numbers[n]) is None]
        if alone and extra:
            yield (
                f"video {video}: mask {extra[0]} has no true one, and {alone[0]} is missing: are"
                " the masks numbered as the true ones are?"
            )


def _wrapping_notes(request: Request, masks: Mapping[str, Parts]) -> list[str]:
    path, protocol = request.prediction, request.protocol
    part, first = next((p, m) for parts in masks.values() for p, m in parts.items())
    prefix, _, _ = first.folder[:-1].rpartition("/")
    if part is not None:
        prefix, _, _ = prefix.rpartition("/")
    if first.regions is not None or (
        request.scope.board and f"{prefix}/" == request.scope.board.prefix
    ):
        return []
    if not prefix or (protocol.wrapping_folder and "/" not in prefix):
        return []
    return [
        f"the videos of {path} lie in a folder {prefix}: {protocol.server} wants them at the root"
    ]


def _frames(
    video: str,
    protocol: Protocol,
    masks: MaskFiles | None,
    labels: MaskFiles,
    scope: EvaluationScope,
    notes: list[str],
) -> tuple[str, ...]:
    """The file names to compare: all that the protocol does not leave out."""
    end = len(labels.names) - protocol.last
    expected = labels.names if scope.all_frames else labels.names[protocol.first : max(end, 0)]
    if not expected:
        zero = protocol.missing is Missing.ZERO
        fate = "scores it zero" if zero else "cannot score it, it is left out"
        left = "the first and the last" if protocol.last else "the first"
        notes.append(
            f"video {video} has {len(labels.names)} true masks, none besides {left}:"
            f" {protocol.server} {fate}"
        )
    if masks is None:
        return ()
    if protocol.frames_by_prediction:
        return _mosev2_frames(video, masks, labels, notes)
    missing = [n for n in expected if masks.partner(n, labels.numbers.get(n)) is None]
    if missing:
        raise InputError(
            f"mask {masks.path}/{masks.folder}{missing[0]} is missing"
            f" ({len(missing)} of {len(expected)}): {protocol.server} stops there, write a mask"
            " for every true one"
        )
    return expected


def _mosev2_frames(
    video: str, masks: MaskFiles, labels: MaskFiles, notes: list[str]
) -> tuple[str, ...]:
    """As the MOSEv2 server counts them: along the predicted masks, not the true ones."""
    for name in (*masks.names, *labels.names):
        if not name.removesuffix(".png").isdecimal():
            raise InputError(
                f"mask {name} of video {video} has a name that is not a number: the MOSEv2"
                " server stops there, rename it like 00000.png"
            )
    length = len(labels.names)
    frames = tuple(sorted(masks.names, key=lambda name: int(name[:-4]))[1 : max(length - 1, 1)])
    expected = tuple(sorted(labels.names, key=lambda name: int(name[:-4]))[1:-1])
    foreign = [name for name in frames if name not in set(labels.names)]
    if len(frames) < len(expected) or foreign:
        wrong = (
            f"mask {foreign[0]} has no true one" if foreign else f"only {len(masks.names)} masks"
        )
        raise InputError(
            f"video {video} of {masks.path} has {length} true masks, but {wrong}: the MOSEv2"
            " server stops there, write a mask for every true one"
        )
    if frames != expected:
        missing = next(name for name in expected if name not in masks.names or name not in frames)
        notes.append(
            f"video {video} lacks masks or has too many: the MOSEv2 server then scores"
            f" {frames[0]} to {frames[-1]}, without {missing}"
        )
    return frames


def _check_length(video: str, said: VideoMeta, labels: MaskFiles, meta: Path) -> None:
    if said.objects is None:
        raise InputError(f"meta file {meta} says nothing of the objects of video {video}: add them")
    if said.length is not None and said.length != len(labels.names):
        raise InputError(
            f"meta file {meta} says that video {video} has {said.length} frames, but there are"
            f" {len(labels.names)} true masks: the MOSEv2 server stops there, complete them"
        )


def _find_meta(truth: Path, labels: Mapping[str, Parts], notes: list[str]) -> dict[str, VideoMeta]:
    """The meta file in or beside ``truth`` that knows all videos, if there is one."""
    for folder in (truth, truth.parent):
        named = [*sorted(folder.glob("meta_*.json")), *sorted(folder.glob("*_meta.json"))]
        for path in [folder / "meta.json", *named]:
            if not path.is_file():
                continue
            try:
                known = read_meta(path)
            except InputError as error:
                notes.append(f"not used: {error}")
                continue
            if labels.keys() <= known.keys():
                notes.append(f"the objects of every video are those of {path}")
                return known
    return {}
