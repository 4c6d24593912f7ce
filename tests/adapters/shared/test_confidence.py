"""How sure a network is, from its own masks."""

import numpy as np

from adapters.expansion import Expansion
from adapters.shared.confidence import presence_and_confidence

PROBABILITY = Expansion("probability")


def test_presence_is_the_largest_probability_and_confidence_the_mean_where_it_wins():
    planes = np.array([[[0.9, 0.7, 0.1]], [[0.05, 0.2, 0.3]]], np.float32)
    presence, confidence = presence_and_confidence(planes, PROBABILITY)
    assert np.allclose(presence, [0.9, 0.3])
    assert np.allclose(confidence, [0.8, 0.0])  # background wins the third pixel


def test_padding_says_nothing():
    planes = np.full((1, 4, 4), 0.2, np.float32)
    planes[0, 0, 0] = 1.0
    inside = Expansion("probability", (4, 4), (2, 2, 2, 2))
    assert presence_and_confidence(planes, inside)[0] == np.float32(0.2)


def test_without_objects_nothing_is_sure():
    none = presence_and_confidence(np.zeros((0, 3, 3), np.float32), PROBABILITY)
    assert [len(part) for part in none] == [0, 0]
