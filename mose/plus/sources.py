"""Readers of the sources' documented layouts; each yields `SourceClip`s without decoding anything.

Frames that a source leaves unannotated are treated like this:

mose, davis   the clip is cut to the longest run of annotated frames: frames follow each other
              at full rate, and dropping single ones would make motion jump. Where only every
              n-th frame is annotated on purpose, as in SA-V, the run is one of those
burst         dropped: about one frame a second is annotated on purpose
ovis,         only annotated frames are listed; a null segmentation says that the object is not
youtube-vis   visible, which is an annotation; at a frame whose image is missing the clip is cut
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from mose.dataset import Dataset, open_dataset
from mose.frames import FrameFiles, open_frames
from mose.given_files import given_files
from mose.palette import values
from mose.plus.clip import MAX_OBJECTS, BrokenClip, ClipFrames, PngMasks, SourceClip, TrackMasks
from mose.prompts import read_given
from mose.readers.images import image_size
from mose.readers.meaning import undecided
from stseg.cli import counted
from stseg.errors import InputError
from stseg.files import Json
from stseg.text import read_json

LICENCES = {
    "mose": "CC BY-NC-SA 4.0",
    "burst": "annotations MIT; frames from TAO's sources (ArgoVerse, AVA, BDD, Charades, HACS,"
    " LaSOT, YFCC100M) under theirs",
    "ovis": "CC BY-NC-SA 4.0, research use",
    "youtube-vis": "CC BY 4.0 (annotations), research use of the videos",
    "davis": "CC BY 4.0 in one place of its read-me and CC BY-NC 4.0 in another",
}


def read_source(source: str, root: Path) -> Iterator[SourceClip | BrokenClip]:
    """The clips of a source; `InputError` where the folder is not laid out as documented."""
    if not root.is_dir():
        raise InputError(f"folder {root} of {source} does not exist: give the archive's folder")
    return READERS[source](root)


def read_png(source: str, root: Path) -> Iterator[SourceClip | BrokenClip]:
    """MOSE or DAVIS: ``[train/]JPEGImages/<video>/*.jpg`` and ``Annotations/<video>/*.png``, or
    whatever else `mose.dataset` opens: movies, a folder of masks per object."""
    dataset = open_dataset(root, "train")
    for name in dataset.videos:
        yield _guarded(source, name, partial(_png_clip, source, dataset, name))


def _png_clip(source: str, dataset: Dataset, name: str) -> SourceClip:
    stored = open_frames(dataset.frames_of(name), name)
    masks = given_files(dataset.given_of(name), name, stored.numbers).masks
    numbers = sorted(stored.numbers.values())
    run = steady_run([index for index, number in enumerate(numbers) if number in masks])
    notes = [note.sentence for note in stored.notes if note.rule in ("gap", "frame-kinds")]
    unmatched = [given[0].path for number, given in masks.items() if number not in set(numbers)]
    if unmatched:
        notes.append(
            f"{counted(len(unmatched), 'mask')} without a frame of the same number, such as"
            f" {unmatched[0]}: not used"
        )
    if len(run) < len(numbers):
        every = f", every {run.step}th one" if run.step > 1 else ""
        last = run[-1] if run else -1
        notes.append(
            f"cut to frames {run.start}..{last}{every} of {len(numbers)}: the rest has no mask"
        )
    chosen = tuple(masks[numbers[index]] for index in run)
    # Whether the rest of the source says what 255 means is asked only where this clip does not.
    open_question = bool(chosen) and undecided(values(read_given(chosen[0])))
    pngs = PngMasks(chosen, open_question and dataset.ignores)
    return SourceClip(source, name, ClipFrames(stored, run), pngs, tuple(notes))


def _guarded(source: str, name: str, make: Callable[[], SourceClip]) -> SourceClip | BrokenClip:
    """A clip, or why its entry cannot be read: one bad clip costs that clip."""
    try:
        return make()
    except InputError as error:
        return BrokenClip(source, name, str(error))
    except KeyError as error:
        return BrokenClip(
            source, name, f"clip {name} of {source} lacks {error} in its JSON: add it"
        )
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        sentence = f"clip {name} of {source} cannot be read ({error}): mend its JSON"
        return BrokenClip(source, name, sentence)


def read_burst(root: Path) -> Iterator[SourceClip | BrokenClip]:
    """BURST: JSON with ``sequences``; frames under ``frames/[train/]<dataset>/<seq_name>/``."""
    for path, content in _json_files(root, "sequences"):
        for number, sequence in enumerate(content["sequences"]):
            name = _told(sequence, "dataset", "seq_name") or f"number {number}"
            yield _guarded(
                "burst",
                name,
                partial(_burst_clip, root, path.parent.name, name, sequence),
            )


def _burst_clip(root: Path, split: str, name: str, sequence: Json) -> SourceClip:
    _ = sequence["dataset"], sequence["seq_name"]  # KeyError says which is missing
    images = [_slashes(image) for image in sequence["annotated_image_paths"]]
    folder = _image_folder(root, [f"{name}/{image}" for image in images[:1]], split)
    per_frame = sequence["segmentations"]
    ids = sorted({track for frame in per_frame for track in frame}, key=_as_number)
    tracks = [[_burst_rle(frame.get(track)) for frame in per_frame] for track in ids]
    frames = tuple(folder / name / image for image in images)
    total = len(sequence.get("all_image_paths", images))
    notes: tuple[str, ...] = ()
    if total > len(images):
        notes = (f"{total - len(images)} frames without annotation dropped",)
    return _track_clip("burst", name, frames, sequence, tracks, notes)


def read_vis(source: str, root: Path) -> Iterator[SourceClip | BrokenClip]:
    """OVIS or YouTube-VIS: COCO-style JSON with ``videos`` and ``annotations``."""
    for path, content in _json_files(root, "videos"):
        by_video: dict[str, list[Any]] = {}
        for annotation in content.get("annotations") or ():
            if isinstance(annotation, Mapping):  # ids may be numbers in one place, text in another
                by_video.setdefault(str(annotation.get("video_id")), []).append(annotation)
        for number, video in enumerate(content["videos"]):
            mine = by_video.get(_told(video, "id"), [])
            yield _guarded(
                source,
                _vis_name(video) or f"number {number}",
                partial(_vis_clip, source, root, path.stem, video, mine),
            )


def _vis_clip(
    source: str, root: Path, split: str, video: Json, annotations: Sequence[Any]
) -> SourceClip:
    names = [_slashes(name) for name in video["file_names"]]
    folder = _image_folder(root, names[:1], split)
    tracks = [list(annotation["segmentations"]) for annotation in annotations]
    frames = tuple(folder / file for file in names)
    return _track_clip(source, _vis_name(video) or str(video["id"]), frames, video, tracks, ())


def _vis_name(video: Any) -> str:
    """The folder of a video's images, else its id; "" where its entry says neither."""
    try:
        return Path(_slashes(video["file_names"][0])).parent.name or str(video["id"])
    except (KeyError, IndexError, TypeError, AttributeError):
        return _told(video, "id")


def _told(entry: Any, *keys: str) -> str:
    """What an entry says under the keys, joined by a slash; "" where it does not."""
    if not isinstance(entry, Mapping) or any(key not in entry for key in keys):
        return ""
    return "/".join(str(entry[key]) for key in keys)


def _slashes(name: str) -> str:
    """A file's name as the annotations give it, with slashes where Windows has backslashes."""
    return name.replace("\\", "/")


READERS: dict[str, Callable[[Path], Iterator[SourceClip | BrokenClip]]] = {
    "mose": lambda root: read_png("mose", root),
    "burst": read_burst,
    "ovis": lambda root: read_vis("ovis", root),
    "youtube-vis": lambda root: read_vis("youtube-vis", root),
    "davis": lambda root: read_png("davis", root),
}


def longest_run(flags: Sequence[bool]) -> tuple[int, int]:
    """(start, stop) of the first longest run of true values; (0, 0) if there is none."""
    best = (0, 0)
    start = 0
    for index, flag in enumerate([*flags, False]):
        if not flag:
            if index - start > best[1] - best[0]:
                best = (start, index)
            start = index + 1
    return best


def steady_run(annotated: Sequence[int]) -> range:
    """The first longest run of annotated frames that are as far apart as the nearest two.

    annotated   their indices, ascending
    """
    step = min((after - before for before, after in pairwise(annotated)), default=1)
    there = set(annotated)
    runs = []
    for phase in range(step):
        indices = range(phase, max(there, default=-1) + 1, step)
        start, stop = longest_run([index in there for index in indices])
        runs.append(indices[start:stop])
    return max(runs, key=lambda run: (len(run), -run.start))


def _track_clip(
    source: str,
    name: str,
    frames: tuple[Path, ...],
    entry: Json,
    tracks: list[list[Any]],
    notes: tuple[str, ...],
) -> SourceClip:
    """A clip of tracks; surplus objects are left out, and it is cut at a missing image."""
    height, width = int(entry["height"]), int(entry["width"])
    first = next((frame for frame in frames if frame.is_file()), None)
    if first is not None and height != width and image_size(first) == (width, height):
        height, width = width, height
        notes += ("height and width are swapped in its JSON: turned back",)
    for track in tracks:
        if len(track) != len(frames):
            raise InputError(
                f"clip {name} of {source} has {len(frames)} frames but a track of {len(track)}:"
                " mend its JSON"
            )
    if len(tracks) > MAX_OBJECTS:
        notes += (f"{len(tracks) - MAX_OBJECTS} of {len(tracks)} objects dropped: ids end at 254",)
        # The longest tracks stay, in their order.
        longest = sorted(range(len(tracks)), key=lambda n: -sum(s is not None for s in tracks[n]))
        tracks = [tracks[n] for n in sorted(longest[:MAX_OBJECTS])]
    masks = TrackMasks(height, width, tuple(tuple(track) for track in tracks))
    clip = SourceClip(source, name, ClipFrames.of(FrameFiles(frames)), masks, notes)
    start, stop = longest_run([frame.is_file() for frame in frames])
    if stop - start < len(frames):
        clip = clip.part(
            start, stop, f"cut to frames {start}..{stop - 1} of {len(frames)}: images are missing"
        )
    return clip


def _json_files(root: Path, key: str) -> Iterator[tuple[Path, Json]]:
    """The JSON files of a source that hold ``key``; training ones only, where names tell."""
    paths = sorted(p for p in root.glob("**/*.json") if len(p.relative_to(root).parts) <= 3)
    training = [p for p in paths if "train" in str(p.relative_to(root)).lower()]
    count = 0
    for path in training or paths:
        content = read_json(path, "annotation file")
        if isinstance(content, dict) and isinstance(content.get(key), list):
            count += 1
            yield path, content
    if not count:
        raise InputError(f"folder {root} has no JSON with '{key}': give the archive's folder")


def _image_folder(root: Path, examples: Sequence[str], split: str) -> Path:
    """The folder that image names are relative to: the one that holds the first image."""
    bases = [root, *(root / name for name in ("frames", "JPEGImages", "train", split))]
    bases += [base / name for base in bases for name in ("train", split, "JPEGImages")]
    for example in examples:
        for base in bases:
            if (base / example).is_file():
                return base
        # A missing first image: any base that has its folder will do, the clip is cut later.
        for base in bases:
            if (base / example).parent.is_dir():
                return base
    return root


def _burst_rle(entry: Any) -> Any:
    return entry.get("rle") if isinstance(entry, Mapping) else entry


def _as_number(track: str) -> tuple[int, str]:
    return (int(track), "") if str(track).isdigit() else (1 << 30, str(track))
