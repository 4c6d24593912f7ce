"""The loop that carries given masks through a video, with a network that does nothing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from adapters.shared.given import GivenPlanes
from adapters.shared.propagation import Answer, Encoded, ImageEncoding, Working, propagate
from mose import Video

FRAMES = np.zeros((5, 32, 48, 3), np.uint8)


class Features(NamedTuple):
    mean: Tensor


class Holding:
    """Holds what is given; notes the frames, and which of them is the last."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, bool, int]] = []
        self.planes: Tensor | None = None

    def step(self, frame: Encoded, given: GivenPlanes | None, last: bool) -> Answer:
        self.seen.append((frame.index, last, len(frame.image)))
        if given is not None:
            self.planes = given.merged(self.planes)
        assert self.planes is not None
        return Answer("probabilities", self.planes)


def encode(images: Tensor) -> Features:
    return Features(images.mean((1, 2, 3)))


def mask(**places: tuple[slice, slice]) -> np.ndarray:
    ids = np.zeros((32, 48), np.uint8)
    for name, place in places.items():
        ids[place] = int(name.removeprefix("object"))
    return ids


LEFT, RIGHT = (slice(4, 20), slice(4, 20)), (slice(4, 20), slice(28, 44))


@pytest.mark.parametrize(("ahead", "mirror"), [(1, False), (3, False), (2, True)])
def test_every_frame_has_an_answer_from_the_first_mask_on(ahead, mirror):
    video = Video.from_arrays(FRAMES, {1: mask(object7=LEFT), 3: mask(object2=RIGHT)})
    network = Holding()
    encoding = ImageEncoding(encode, ahead, mirror)
    frames = list(propagate(video, network, Working((32, 48), -1, "cpu"), encoding))
    assert [frame.object_ids for frame in frames] == [(), (7,), (7,), (7, 2), (7, 2)]
    copies = 2 if mirror else 1
    assert network.seen == [(i, i == 4, copies) for i in range(1, 5)]
    assert np.array_equal(frames[4].labels(32, 48), mask(object7=LEFT, object2=RIGHT))
    assert frames[0].labels(32, 48).max() == 0


def test_an_object_without_a_pixel_at_the_working_size_is_absent():
    small = (slice(2, 3), slice(2, 3))
    video = Video.from_arrays(FRAMES, {0: mask(object7=LEFT, object2=small)})
    encoding = ImageEncoding(encode)
    frames = list(propagate(video, Holding(), Working((16, 24), -1, "cpu"), encoding))
    assert frames[1].object_ids == (2, 7)
    assert frames[1].presence[0] == 0
    assert frames[1].presence[1] > 0.5


def test_the_size_that_a_network_sees():
    assert Working((480, 640), -1, "cpu").limited == (480, 640)
    assert Working((480, 640), 240, "cpu").limited == (240, 320)
    working = Working((20, 30), -1, "cpu")
    padded, window = working.padded(torch.zeros(1, 3, 20, 30))
    assert padded.shape == (1, 3, 32, 32)
    assert window[2:] == (20, 30)
