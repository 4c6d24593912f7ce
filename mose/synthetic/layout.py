"""Where everything starts, so that every prompted object is visible in the first frame."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from mose.synthetic.motion import Wave
from mose.synthetic.render import draw
from mose.synthetic.scene import Figure, Scene
from mose.synthetic.shapes import Body, Part, limb_outline

_TRIES = 10


def arrange(rng: np.random.Generator, scene: Scene, objects: int, least: int) -> None:
    """Move figures until every object that is not late shows ``least`` pixels in frame 0.

    Objects that show less are moved elsewhere. After a few tries, whatever covers them is moved
    behind them; if that does not help, they are put on a grid, where there is room for all.
    """
    prompted = [f for f in scene.figures if f.label and not (f.leave and f.leave.start < 0)]
    for attempt in range(_TRIES):
        visible, whole = coverage(scene, objects)
        hidden = [
            f
            for f in prompted
            if visible[f.label - 1] < max(least, (0.5, 0.25, 0)[attempt // 4] * whole[f.label - 1])
        ]
        if not hidden:
            return
        for figure in hidden:
            x, y = (float(v) for v in rng.uniform(-0.8, 0.8, 2))
            _put(figure, scene, x * scene.width / 2, y * scene.height / 2)
            if attempt >= 3:
                size = figure.log_size
                figure.log_size = Wave(size.offset + 0.15, size.terms)
            if attempt >= 5:
                figure.depth += 1.0
        scene.figures.sort(key=lambda f: f.depth)
    _grid(scene, prompted, objects, least)


def coverage(scene: Scene, objects: int, frame: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Visible and unoccluded pixels of objects 1..N in a frame, each (N,) int64."""
    labels = np.zeros((scene.height, scene.width), np.uint8)
    whole = np.zeros(objects, np.int64)
    for figure in scene.figures:
        patch = draw(figure.body, None, scene.shot(figure, frame))
        if patch is None:
            continue
        solid = patch.alpha > 0.5
        patch.over(labels)[solid] = figure.label
        if figure.label:
            whole[figure.label - 1] = np.count_nonzero(solid)
    return np.bincount(labels.reshape(-1), minlength=objects + 1)[1:], whole


def _put(figure: Figure, scene: Scene, x: float, y: float) -> None:
    """Shift a figure's path so that it starts (x, y) pixels from the frame's middle."""
    pose = scene.pose(figure, 0)
    dx = (scene.width / 2 + x - pose.x) / scene.unit
    dy = (scene.height / 2 + y - pose.y) / scene.unit
    figure.x = Wave(figure.x.offset + dx, figure.x.terms)
    figure.y = Wave(figure.y.offset + dy, figure.y.terms)


def _cells(count: int, scene: Scene) -> Iterator[tuple[float, float, float]]:
    """Middles, from the frame's middle, and half the shorter side of the cells of a grid."""
    columns = math.ceil(math.sqrt(count * scene.width / scene.height))
    rows = math.ceil(count / columns)
    wide, high = scene.width / columns, scene.height / rows
    for k in range(count):
        row, column = divmod(k, columns)
        x, y = (column + 0.5) * wide - scene.width / 2, (row + 0.5) * high - scene.height / 2
        yield x, y, min(wide, high) / 2


def _grid(scene: Scene, prompted: list[Figure], objects: int, least: int) -> None:
    """Put the objects in front of everything else, one per cell, as large as fits; as blobs if
    needed."""
    cells = list(_cells(len(prompted), scene))
    for figure, (x, y, half) in zip(prompted, cells, strict=True):
        figure.depth += 10
        figure.log_size = Wave(math.log(0.9 * half / scene.unit))
        _put(figure, scene, x, y)
    scene.figures.sort(key=lambda f: f.depth)
    visible, _ = coverage(scene, objects)
    for figure in prompted:
        if visible[figure.label - 1] < least:
            disc = limb_outline(0.0, 1.0, 1.0, n=16)
            figure.body = Body([Part(disc)], (0,))
            figure.yaw = Wave()
