"""STAPLE and the clean-up that does no harm."""

import numpy as np
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble.fusion.cleanup import clean_up
from ensemble.fusion.staple import estimate_truth


def raters(seed, members=4, size=24):
    rng = np.random.default_rng(seed)
    truth = np.zeros((size, size), bool)
    truth[5:17, 6:19] = True
    flips = rng.random((members, size, size)) < rng.uniform(0.02, 0.2, (members, 1, 1))
    return truth, truth ^ flips


@given(seed=st.integers(0, 1000), members=st.integers(3, 6))
@settings(max_examples=20, deadline=None)
def test_equal_to_simpleitk(seed, members):
    _, masks = raters(seed, members)
    ours = estimate_truth(masks.reshape(members, -1), iterations=1000, tolerance=1e-14)
    filter_ = SimpleITK.STAPLEImageFilter()
    filter_.SetForegroundValue(1.0)
    images = [SimpleITK.GetImageFromArray(mask.astype(np.uint8)) for mask in masks]
    theirs = SimpleITK.GetArrayFromImage(filter_.Execute(images))
    # ITK stops a little before the fixed point
    np.testing.assert_allclose(ours.truth.reshape(theirs.shape), theirs, atol=1e-3)
    np.testing.assert_allclose(ours.sensitivity, filter_.GetSensitivity(), atol=1e-3)
    np.testing.assert_allclose(ours.specificity, filter_.GetSpecificity(), atol=1e-3)


def test_finds_the_truth_and_the_worst_rater():
    truth, masks = raters(3, members=5)
    masks[4] = np.random.default_rng(0).random(truth.shape) < 0.5
    found = estimate_truth(masks.reshape(5, -1))
    assert ((found.truth > 0.5) == truth.reshape(-1)).mean() > 0.97
    assert (found.sensitivity + found.specificity).argmin() == 4


@given(seed=st.integers(0, 2000), members=st.integers(1, 40), pixels=st.integers(1, 300))
@settings(max_examples=60, deadline=None)
def test_finite_whatever_the_raters_say(seed, members, pixels):
    """Raters that are always right, always wrong or the opposite of each other; numpy's
    warnings are errors in the tests (pyproject.toml)."""
    rng = np.random.default_rng(seed)
    decisions = rng.random((members, pixels)) < rng.random((members, 1)) ** 3
    decisions[0] = ~decisions[-1]
    found = estimate_truth(decisions)
    for values in (found.truth, found.sensitivity, found.specificity):
        assert ((values >= 0) & (values <= 1)).all()


def test_nothing_to_estimate():
    assert estimate_truth(np.zeros((3, 0), bool)).truth.shape == (0,)
    assert not estimate_truth(np.zeros((3, 7), bool)).truth.any()
    assert estimate_truth(np.ones((3, 7), bool)).truth.all()


def test_clean_up_closes_a_hole_that_the_members_do_not_have():
    whole = np.full((20, 20), 1, np.uint8)
    whole[4:16, 4:16] = 0
    holed = whole.copy()
    holed[9:11, 9:11] = 1
    members = np.stack([whole, whole, holed])
    np.testing.assert_array_equal(clean_up(holed, members, np.ones(3), 1, 2), whole)


def test_clean_up_leaves_what_the_members_agree_on():
    holed = np.full((20, 20), 1, np.uint8)
    holed[4:16, 4:16] = 0
    holed[9:11, 9:11] = 1
    members = np.stack([holed] * 3)
    np.testing.assert_array_equal(clean_up(holed, members, np.ones(3), 1, 2), holed)


def test_clean_up_never_takes_pixels_from_another_object():
    ids = np.full((20, 20), 2, np.uint8)
    ids[4:16, 4:16] = 0
    ids[8:12, 8:12] = 1
    solid = ids.copy()
    solid[4:16, 4:16] = 0
    cleaned = clean_up(ids, np.stack([solid] * 3), np.ones(3), 2, 5)
    assert (cleaned[8:12, 8:12] == 1).all()
