"""Build MOSE+: read the sources, measure, choose, write. Resumable, in several processes."""

from __future__ import annotations

import csv
import hashlib
import io
import multiprocessing
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

import cv2
import numpy as np
from PIL import Image

from mose.masks import VOID, object_ids, read_mask, write_mask
from mose.plus.choose import Decision, MeasuredClip, PlusConfig, choose, read_guards
from mose.plus.clip import BrokenClip, ClipFrames, SourceClip, number_objects
from mose.plus.measures import MEASURED, Measures, measure
from mose.plus.sources import LICENCES, read_source
from mose.readers.images import opened, orientation
from stseg.cli import describe_os_error
from stseg.errors import InputError
from stseg.files import appearing_in, read_json, write_json, write_text
from stseg.progress import Progress
from stseg.text import read_text

JPEG_QUALITY = 95
COLUMNS = ("clip", "source", "name", "kept", "reason", "score", "frames", "objects", *MEASURED,
           "notes")  # fmt: skip

ClipRow: TypeAlias = dict[str, str | int | float]
"""A row of clips.csv or broken.csv by column."""

Task: TypeAlias = tuple[SourceClip, str]
"""A clip and the name of its folder, where it is written."""

Result = TypeVar("Result")
Work: TypeAlias = Callable[[SourceClip, str], Result]


@dataclass(frozen=True)
class Built:
    """What a build did: rows of clips.csv, and clips that could not be read (name, why)."""

    rows: list[ClipRow]
    broken: list[tuple[str, str]]


def build(roots: Mapping[str, Path], out: Path, config: PlusConfig, processes: int = 1) -> Built:
    """Make a MOSE+ in ``out`` from the sources in ``roots`` (source -> folder).

    Writes ``JPEGImages``, ``Annotations``, ``moseplus.txt``, ``clips.csv``, ``broken.csv`` and
    ``LICENCES.txt``. Measures and complete clips of an earlier, interrupted build are kept.
    Raises `InputError` before anything is read where a folder or list cannot be used.
    """
    guards = read_guards(config.exclude)
    claim(out)
    listed = [clip for source, root in roots.items() for clip in read_source(source, root)]
    free, kept_out = guards.split(listed)
    clips = [clip for clip in free if isinstance(clip, SourceClip)]
    refused = [clip for clip in kept_out if isinstance(clip, SourceClip)]
    unread = [(_key(clip), clip.reason) for clip in free if isinstance(clip, BrokenClip)]
    names = dict(zip(map(_key, clips), clip_names(clips), strict=True))
    (out / ".measures").mkdir(exist_ok=True)
    measured, broken = _each(
        partial(_measured, out), [(clip, "") for clip in clips], processes, "measured"
    )
    usable = [clip for clip in clips if _key(clip) in measured]
    rows = [MeasuredClip(clip.source, clip.name, measured[_key(clip)]) for clip in usable]
    decisions = choose(rows, config)
    chosen = [
        (clip, names[_key(clip)])
        for clip, decision in zip(usable, decisions, strict=True)
        if decision.kept
    ]
    _remove_stale(out, {name for _, name in chosen})
    written, failed = _each(
        partial(_written, out, config.longest_side), chosen, processes, "written"
    )
    reasons = dict(failed)
    table = []
    for clip, row, decision in zip(usable, rows, decisions, strict=True):
        if _key(clip) in reasons:
            decision = Decision(decision.score, False, f"broken: {reasons[_key(clip)]}")
        table.append(_row(names[_key(clip)], clip, row.measures, decision))
    table += [_refused_row(clip) for clip in refused]
    broken = [*unread, *broken, *failed]
    write_lists(out, table, broken, roots, written)
    return Built(table, broken)


def claim(out: Path) -> None:
    """Claim the folder ``out``; `InputError` where it holds something else."""
    mark = out / ".measures"
    if out.exists() and not out.is_dir():
        raise InputError(f"output {out} is a file: choose a folder")
    if out.is_dir() and any(out.iterdir()) and not mark.is_dir():
        raise InputError(f"output {out} holds other things than a MOSE+: choose an empty folder")
    out.mkdir(parents=True, exist_ok=True)


