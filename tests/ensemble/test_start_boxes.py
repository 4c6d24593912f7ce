"""First masks that are made of boxes."""

import numpy as np
import pytest

import adapters
from ensemble.config import MemberConfig
from ensemble.start_boxes import outlined
from mose import InputError

FRAME = np.zeros((4, 6, 3), np.uint8)


class Outlines:
    """A model that finds what it is told."""

    def __init__(self, logits):
        self.logits = np.asarray(logits, np.float32)

    def outline(self, frame, boxes):
        return self.logits


def test_the_larger_logit_has_the_pixel(monkeypatch):
    first, second = np.full((4, 6), -1.0), np.full((4, 6), -1.0)
    first[:, :4], second[:, 2:] = 1, 2
    monkeypatch.setattr(adapters, "load", lambda *a, **k: Outlines([first, second]))
    ids = outlined(MemberConfig("m", "sam2"), FRAME, np.zeros((2, 4), np.float32))
    assert ids[0].tolist() == [1, 1, 2, 2, 2, 2]


def test_an_object_that_is_not_found_is_one_sentence(monkeypatch):
    logits = [np.ones((4, 6)), np.full((4, 6), -1.0)]
    monkeypatch.setattr(adapters, "load", lambda *a, **k: Outlines(logits))
    with pytest.raises(InputError, match="member m finds no object of its own in box 1,2,3,4"):
        outlined(MemberConfig("m", "sam2"), FRAME, np.array([[0, 0, 2, 2], [1, 2, 3, 4]]))
