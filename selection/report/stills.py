"""Stills: the small pictures that a video's page shows, made while the video is finished.

::

    report/frames/<page name>/
      stills.json         which frames, which layers, the size
      000.jpg             a frame, small
      000.masks.png       id masks of every layer, one below the other, background transparent
      000.maps.png        where members differ; with labels, each candidate's errors
      000.selected.png    the selected masks; made anew with the report

They are made when the members' predictions are at hand, so that the report can be made again
from the run directory after those are gone.
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mose.masks import read_mask
from mose.video import IMAGE_SUFFIXES, numbered_files, read_frame
from selection.evidence import PSEUDO_LABEL
from selection.run_paths import RunPaths
from stseg.errors import InputError
from stseg.files import read_json, write_json

STILLS = 24
"""Frames of a video that have a still, at most."""
LONG_SIDE = 400
"""Pixels of a still's longer side."""
LEVELS = 8
"""Steps of the map of disagreement."""
MISSED, EXTRA, CONFUSED = LEVELS + 1, LEVELS + 2, LEVELS + 3
"""Values of an error map: an object's pixel left out, one too many, one of another object."""
_MAP_COLOURS = [
    (0, 0, 0),
    *[(255, round(230 - 200 * k / (LEVELS - 1)), 40) for k in range(LEVELS)],
    (230, 30, 60),
    (40, 120, 255),
    (255, 190, 0),
]


def object_colour(object_id: int) -> tuple[int, int, int]:
    """RGB of an object in the report: brighter than MOSE's, and far from its neighbours' by id."""
    hue = (0.47 + 0.618034 * (object_id - 1)) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def chosen_frames(count: int, most: int = STILLS) -> tuple[int, ...]:
    """At most ``most`` frame indices of ``count``, evenly spread, the first and last with them."""
    spread = np.linspace(0, count - 1, min(count, most)).round().astype(int)
    return tuple(int(index) for index in np.unique(spread))


def still_size(height: int, width: int) -> tuple[int, int]:
    """(height, width) of the stills of a video; frames are made smaller, never larger."""
    scale = min(LONG_SIDE / max(height, width), 1.0)
    return max(round(height * scale), 1), max(round(width * scale), 1)


@dataclass(frozen=True)
class Stills:
    """The stills of a video, as ``stills.json`` and the page's script know them.

    frames          are indices in the video
    stems           are the names of those frames
    layers          are in the order of ``000.masks.png``
    errors          are the candidates with an error map, in the order of ``000.maps.png``
    height, width   are those of a still
    """

    frames: tuple[int, ...]
    stems: tuple[str, ...]
    layers: tuple[str, ...]
    errors: tuple[str, ...]
    height: int
    width: int


@dataclass
class StillsWriter:
    """Writes the stills of one video into ``folder``, frame by frame; `close` ends it.

    frames       number of frames of the video
    height, width   of the video
    candidates   names, members first, the pseudo-label last
    labelled     whether there are labels, and so error maps
    """

    folder: Path
    frames: int
    height: int
    width: int
    candidates: Sequence[str]
    labelled: bool
    layers: tuple[str, ...] = ()
    stems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.indices = chosen_frames(self.frames)
        self.size = still_size(self.height, self.width)

    def add(
        self,
        stem: str,
        frame: np.ndarray,
        layers: Mapping[str, np.ndarray],
        truth: np.ndarray | None = None,
    ) -> None:
        """The next still.

        frame    ``(H, W, 3) uint8`` RGB
        layers   name -> ``(h, w) uint8`` ids at any size: the candidates first and in order,
                 then any others; the same names for every picture
        truth    ``(H, W) uint8`` true ids
        """
        number = len(self.stems)
        self.layers = tuple(layers)
        self.stems.append(stem)
        small = {name: shrink(ids, self.size) for name, ids in layers.items()}
        candidates = [small[name] for name in self.candidates]
        maps = [disagreement(candidates[:-1], candidates[-1])]
        if self.labelled:
            none = np.zeros(self.size, np.uint8)
            true = None if truth is None else shrink(truth, self.size)
            maps += [none if true is None else errors(ids, true) for ids in candidates]
        picture = cv2.resize(frame, self.size[::-1], interpolation=cv2.INTER_AREA)
        Image.fromarray(picture).save(self.folder / f"{number:03d}.jpg", quality=72)
        write_layers(self.folder / f"{number:03d}.masks.png", list(small.values()), _palette())
        write_layers(self.folder / f"{number:03d}.maps.png", maps, _map_palette())

    def close(self) -> None:
        """Write what the page needs to know about the pictures."""
        errors = tuple(self.candidates) if self.labelled else ()
        stills = Stills(self.indices, tuple(self.stems), self.layers, errors, *self.size)
        write_json(self.folder / "stills.json", asdict(stills), indent=None)