def clip_names(clips: Sequence[SourceClip]) -> list[str]:
    """A folder name per clip: ``<source>_<name>`` in safe letters, numbered where equal."""
    safe = [f"{c.source}_{re.sub(r'[^A-Za-z0-9._-]+', '_', c.name)}" for c in clips]
    seen: Counter[str] = Counter()
    names = []
    for name in safe:
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return names


def write_clip(clip: SourceClip, out: Path, name: str, longest_side: int) -> None:
    """Write one clip in MOSE layout, completely or not at all; the frames are written last.

    Ids become 1..N, and 255 stays what is to be ignored; frames are renumbered from 00000;
    leading frames without any object are left out. A JPEG that is not resized is linked, and so
    is a mask that does not change.
    """
    numbers = number_objects(clip)
    table = np.zeros(256, np.uint8)
    for object_id, number in numbers.items():
        table[object_id] = number
    table[VOID] = VOID
    with appearing_in(out, ("Annotations", "JPEGImages"), name) as partial:
        started = 0
        for index in range(len(clip)):
            ids = clip.mask(index)
            if not started and not object_ids(ids):
                continue
            size = scaled_size(ids.shape, longest_side)
            stem = f"{started:05d}"
            _write_frame(clip.frames, index, partial / "JPEGImages" / f"{stem}.jpg", size)
            target = partial / "Annotations" / f"{stem}.png"
            path = clip.masks.path(index)
            renamed = table[ids]
            same = size is None and path is not None and np.array_equal(renamed, read_mask(path))
            if path is not None and same and _is_palette(path):
                link(path, target)
            else:
                if size is not None:
                    renamed = cv2.resize(renamed, size, interpolation=cv2.INTER_NEAREST_EXACT)
                write_mask(target, renamed)
            started += 1


def scaled_size(shape: Sequence[int], longest_side: int) -> tuple[int, int] | None:
    """(width, height) with the longest side at most ``longest_side``; None: as it is."""
    scale = longest_side / max(shape) if longest_side else 1.0
    if scale >= 1:
        return None
    return max(round(shape[1] * scale), 1), max(round(shape[0] * scale), 1)


def link(source: Path, target: Path) -> None:
    """A hard link, else a symbolic one (another disk), else a copy."""
    for way in (os.link, os.symlink):
        try:
            way(source.resolve(), target)
            return
        except OSError:
            continue
    shutil.copyfile(source, target)


def _write_frame(
    frames: ClipFrames, index: int, target: Path, size: tuple[int, int] | None
) -> None:
    frame = frames[index]  # also where it is linked: a broken frame breaks the clip
    path = frames.path(index)
    if size is None and path is not None and _is_upright_jpeg(path):
        link(path, target)
        return
    if size is not None:
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    Image.fromarray(frame).save(target, quality=JPEG_QUALITY)


def _is_palette(path: Path) -> bool:
    with opened(path, path, "mask") as image:
        return image.mode == "P" and image.format == "PNG"


def _is_upright_jpeg(path: Path) -> bool:
    """Whether every reader sees the file as it is stored."""
    with opened(path, path, "frame") as image:
        return image.format == "JPEG" and orientation(image) == 1


def _key(clip: SourceClip | BrokenClip) -> str:
    return f"{clip.source}/{clip.name}"


def _each(
    work: Work[Result], tasks: Sequence[Task], processes: int, label: str
) -> tuple[dict[str, Result], list[tuple[str, str]]]:
    """``work(clip, name)`` for every task: results and failures by the clip's key."""
    results: dict[str, Result] = {}
    failures: list[tuple[str, str]] = []
    bar = Progress(len(tasks), f"clips {label}")
    for clip, result, error in _run(work, tasks, processes):
        if result is not None:
            results[_key(clip)] = result
        else:
            failures.append((_key(clip), error))
        bar.advance()
    bar.close()
    return results, sorted(failures)


