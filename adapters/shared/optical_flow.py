"""Dense optical flow: computing it, carrying masks along it, showing it as a picture.

A flow is ``(h, w, 2) float32``, x and y in pixels of its own size: ``source[p]`` is found
at ``target[p + flow[p]]``. A mask of the previous frame is therefore carried to the present
one by looking it up along the flow from the present frame to the previous one.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from mose import InputError, Video
from mose.corrections import GivenMasks
from mose.video import read_frame

PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}

MIN_SIDE = 32
"""Smaller frames are padded to it: DIS fails, or crashes, on less than its coarsest patch."""

CACHE_BYTES = 64 << 20
"""Of flows that are kept for members that need the same ones; about 35 at 360 x 640."""


class Flow(Protocol):
    """A method: two frames ``(h, w, 3) uint8`` RGB of one size to the flow between them."""

    def __call__(self, source: np.ndarray, target: np.ndarray, /) -> np.ndarray: ...


class FlowCache:
    """The latest flows by the content of the two frames, within a bound of bytes."""

    def __init__(self, limit: int = CACHE_BYTES):
        self._limit, self._bytes = limit, 0
        self._flows: OrderedDict[tuple[str, bytes, bytes], np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def get(
        self,
        method: str,
        source: np.ndarray,
        target: np.ndarray,
        compute: Callable[[np.ndarray, np.ndarray], np.ndarray],
    ) -> np.ndarray:
        """The flow by ``compute(source, target)``, read-only, computed if it is not here."""
        key = (method, _digest(source), _digest(target))
        with self._lock:
            if key in self._flows:
                self._flows.move_to_end(key)
                return self._flows[key]
        flow = np.ascontiguousarray(compute(source, target), dtype=np.float32)
        flow.setflags(write=False)
        with self._lock:
            if key not in self._flows:
                self._flows[key] = flow
                self._bytes += flow.nbytes
            while self._bytes > self._limit:
                _, oldest = self._flows.popitem(last=False)
                self._bytes -= oldest.nbytes
        return flow


_shared = FlowCache()


class DenseFlow:
    """DIS optical flow (Kroeger et al., ECCV 2016) between two frames, of any size.

    Frames are ``(h, w) uint8`` grey, or ``(h, w, 3)`` RGB. Flows that another instance of
    the same kind has computed lately are not computed again.
    """

    def __init__(self, preset: str, finest: int | None = None):
        """``finest``: the halvings at which the search ends, 0 at every pixel; None: the
        preset's (1 or 2)."""
        self._dis = cv2.DISOpticalFlow.create(PRESETS[preset])
        if finest is not None:
            self._dis.setFinestScale(finest)
        self._method = f"dis-{preset}-{self._dis.getFinestScale()}"

    def __call__(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        """``(h, w, 2) float32``, read-only: ``source[p]`` is ``target[p + flow[p]]``."""
        return _shared.get(self._method, _grey(source), _grey(target), self._compute)

    def _compute(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        height, width = source.shape
        bottom, right = max(0, MIN_SIDE - height), max(0, MIN_SIDE - width)
        if bottom or right:
            source, target = (
                cv2.copyMakeBorder(f, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
                for f in (source, target)
            )
        # None: no initial flow, which the stubs of OpenCV do not know.
        flow = self._dis.calc(source, target, None)  # type: ignore[call-overload]
        return np.asarray(flow)[:height, :width]


class RaftFlow:
    """RAFT (Teed and Deng, ECCV 2020) from torchvision, where it and its weights are there."""

    def __init__(self, device: str):
        try:
            from torchvision.models import optical_flow
        except ImportError:
            raise InputError(
                "flow 'raft' needs the package torchvision: install it, or use flow 'dis'"
            ) from None
        import torch

        from adapters.weights.checkpoints import fill, load_state

        weights = optical_flow.Raft_Large_Weights.DEFAULT
        path = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
        if not path.is_file():
            raise InputError(
                f"flow 'raft' needs its weights as {path}: get them from {weights.url},"
                " or use flow 'dis'"
            )
        self._network = optical_flow.raft_large(weights=None).eval().requires_grad_(False)
        fill(self._network, load_state(path), path, "RAFT")
        self._network.to(device)
        self._device = device

    def __call__(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        """``(h, w, 3) uint8`` twice -> ``(h, w, 2) float32``, read-only."""
        return _shared.get("raft", source, target, self._compute)

    def _compute(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        import torch

        height, width = source.shape[:2]
        # Sides of at least 128 in multiples of 8 are what its correlation pyramid takes.
        bottom, right = (max(128, -(-side // 8) * 8) - side for side in (height, width))
        pair = [
            cv2.copyMakeBorder(f, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
            for f in (source, target)
        ]
        frames = torch.tensor(np.stack(pair), device=self._device).permute(0, 3, 1, 2)
        frames = frames.float() / 127.5 - 1.0
        with torch.inference_mode():
            flow = self._network(frames[:1], frames[1:])[-1][0]
        return flow[:, :height, :width].permute(1, 2, 0).float().cpu().numpy()


def read_picture(folder: str | Path, video: Video, index: int) -> np.ndarray:
    """A given flow picture ``(h, w, 3) uint8``: ``<folder>/<video>/<frame name>.jpg`` or .png."""
    stem = Path(folder) / video.name / video.frame_names[index]
    for suffix in (".jpg", ".png"):
        path = stem.with_name(stem.name + suffix)
        if path.is_file():
            return read_frame(path)
    raise InputError(
        f"flow picture {stem}.jpg does not exist: give one per frame, or compute them with"
        " flow 'dis'"
    )


def flow_picture(flow: np.ndarray) -> np.ndarray:
    """A flow as a colour image ``(h, w, 3) uint8``.

    The colour wheel of Baker et al. ("A Database and Evaluation Methodology for Optical
    Flow", IJCV 2011): the direction is the hue, the length is the saturation, relative to
    the longest vector of the picture or to one pixel where none is that long.
    """
    # Angles of the opposite direction, as in the authors' program: red is to the right.
    length, angle = cv2.cartToPolar(-flow[..., 0], -flow[..., 1])
    longest = max(float(length.max(initial=0.0)), 1.0)
    hues = _colour_wheel()
    place = (angle + np.pi) % (2 * np.pi) * ((len(hues) - 1) / (2 * np.pi))
    pale = hues[place.astype(np.intp)]
    pale *= (length * (255.0 / longest))[..., None]
    return (255.0 - pale).clip(0, 255).astype(np.uint8)


@cache
def _colour_wheel(samples: int = 4096) -> np.ndarray:
    """``(samples, 3) float32`` in [0, 1], what each hue takes away from white: from red by
    yellow, green, cyan, blue, magenta towards red, in 55 steps that look about even."""
    corners = np.array(
        [(1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1), (1, 0, 0)]
    )
    places = np.cumsum((0, 15, 6, 4, 11, 13, 6))
    steps = np.linspace(0.0, places[-1] - 1, samples)
    wheel = [np.interp(steps, places, corners[:, channel]) for channel in range(3)]
    return 1.0 - np.stack(wheel, axis=1).astype(np.float32)


def working_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """(height, width) with the shorter side at most ``short_side``, each at least 1."""
    scale = min(1.0, short_side / min(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def given_planes(mask: np.ndarray, ids: tuple[int, ...], height: int, width: int) -> np.ndarray:
    """Share of each given object in each working pixel: ``(N, height, width) float32``."""
    planes = [(mask == object_id).astype(np.float32) for object_id in ids]
    shrunk = [cv2.resize(p, (width, height), interpolation=cv2.INTER_AREA) for p in planes]
    return np.stack(shrunk).reshape(len(ids), height, width)


def merged_planes(
    planes: np.ndarray, ids: tuple[int, ...], given: GivenMasks
) -> tuple[np.ndarray, tuple[int, ...]]:
    """The planes ``(N, h, w) float32`` of objects ``ids`` with given masks in them: corrected
    objects have these in place of their own, new ones follow the others, and where something
    is given nothing else is. Also returns the ids of all."""
    height, width = planes.shape[1:]
    drawn = given_planes(given.mask, (*given.corrected, *given.new), height, width)
    kept = planes * (1.0 - drawn.sum(axis=0))
    corrected = [ids.index(object_id) for object_id in given.corrected]
    kept[corrected] = drawn[: len(corrected)]
    return np.concatenate([kept, drawn[len(corrected) :]]), (*ids, *given.new)


def warp(images: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Bilinear lookup of ``(N, h, w) float32`` at ``p + flow[p]``; 0 beyond the border."""
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    warped = np.empty_like(images)
    for image, target in zip(images, warped, strict=True):
        cv2.remap(image, x, y, cv2.INTER_LINEAR, dst=target, borderMode=cv2.BORDER_CONSTANT)
    return warped


def sharpen(planes: np.ndarray) -> np.ndarray:
    """Undo the blur of one bilinear lookup: probabilities to the power 1.5, renormalised.

    ``(N, h, w)`` in [0, 1] with sum at most 1, and so is the result; the background is the
    rest to 1 and takes part. The largest of a pixel stays the largest.
    """
    background = np.clip(1.0 - planes.sum(axis=0), 0.0, 1.0)
    raised = planes * np.sqrt(planes)
    return raised / (raised.sum(axis=0) + background * np.sqrt(background))


def consistent(backward: np.ndarray, forward: np.ndarray) -> np.ndarray:
    """Where forward flow undoes backward flow: ``(h, w) float32`` of 0 and 1.

    The test of Sundaram, Brox and Keutzer (ECCV 2010, Eq. 5): the sum's square is below
    0.01 x the sum of the squares + 0.5.
    """
    returned = warp(np.ascontiguousarray(forward.transpose(2, 0, 1)), backward)
    there = backward.transpose(2, 0, 1)
    error = np.square(there + returned).sum(axis=0)
    bound = 0.01 * (np.square(there).sum(axis=0) + np.square(returned).sum(axis=0)) + 0.5
    return (error < bound).astype(np.float32)


def uncovered(forward: np.ndarray) -> np.ndarray:
    """Pixels ``(h, w) bool`` of the next frame that were hidden before: nothing moves there.

    The range map of the forward flow (Wang et al., CVPR 2018, Sec. 3.2), with whole pixels:
    of a pixel and its eight neighbours fewer than four are the end of any flow. What lies
    behind a moving object would otherwise inherit its mask.
    """
    height, width = forward.shape[:2]
    x = np.rint(forward[..., 0] + np.arange(width, dtype=np.float32)).astype(np.int32)
    y = np.rint(forward[..., 1] + np.arange(height, dtype=np.float32)[:, None]).astype(np.int32)
    stays = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    reached = np.zeros((height, width), dtype=np.float32)
    reached[y[stays], x[stays]] = 1.0
    around = cv2.boxFilter(reached, -1, (3, 3), normalize=False, borderType=cv2.BORDER_REPLICATE)
    return around < 4.0


def inside(weights: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """Mean of ``(h, w)`` weights over each soft mask: ``(N,)``; 0 for an empty one."""
    sums = np.tensordot(planes, weights, axes=2)
    return (sums / np.maximum(area(planes), 1e-6)).astype(np.float32)


def area(planes: np.ndarray) -> np.ndarray:
    """Soft area in pixels: ``(N,) float32``."""
    return planes.sum(axis=(1, 2), dtype=np.float32)


def _grey(frame: np.ndarray) -> np.ndarray:
    return frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def _digest(frame: np.ndarray) -> bytes:
    shape = str(frame.shape).encode()
    data = np.ascontiguousarray(frame).data
    return hashlib.blake2b(data, digest_size=16, person=shape[:16]).digest()