def shrink(ids: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """``(H, W) uint8`` ids at (height, width) ``size``: the nearest pixel."""
    return cv2.resize(ids, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def disagreement(members: Sequence[np.ndarray], fused: np.ndarray) -> np.ndarray:
    """``(h, w) uint8`` 0..`LEVELS`: the share of members that differ from the pseudo-label."""
    if not members:
        return np.zeros_like(fused)
    differ = np.mean([ids != fused for ids in members], axis=0)
    return np.ceil(differ * LEVELS).astype(np.uint8)


def errors(ids: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """``(h, w) uint8``: 0 where right, else `MISSED`, `EXTRA` or `CONFUSED`."""
    out = np.zeros_like(ids)
    out[(truth > 0) & (ids == 0)] = MISSED
    out[(truth == 0) & (ids > 0)] = EXTRA
    out[(truth > 0) & (ids > 0) & (truth != ids)] = CONFUSED
    return out


def write_layers(path: Path, layers: Sequence[np.ndarray], palette: bytes) -> None:
    """Layers ``(h, w) uint8`` one below the other as a palette PNG, value 0 transparent."""
    image = Image.fromarray(np.ascontiguousarray(np.vstack(layers)))
    image.putpalette(palette)
    image.save(path, transparency=0, compress_level=4)


def read_stills(folder: Path) -> Stills | None:
    """What `StillsWriter.close` wrote, or None if it is missing or broken."""
    try:
        stored = read_json(folder / "stills.json") or {}
        return Stills(
            tuple(stored["frames"]),
            tuple(stored["stems"]),
            tuple(stored["layers"]),
            tuple(stored["errors"]),
            int(stored["height"]),
            int(stored["width"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def remake(run: RunPaths, video: str, images: Path) -> Stills | None:
    """Make pictures of a video that has none, without the members, whose masks are gone.

    Frames that cannot be read (a run directory on another machine) are left black. None where
    there are no masks at all.
    """
    masks = run.pseudo_labels(video)
    paths = numbered_files(masks, (".png",), "mask") if masks.is_dir() else []
    if not paths:
        return None
    folder = run.stills(video)
    folder.mkdir(parents=True, exist_ok=True)
    height, width = read_mask(paths[0], binary=False).shape
    writer = StillsWriter(folder, len(paths), height, width, (PSEUDO_LABEL,), labelled=False)
    for index in writer.indices:
        ids = read_mask(paths[index], binary=False)
        try:
            frame = read_frame(frame_path(images / video, paths[index].stem))
        except InputError:
            frame = np.zeros((*ids.shape, 3), np.uint8)
        writer.add(paths[index].stem, frame, {PSEUDO_LABEL: ids})
    writer.close()
    return read_stills(folder)


def write_selected(folder: Path, stills: Stills, masks: Path) -> None:
    """The selected masks of the stills, from ``masks/<video>``; those up to date are kept."""
    size = stills.height, stills.width
    for number, stem in enumerate(stills.stems):
        source, target = masks / f"{stem}.png", folder / f"{number:03d}.selected.png"
        if not target.exists() or target.stat().st_mtime_ns < source.stat().st_mtime_ns:
            write_layers(target, [read_mask(source, size=size)], _palette())


def frame_path(folder: Path, stem: str) -> Path:
    """The file of a frame, whichever of the image suffixes it has."""
    paths = [folder / f"{stem}{suffix}" for suffix in IMAGE_SUFFIXES]
    return next((path for path in paths if path.exists()), paths[0])


def _palette() -> bytes:
    return bytes(3) + bytes(value for k in range(1, 256) for value in object_colour(k))


def _map_palette() -> bytes:
    return bytes(value for colour in _MAP_COLOURS for value in colour)
