"""What an evaluation compares: videos, frames and objects, found as the public evaluators do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from mose.layout import ANNOTATIONS, RESOLUTIONS
from mose.readers.numbers import number_names
from mose.results import Results, by_video, wrapping
from selection.metrics.protocols import Missing, Protocol
from stseg.errors import InputError
from stseg.files import Json
from stseg.text import read_json


@dataclass(frozen=True)
class MaskFiles:
    """The masks of one video: names of files below ``folder`` of the `Results` at ``path``, in
    the order of their numbers."""

    path: Path
    folder: str
    names: tuple[str, ...]

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Name -> its number; empty where names have none."""
        numbering = number_names([stem(name) for name in self.names])
        if numbering.odd:
            return {}
        return {name: numbering.numbers[stem(name)] for name in self.names}

    def partner(self, name: str, number: int | None) -> str | None:
        """The mask of this name, else of this number, whatever its zeros and suffix's case."""
        if name in self._known:
            return name
        return None if number is None else self._by_number.get(number)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.names)

    @cached_property
    def _by_number(self) -> dict[int, str]:
        return {number: name for name, number in self.numbers.items()}


@dataclass(frozen=True)
class Task:
    """One video to score.

    prediction   None where it is missing
    frames       file names of the masks to compare, in order
    objects      the ids to score; None: those of the true masks
    """

    video: str
    protocol: Protocol
    prediction: MaskFiles | None
    truth: MaskFiles
    frames: tuple[str, ...]
    objects: tuple[int, ...] | None

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
    """

    all_frames: bool = False
    meta: Path | None = None
    partial: bool = False


ALL = EvaluationScope()
"""What the protocol's server counts."""


@dataclass(frozen=True)
class Known:
    """What a meta file says of a video; None where it does not."""

    objects: tuple[int, ...] | None
    length: int | None


def plan(
    prediction: Path,
    truth: Path,
    protocol: Protocol,
    scope: EvaluationScope = ALL,
) -> tuple[list[Task], list[str]]:
    """The videos to score, by name, and notes on what the protocol's server would do.

    The arguments are those of `selection.evaluate.evaluate`. Reads names and the meta file,
    no mask. Raises `InputError` for what the server refuses.
    """
    labels = _find(_truth_root(truth))
    masks = _find(prediction, labels)
    notes = _wrapping_notes(prediction, masks, protocol)
    missing = sorted(labels.keys() - masks.keys())
    extra = sorted(masks.keys() - labels.keys())
    if len(missing) == len(labels):
        raise InputError(
            f"{prediction} holds no video of {truth}: expected {missing[0]}/00000.png in it"
        )
    for video in missing:
        if scope.partial or protocol.missing is Missing.LEFT_OUT:
            notes.append(f"video {video} is not in {prediction}: left out")
        elif protocol.missing is Missing.ZERO:
            notes.append(f"video {video} is not in {prediction}: {protocol.server} scores it zero")
        else:
            raise InputError(
                f"video {video} of {truth} is not in {prediction}: {protocol.server} refuses"
                " that, add it or score what is there with --partial"
            )
    if extra and protocol.extra_refused and not scope.partial:
        raise InputError(
            f"video {extra[0]} of {prediction} is not in {truth}: {protocol.server} refuses that,"
            " remove it or score what both have with --partial"
        )
    left_out = scope.partial or protocol.missing is Missing.LEFT_OUT
    known = _read_meta(scope.meta) if scope.meta else _find_meta(truth, labels, notes)
    tasks = []
    for video in sorted(labels.keys() & masks.keys() if left_out else labels):
        said = known.get(video, Known(None, None))
        notes += _order_notes(video, labels[video], masks.get(video))
        if scope.meta and protocol.frames_by_prediction:
            _check_length(video, said, labels[video], scope.meta)
        frames = _frames(video, protocol, masks.get(video), labels[video], scope, notes)
        tasks.append(Task(video, protocol, masks.get(video), labels[video], frames, said.objects))
    return tasks, notes


def _truth_root(truth: Path) -> Path:
    """The folder of video folders: the data set's annotations where its root was given."""
    annotations = truth / ANNOTATIONS
    if not annotations.is_dir():
        return truth
    inner = (annotations / name for name in RESOLUTIONS)
    return next((folder for folder in inner if folder.is_dir()), annotations)


def _find(path: Path, videos: Mapping[str, MaskFiles] | None = None) -> dict[str, MaskFiles]:
    """Video -> its masks, looked up inside the folders that wrap all of them."""
    results = Results(path)
    prefix = wrapping(results.names, videos or ())
    masks = {}
    for video, files in by_video(results.names, prefix).items():
        names = [n for n in files if n.lower().endswith(".png") and "/" not in n and n[0] != "."]
        if video and names:
            masks[video] = _in_order(MaskFiles(path, f"{prefix}{video}/", tuple(sorted(names))))
    if not masks:
        raise InputError(f"{path} holds no masks: expected <video>/00000.png in it")
    return masks


def stem(name: str) -> str:
    """A file's name without its suffix."""
    return name.rpartition(".")[0]


def _in_order(masks: MaskFiles) -> MaskFiles:
    """The masks in the order of their numbers, where they have any."""
    if not masks.numbers:
        return masks
    if len(set(masks.numbers.values())) < len(masks.names):
        raise InputError(
            f"folder {masks.folder} of {masks.path} holds two masks with the same number: keep one"
        )
    return replace(masks, names=tuple(sorted(masks.names, key=masks.numbers.__getitem__)))


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
                f"video {video}: mask {partners[0]} is taken for {other[0]} by its number;"
                " servers go by the name"
            )


def _wrapping_notes(path: Path, masks: Mapping[str, MaskFiles], protocol: Protocol) -> list[str]:
    prefix, _, _ = next(iter(masks.values())).folder[:-1].rpartition("/")
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


def _check_length(video: str, said: Known, labels: MaskFiles, meta: Path) -> None:
    if said.objects is None:
        raise InputError(f"meta file {meta} says nothing of the objects of video {video}: add them")
    if said.length is not None and said.length != len(labels.names):
        raise InputError(
            f"meta file {meta} says that video {video} has {said.length} frames, but there are"
            f" {len(labels.names)} true masks: the MOSEv2 server stops there, complete them"
        )


def _find_meta(truth: Path, labels: Mapping[str, MaskFiles], notes: list[str]) -> dict[str, Known]:
    """The meta file in or beside ``truth`` that knows all videos, if there is one."""
    for folder in (truth, truth.parent):
        for path in [folder / "meta.json", *sorted(folder.glob("meta_*.json"))]:
            if not path.is_file():
                continue
            try:
                known = _read_meta(path)
            except InputError as error:
                notes.append(f"not used: {error}")
                continue
            if labels.keys() <= known.keys():
                notes.append(f"the objects of every video are those of {path}")
                return known
    return {}


def _read_meta(path: Path) -> dict[str, Known]:
    try:
        videos: dict[str, Json] = read_json(path, "meta file")["videos"]
        return {video: _known(entry) for video, entry in videos.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f'meta file {path} is damaged: expected {{"videos": {{<video>: {{"objects":'
            ' ["1", ...], "length": 60}}}'
        ) from None


def _known(entry: Json) -> Known:
    objects = entry.get("objects")
    length = entry.get("length")
    return Known(
        None if objects is None else tuple(sorted(int(i) for i in objects)),
        None if length is None else int(length),
    )
