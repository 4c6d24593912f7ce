"""What makes a clip hard, by MASSeg's criteria, measured on its masks and frames.

All from masks shrunk to `WORK_SIDE` (nearest neighbour), so a measure does not depend on the
source's resolution.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import cv2
import numpy as np
from PIL import Image

from mose.plus.clip import SourceClip, number_objects
from stseg.errors import InputError

WORK_SIDE = 320
DROP = 0.5
"""An object whose visible area falls below this share of its recent median is occluded."""
WINDOW = 5
NEAR = 0.02
"""Objects closer than this share of the diagonal are adjacent."""
APPEARANCE_FRAMES = 5
HASH_SIDE = 8


@dataclass(frozen=True)
class Measures:
    """One clip.

    frames, objects   counts
    reappearance      presence changes per object: every disappearance and every return
    occlusion         share of object-frames on which the visible area is below half of its
                      median over the five frames before
    crowding          mean number of visible objects per frame
    adjacency         mean number of neighbours of a visible object (closer than 2 % of the
                      diagonal)
    smallness         minus the decadic logarithm of the objects' median share of the frame
    similarity        mean over objects of the likeness to the most similar other object, in
                      [0, 1] (overlap of Lab colour histograms); 0 with a single object
    motion            median shift of an object's centre per frame, in object diameters
    fingerprint       192 bits of three frames' difference hash, for near duplicates
    """

    frames: int
    objects: int
    reappearance: float
    occlusion: float
    crowding: float
    adjacency: float
    smallness: float
    similarity: float
    motion: float
    fingerprint: str

    def json(self) -> dict[str, float | int | str]:
        return asdict(self)


MEASURED = (
    "reappearance", "occlusion", "crowding", "adjacency", "smallness", "similarity", "motion",
)  # fmt: skip


def measure(clip: SourceClip) -> Measures:
    """Read every mask of a clip, and some frames. `InputError` for one that cannot be read."""
    if len(clip) == 0:
        raise InputError(f"clip {clip.name} of {clip.source} has no annotated frame")
    ids = tuple(number_objects(clip))
    if not ids:
        raise InputError(f"clip {clip.name} of {clip.source} has no object: leave it out")
    areas = np.zeros((len(clip), len(ids)))
    centres = np.full((len(clip), len(ids), 2), np.nan)
    neighbours = []
    pixels = 1.0
    for index in range(len(clip)):
        small = shrink(clip.mask(index))
        pixels = float(small.size)
        for n, object_id in enumerate(ids):
            mask = small == object_id
            areas[index, n] = mask.sum()
            if areas[index, n]:
                rows, columns = np.nonzero(mask)
                centres[index, n] = rows.mean(), columns.mean()
        neighbours += _neighbours(small, [i for n, i in enumerate(ids) if areas[index, n]])
    visible = areas > 0
    return Measures(
        frames=len(clip),
        objects=len(ids),
        reappearance=_rounded(_presence_changes(visible)),
        occlusion=_rounded(_occlusion(areas)),
        crowding=_rounded(visible.sum(axis=1).mean()),
        adjacency=_rounded(np.mean(neighbours) if neighbours else 0.0),
        smallness=_rounded(-np.log10(np.median(areas[visible]) / pixels)),
        similarity=_rounded(_similarity(clip, ids)),
        motion=_rounded(_motion(areas, centres)),
        fingerprint=_fingerprint(clip),
    )


def shrink(ids: np.ndarray) -> np.ndarray:
    """``(H, W) uint8`` with the longest side at most `WORK_SIDE`, nearest neighbours."""
    scale = WORK_SIDE / max(ids.shape)
    if scale >= 1:
        return ids
    size = (max(round(ids.shape[1] * scale), 1), max(round(ids.shape[0] * scale), 1))
    return cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST)


def _presence_changes(visible: np.ndarray) -> float:
    """Changes after an object's first appearance, per object."""
    changes = 0
    for track in visible.T:
        seen = track[int(track.argmax()) :]
        changes += int((seen[1:] != seen[:-1]).sum())
    return changes / visible.shape[1]


def _occlusion(areas: np.ndarray) -> float:
    occluded = scored = 0
    for track in areas.T:
        for t in range(WINDOW, len(track)):
            usual = np.median(track[t - WINDOW : t])
            if usual > 0:
                scored += 1
                occluded += bool(track[t] < DROP * usual)
    return occluded / max(scored, 1)


def _neighbours(ids: np.ndarray, present: list[int]) -> list[int]:
    reach = max(int(NEAR * np.hypot(*ids.shape)), 1)
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    counts = []
    for object_id in present:
        grown = cv2.dilate((ids == object_id).astype(np.uint8), disk) > 0
        near = np.unique(ids[grown])
        counts.append(sum(int(i) not in (0, object_id) for i in near))
    return counts


def _similarity(clip: SourceClip, ids: tuple[int, ...]) -> float:
    if len(ids) < 2:
        return 0.0
    histograms: dict[int, np.ndarray] = {}
    for index in np.unique(np.linspace(0, len(clip) - 1, APPEARANCE_FRAMES).astype(int)):
        frame = cv2.cvtColor(clip.frames[int(index)], cv2.COLOR_RGB2LAB)
        mask = clip.masks[int(index)]
        for object_id in ids:
            inside = (mask == object_id).astype(np.uint8)
            if inside.any():
                counts = cv2.calcHist([frame], [0, 1, 2], inside, [4, 8, 8], [0, 256] * 3)
                histograms[object_id] = histograms.get(object_id, 0) + counts
    shares = [counts / counts.sum() for counts in histograms.values()]
    if len(shares) < 2:
        return 0.0
    likeness = [
        max(float(np.minimum(a, b).sum()) for k, b in enumerate(shares) if k != n)
        for n, a in enumerate(shares)
    ]
    return float(np.mean(likeness))


def _motion(areas: np.ndarray, centres: np.ndarray) -> float:
    shifts = np.hypot(*np.moveaxis(np.diff(centres, axis=0), -1, 0))
    diameters = 2 * np.sqrt(areas[:-1] / np.pi)
    known = ~np.isnan(shifts) & (diameters > 0)
    return float(np.median(shifts[known] / diameters[known])) if known.any() else 0.0


def _fingerprint(clip: SourceClip) -> str:
    """Difference hash of the first, the middle and the last frame."""
    bits = []
    for index in (0, len(clip) // 2, len(clip) - 1):
        image = Image.fromarray(clip.frames[index]).convert("L")
        small = np.asarray(image.resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX), int)
        bits.append(small[:, 1:] > small[:, :-1])
    return np.packbits(np.concatenate(bits)).tobytes().hex()


def distance(a: str, b: str) -> int:
    """Number of bits in which two fingerprints differ, of 192."""
    return (int(a, 16) ^ int(b, 16)).bit_count()


def _rounded(value: float | np.floating) -> float:
    return round(float(value), 5)
