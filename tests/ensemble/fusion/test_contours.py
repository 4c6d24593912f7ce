"""Contours: the better members decide alone where votes differ by a thin line."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble.fusion.contours import sharper_vote, with_contours


def test_a_thin_difference_follows_the_sharper_vote_and_a_thick_one_does_not():
    by_weights, sharper = np.zeros((2, 40, 40), np.uint8)
    by_weights[5:20, 5:20] = 1
    sharper[5:22, 5:20] = 1  # two rows more: a contour
    sharper[28:36, 28:36] = 1  # a part of its own: a matter of where the object is
    everywhere = np.arange(by_weights.size)
    settled = with_contours(by_weights.ravel(), sharper.ravel(), everywhere, by_weights.shape)
    settled = settled.reshape(by_weights.shape)
    assert (settled[20:22, 5:20] == 1).all()
    assert not settled[28:36, 28:36].any()


@given(seed=st.integers(0, 10_000), twice=st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_copies_share_one_say_in_the_sharper_vote(seed, twice):
    rng = np.random.default_rng(seed)
    said = rng.random((4, 2, 50)).astype(np.float32) / 2
    weights, alone = rng.random((4, 2)) + 0.1, np.ones(4)
    rows = [0, 1, 2, 3, twice]
    copies = np.array([1 + (row == twice) for row in rows])
    fused = np.ones((2, 50))
    once = sharper_vote(said, fused, weights, alone)
    more = sharper_vote(said[rows], fused, weights[rows] / copies[:, None], copies)
    np.testing.assert_allclose(more, once, atol=1e-6)


def test_an_object_that_is_absent_stays_absent():
    said = np.full((3, 2, 4), 0.5, np.float32)
    fused = np.array([[0.5] * 4, [0.0] * 4])
    found = sharper_vote(said, fused, np.ones((3, 2)), np.ones(3))
    assert found[0].all()
    assert not found[1].any()
