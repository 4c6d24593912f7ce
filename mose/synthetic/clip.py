"""Clips: scenes, drawn frame by frame, with exact labels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from mose.synthetic import optics as film
from mose.synthetic.casting import build
from mose.synthetic.config import SyntheticConfig, resolve
from mose.synthetic.layout import arrange
from mose.synthetic.render import Patch, draw, three
from mose.synthetic.scene import Scene
from stseg.errors import InputError

MAX_OBJECTS = 32


@dataclass(slots=True)
class Frame:
    """One frame of a clip.

    image      (H, W, 3) uint8 RGB
    labels     (H, W) uint8 object ids, 0 background
    whole      (N,) int64: pixels that object 1..N would have inside the frame if nothing were in
               front of it; compared with the pixels of ``labels`` it tells how much is occluded
    """

    image: np.ndarray
    labels: np.ndarray
    whole: np.ndarray


@dataclass(slots=True)
class Clip:
    """A whole clip in memory.

    frames     (T, H, W, 3) uint8 RGB
    labels     (T, H, W) uint8 object ids 1..N, 0 background
    whole      (T, N) int64, see `Frame`
    """

    frames: np.ndarray
    labels: np.ndarray
    whole: np.ndarray

    @property
    def object_ids(self) -> tuple[int, ...]:
        """The ids 1..N."""
        return tuple(range(1, self.whole.shape[1] + 1))

    @property
    def visible(self) -> np.ndarray:
        """(T, N) int64: labelled pixels of every object in every frame."""
        count = self.whole.shape[1]
        return np.stack(
            [np.bincount(frame.reshape(-1), minlength=count + 1)[1:] for frame in self.labels]
        )

    @property
    def prompts(self) -> dict[int, np.ndarray]:
        """{frame index: (H, W) uint8} with the objects that are first seen there."""
        first = [int(np.argmax(seen)) for seen in (self.visible > 0).T]
        return {
            index: np.where(
                np.isin(self.labels[index], [k + 1 for k, f in enumerate(first) if f == index]),
                self.labels[index],
                0,
            ).astype(np.uint8)
            for index in sorted(set(first))
        }


def make_clip(
    seed: int,
    frames: int = 24,
    height: int = 192,
    width: int = 192,
    objects: int = 3,
    config: SyntheticConfig | str | None = None,
    **difficulty: Any,
) -> Clip:
    """A random clip, the same for the same arguments, to the bit.

    seed         any whole number >= 0
    config       a `SyntheticConfig` or the name of a preset ("easy", "default", "hard")
    difficulty   single knobs of `SyntheticConfig` to set over it

    Every object is seen in frame 0 with at least ``min_area`` of the frame (a ``late``
    one in the frame in which its id first occurs). Raises `InputError` for arguments out of range,
    and where the frame is too small for the objects.
    """
    made = list(iter_frames(seed, frames, height, width, objects, config, **difficulty))
    return Clip(
        np.stack([frame.image for frame in made]),
        np.stack([frame.labels for frame in made]),
        np.stack([frame.whole for frame in made]),
    )


def iter_frames(
    seed: int,
    frames: int = 24,
    height: int = 192,
    width: int = 192,
    objects: int = 3,
    config: SyntheticConfig | str | None = None,
    **difficulty: Any,
) -> Iterator[Frame]:
    """The frames of `make_clip`, one at a time, in memory that does not grow with their number."""
    return draw_frames(
        ClipRequest(seed, frames, height, width, objects, resolve(config, difficulty))
    )


@dataclass(frozen=True)
class ClipRequest:
    """Everything on which a clip depends; `InputError` for numbers out of range, and where the
    frame is too small for the objects.

    seed      any whole number >= 0
    objects   how many, at most `MAX_OBJECTS`
    """

    seed: int
    frames: int
    height: int
    width: int
    objects: int
    config: SyntheticConfig

    def __post_init__(self) -> None:
        for name, low, high in (
            ("seed", 0, 2**63),
            ("frames", 1, 100_000),
            ("height", 32, 4096),
            ("width", 32, 4096),
            ("objects", 1, MAX_OBJECTS),
        ):
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or not low <= value <= high:
                raise InputError(
                    f"synthetic clip: {name} is {value!r}, expected a whole number in"
                    f" [{low}, {high}]"
                )
        if self.objects * self.least * 8 > self.height * self.width:
            raise InputError(
                f"synthetic clip: {self.objects} objects of at least {self.least} pixels have no"
                f" room in frames of {self.height} x {self.width}: ask for fewer objects, larger"
                " frames or a smaller min_area"
            )

    @property
    def least(self) -> int:
        """The least number of pixels of an object on the frame on which it is given."""
        return max(16, math.ceil(self.config.min_area * self.height * self.width))


def draw_frames(clip: ClipRequest) -> Iterator[Frame]:
    """The frames of a clip, one at a time."""
    height, width, objects, least = clip.height, clip.width, clip.objects, clip.least
    sequence = np.random.SeedSequence(
        int(clip.seed), spawn_key=(clip.frames, height, width, objects)
    )
    scene_rng, grain_rng = (
        np.random.Generator(np.random.PCG64(child)) for child in sequence.spawn(2)
    )
    scene = build(scene_rng, clip.config, clip.frames, height, width, objects)
    arrange(scene_rng, scene, objects, least)
    optics = film.sample(scene_rng, clip.config, scene.unit)
    begun = np.zeros(objects + 1, bool)
    for index in range(clip.frames):
        canvas = _background(scene, index)
        labels = np.zeros((height, width), np.uint8)
        whole = np.zeros(objects, np.int64)
        for figure in scene.figures:
            shot = scene.shot(figure, index)
            patch = draw(figure.body, figure.skin, shot)
            if patch is None:
                continue
            if figure.depth > 1 and scene.shadows > 0:
                _cast_shadow(canvas, patch, scene.shadows, shot.pose.scale)
            _compose(canvas, patch)
            solid = patch.alpha > 0.5
            patch.over(labels)[solid] = figure.label
            if figure.label:
                whole[figure.label - 1] = np.count_nonzero(solid)
        image = film.develop(
            optics, canvas, index * scene.step, scene.camera_smear(index), grain_rng
        )
        yield Frame(image, _announced(labels, begun, least), whole)


def _announced(labels: np.ndarray, begun: np.ndarray, least: int) -> np.ndarray:
    """Return the labels without objects that have shown too few pixels so far to be prompted.

    ``begun`` records by id which objects have been prompted; it is changed in place.
    """
    seen = np.bincount(labels.reshape(-1), minlength=len(begun))
    begun |= seen >= least
    if (begun | (seen == 0)).all():
        return labels
    return np.where(begun[labels], labels, 0).astype(np.uint8)


def _background(scene: Scene, index: int) -> np.ndarray:
    size = (scene.width, scene.height)
    view = scene.view(index)
    if scene.ripple == 0:
        image = cv2.warpAffine(
            scene.backdrop,
            view,
            size,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT,
        )
        return image.astype(np.float32)
    # Water, leaves in the wind: a coarse grid of shifts that travels.
    time = index * scene.step
    cell = 8
    nx, ny = scene.width // cell + 3, scene.height // cell + 3
    x = (np.arange(nx) - 0.5) * cell - 0.5
    y = ((np.arange(ny) - 0.5) * cell - 0.5)[:, None]
    grid_x = view[0, 0] * x + view[0, 1] * y + view[0, 2]
    grid_y = view[1, 0] * x + view[1, 1] * y + view[1, 2]
    grid_x = grid_x + scene.ripple * np.sin(0.11 * grid_y + 0.35 * time)
    grid_y = grid_y + scene.ripple * np.sin(0.09 * grid_x + 0.27 * time)
    maps = [
        cv2.resize(g.astype(np.float32), (nx * cell, ny * cell), interpolation=cv2.INTER_LINEAR)[
            cell : cell + scene.height, cell : cell + scene.width
        ]
        for g in (grid_x, grid_y)
    ]
    image = cv2.remap(
        scene.backdrop, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    return image.astype(np.float32)


def _compose(canvas: np.ndarray, patch: Patch) -> None:
    """Lay a patch over the canvas."""
    assert patch.colour is not None
    region = patch.over(canvas)
    region *= three(1 - patch.alpha)
    region += patch.colour


def _cast_shadow(canvas: np.ndarray, patch: Patch, strength: float, scale: float) -> None:
    """Darken what lies just below and beside a figure, softly."""
    shift = max(2, round(0.15 * scale))
    high, wide = patch.alpha.shape
    rows, columns = canvas.shape[:2]
    y, x = patch.y + shift, patch.x + shift // 2
    high, wide = min(high, rows - y), min(wide, columns - x)
    if high <= 1 or wide <= 1:
        return
    small = cv2.resize(patch.alpha, (max(4, wide // 8), max(4, high // 8)), interpolation=3)
    soft = cv2.resize(small, (patch.alpha.shape[1], patch.alpha.shape[0]))[:high, :wide]
    canvas[y : y + high, x : x + wide] *= three(1 - strength * soft)
