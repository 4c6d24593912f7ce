"""Region and boundary scores: definitions, edge cases, and properties on random masks."""

from __future__ import annotations

import numpy as np
import pytest

from mose.errors import InputError
from selection.metrics import PROTOCOLS, Regions, VideoScorer, object_score


def disc(radius: int, size: int = 64, centre: tuple[int, int] | None = None) -> np.ndarray:
    """A round object with id 1 on a square frame."""
    row, column = centre or (size // 2, size // 2)
    rows, columns = np.ogrid[:size, :size]
    return ((rows - row) ** 2 + (columns - column) ** 2 <= radius**2).astype(np.uint8)


def score(prediction: np.ndarray, truth: np.ndarray, protocol: str = "davis", object_id: int = 1):
    return object_score(Regions(prediction), Regions(truth), object_id, protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_equal_masks_score_one(protocol):
    found = score(disc(9), disc(9), protocol)
    assert (found.J, found.F, found.F_adaptive) == (1, 1, 1)


def test_a_stray_pixel_on_a_frame_without_the_object():
    stray = np.zeros((64, 64), np.uint8)
    stray[5, 7] = 1
    empty = np.zeros_like(stray)
    found = score(stray, empty, "mosev2")
    assert (found.J, found.F_adaptive) == (0.5, 0)
    assert score(stray, empty, "davis").J == 0


def test_an_unknown_protocol_names_the_valid_ones():
    with pytest.raises(InputError, match="mosev2"):
        VideoScorer("mose")