def _run(
    work: Work[Result], tasks: Sequence[Task], processes: int
) -> Iterator[tuple[SourceClip, Result | None, str]]:
    if processes <= 1:
        for task in tasks:
            yield task[0], *_attempt(work, task)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context) as pool:
        futures = {pool.submit(_attempt, work, task): task[0] for task in tasks}
        try:
            for future in as_completed(futures):
                yield futures[future], *future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _attempt(work: Work[Result], task: Task) -> tuple[Result | None, str]:
    """The result, or None and why there is none."""
    cv2.setNumThreads(1)
    try:
        return work(*task), ""
    except InputError as error:
        return None, str(error)
    except FileNotFoundError as error:
        return None, describe_os_error(error)


def _measured(out: Path, clip: SourceClip, _: str) -> Measures:
    """The measures of a clip, taken from an earlier build if its files have not changed."""
    path = out / ".measures" / f"{_digest(clip)}.json"
    if known := read_json(path):
        return Measures(**known)
    measures = measure(clip)
    write_json(path, measures.json(), indent=None)
    return measures


def _written(out: Path, longest_side: int, clip: SourceClip, name: str) -> str:
    """Write a clip, unless a complete one from the same files and of the same size is there."""
    mark = out / ".measures" / f"{name}.written"
    stamp = f"{_digest(clip)} {longest_side}"
    if not (mark.exists() and read_text(mark) == stamp and (out / "JPEGImages" / name).is_dir()):
        write_clip(clip, out, name, longest_side)
        write_text(mark, stamp)
    return name


def _digest(clip: SourceClip) -> str:
    """A hash that changes with the files of a clip's frames and masks, and with its JSON."""
    total = hashlib.sha256(_key(clip).encode())
    for index in range(len(clip)):
        frame = clip.frames.path(index)
        for file in (*((frame,) if frame else ()), *clip.masks.files(index)):
            total.update(f"{file.name} {file.stat().st_size}\n".encode("utf-8", "surrogateescape"))
    if clip.frames.path(0) is None:
        clip.frames.stored.fingerprint(total)
        total.update(repr(clip.frames.indices).encode())
    if not clip.masks.files(0):
        total.update(repr(clip.masks).encode())
    return total.hexdigest()[:32]


def _remove_stale(out: Path, wanted: set[str]) -> None:
    """Remove the clips of an earlier build that are not in this one."""
    for kind in ("JPEGImages", "Annotations"):
        folder = out / kind
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.name not in wanted:
                shutil.rmtree(path)


def _row(name: str, clip: SourceClip, measures: Measures, decision: Decision) -> ClipRow:
    told = {column: getattr(measures, column) for column in ("frames", "objects", *MEASURED)}
    return {
        "clip": name,
        "source": clip.source,
        "name": clip.name,
        **told,
        "kept": int(decision.kept),
        "reason": decision.reason,
        "score": round(decision.score, 5),
        "notes": "; ".join(clip.notes),
    }


def _refused_row(clip: SourceClip) -> ClipRow:
    return {
        "source": clip.source, "name": clip.name, "kept": 0, "frames": len(clip),
        "reason": "on a list of evaluation videos", "notes": "; ".join(clip.notes),
    }  # fmt: skip


def write_lists(
    out: Path,
    table: Sequence[ClipRow],
    broken: Sequence[tuple[str, str]],
    roots: Mapping[str, Path],
    written: Mapping[str, str],
) -> None:
    """``moseplus.txt``, ``clips.csv``, ``broken.csv`` and ``LICENCES.txt``."""
    write_text(out / "moseplus.txt", "".join(f"{name}\n" for name in sorted(written.values())))
    write_text(out / "clips.csv", _csv(COLUMNS, table))
    rows: list[ClipRow] = [{"clip": name, "reason": reason} for name, reason in broken]
    write_text(out / "broken.csv", _csv(("clip", "reason"), rows))
    write_text(out / "LICENCES.txt", licences(roots))


def licences(roots: Mapping[str, Path]) -> str:
    """What the sources' licences say; printed and written into the output."""
    lines = [f"{source}: {LICENCES[source]}" for source in roots]
    return "Licences of the sources; the strictest holds for the whole.\n" + "\n".join(lines) + "\n"


def _csv(columns: Sequence[str], rows: Sequence[ClipRow]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
