"""Fusion rules: what must hold for every rule, and what each one is for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.base import FrameMasks
from adapters.expansion import Expansion
from ensemble.fusion.frame import RULES, FusionOptions, Gathered, fuse_frame
from ensemble.fusion.rules import prior_weights
from selection.metrics import Regions

HEIGHT, WIDTH = 24, 32


def member(seed: int, ids: tuple[int, ...] = (1, 4, 9), sharp: float = 6.0) -> FrameMasks:
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=sharp, size=(len(ids), 6, 8)).astype(np.float32)
    expansion = Expansion("aggregate-upsample", (HEIGHT, WIDTH))
    confidence = rng.uniform(0.2, 1, len(ids)).astype(np.float32)
    return FrameMasks(0, ids, np.ones(len(ids), np.float32), confidence, logits, expansion)


def hard(ids: np.ndarray, objects: tuple[int, ...] = (1, 4, 9), confidence: float = 0.8):
    said = np.full(len(objects), confidence, np.float32)
    return FrameMasks(0, objects, np.ones_like(said), said, ids, Expansion("labels"))


def fuse(frames, rule, priors=None, objects=(1, 4, 9)):
    priors = np.full(len(frames), 0.6) if priors is None else np.asarray(priors)
    return fuse_frame(frames, priors, objects, (HEIGHT, WIDTH), FusionOptions(rule=rule))


def blob(object_id: int, top: int, left: int, size: int = 8) -> np.ndarray:
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[top : top + size, left : left + size] = object_id
    return ids


@pytest.mark.parametrize("rule", sorted(set(RULES) - {"boxes"}))
@given(seed=st.integers(0, 10_000), members=st.integers(1, 5))
@settings(max_examples=15, deadline=None)
def test_unanimous_input_is_returned_unchanged(rule, seed, members):
    one = member(seed)
    fused = fuse([one] * members, rule)
    np.testing.assert_array_equal(fused.ids, one.labels(HEIGHT, WIDTH))


@pytest.mark.parametrize("rule", sorted(RULES))
@given(seed=st.integers(0, 10_000), data=st.data())
@settings(max_examples=15, deadline=None)
def test_order_of_members_does_not_matter(rule, seed, data):
    frames = [member(seed + k) for k in range(4)]
    priors = np.array([0.4, 0.55, 0.63, 0.71])
    order = data.draw(st.permutations(range(4)))
    straight = fuse(frames, rule, priors)
    turned = fuse([frames[k] for k in order], rule, priors[list(order)])
    np.testing.assert_array_equal(straight.ids, turned.ids)
    np.testing.assert_array_equal(straight.weights[order], turned.weights)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_duplicated_ensemble_does_not_change_a_weighted_average(seed):
    frames = [member(seed + k) for k in range(3)]
    priors = np.array([0.5, 0.6, 0.7])
    once = fuse(frames, "average", priors)
    twice = fuse([*frames, *frames], "average", np.concatenate([priors, priors]))
    np.testing.assert_array_equal(once.ids, twice.ids)


@pytest.mark.parametrize("rule", ["average", "boxes", "pixel-check", "pgmr"])
@given(seed=st.integers(0, 10_000), twice=st.integers(0, 2))
@settings(max_examples=15, deadline=None)
def test_copies_of_a_member_have_the_say_of_one(rule, seed, twice):
    frames = [member(seed + k) for k in range(3)]
    priors = np.array([0.5, 0.6, 0.7])
    once = fuse(frames, rule, priors)
    more = fuse(
        [*frames, frames[twice], frames[twice]], rule, np.append(priors, [priors[twice]] * 2)
    )
    np.testing.assert_array_equal(once.ids, more.ids)


def test_members_that_see_nothing_are_no_copies():
    empty = np.zeros((HEIGHT, WIDTH), np.uint8)
    seen = hard(blob(1, 3, 3))
    fused = fuse([hard(empty)] * 3 + [seen], "pgmr", [0.6, 0.6, 0.6, 0.65])
    assert not fused.ids.any()


@pytest.mark.parametrize("rule", sorted(RULES))
@given(seed=st.integers(0, 10_000), sharp=st.floats(0.1, 8))
@settings(max_examples=15, deadline=None)
def test_probabilities_and_weights_stay_in_range(rule, seed, sharp):
    frames = [member(seed + k, sharp=sharp) for k in range(3)]
    masks = [Regions(frame.labels(HEIGHT, WIDTH)) for frame in frames]
    gathered = Gathered(frames, masks, np.array([0.3, 0.5, 0.8]), (1, 4, 9))
    options = FusionOptions(rule=rule)
    fused, weights = RULES[rule](gathered.views, gathered.disputed_points, options)
    assert fused.min() >= 0
    assert fused.max() <= 1 + 1e-6
    assert fused.sum(axis=0).max() <= 1 + 1e-5
    assert (weights >= 0).all()


@pytest.mark.parametrize("rule", ["average", "max", "vote"])
@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_disputed_pixels_are_all_that_a_rule_needs(rule, seed):
    """Evaluating a rule on every pixel of the frame gives the same ids."""
    from ensemble.fusion import frame as fusion

    frames = [member(seed + k) for k in range(3)]
    sparse = fuse(frames, rule)
    kept = fusion.EVERY_PIXEL
    fusion.EVERY_PIXEL = (rule,)
    try:
        dense = fuse(frames, rule)
    finally:
        fusion.EVERY_PIXEL = kept
    np.testing.assert_array_equal(sparse.ids, dense.ids)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_renaming_the_objects_renames_the_result(seed):
    frames = [member(seed + k) for k in range(3)]
    other = [member(seed + k, ids=(11, 2, 5)) for k in range(3)]
    renamed = np.zeros(256, np.uint8)
    renamed[[1, 4, 9]] = 11, 2, 5
    for rule in ("average", "pgmr"):
        expected = renamed[fuse(frames, rule).ids]
        # Exact ties between two objects go to the smaller id, whatever it is called.
        assert (fuse(other, rule, objects=(2, 5, 11)).ids != expected).mean() < 0.005


def test_prior_decides_between_two_that_differ():
    strong, weak = hard(blob(1, 2, 2)), hard(blob(1, 12, 20))
    for rule in ("average", "pgmr"):
        fused = fuse([weak, strong], rule, [0.3, 0.8])
        np.testing.assert_array_equal(fused.ids, blob(1, 2, 2))


def test_outlier_has_little_say_about_one_object_only():
    right = blob(1, 2, 2) + blob(4, 12, 20)
    wrong = blob(1, 14, 2) + blob(4, 12, 20)
    fused = fuse([hard(right)] * 3 + [hard(wrong)], "pgmr", [0.6, 0.6, 0.6, 0.65])
    np.testing.assert_array_equal(fused.ids, right)
    assert fused.weights[3, 0] < 0.2 * fused.weights[3, 1]


def test_presence_vote_leaves_no_stray_pixel():
    empty = np.zeros((HEIGHT, WIDTH), np.uint8)
    stray = empty.copy()
    stray[3, 3] = 1
    frames = [hard(empty)] * 3 + [hard(stray)]
    fused = fuse(frames, "pgmr", [0.6, 0.6, 0.6, 0.65])
    assert not fused.ids.any()
    assert fused.areas[:, 0].tolist() == [0, 0, 0, 1, 0]


def five_of_which_three_see_nothing():
    """Two good members that see an object, three weaker ones that do not."""
    nothing = np.zeros((HEIGHT, WIDTH), np.uint8)
    frames = [hard(blob(1, 4, 4), (1,))] * 2 + [hard(nothing, (1,))] * 3
    return frames, np.array([0.8, 0.8, 0.3, 0.3, 0.3])


def test_weak_members_that_see_nothing_do_not_overrule_good_ones():
    frames, priors = five_of_which_three_see_nothing()
    fused = fuse(frames, "pgmr", priors, (1,))
    assert fused.absent.tolist() == [False]
    np.testing.assert_array_equal(fused.ids, blob(1, 4, 4))
    fused = fuse(frames, "pgmr", 1 - priors, (1,))
    assert fused.absent.tolist() == [True]
    assert not fused.ids.any()


def test_nobody_sees_anything():
    nothing = hard(np.zeros((HEIGHT, WIDTH), np.uint8), (1, 2))
    assert fuse([nothing] * 3, "pgmr", objects=(1, 2)).absent.all()


def test_boxes_fills_the_box_of_each_mask():
    ring = blob(1, 4, 4)
    ring[6:10, 6:10] = 0
    np.testing.assert_array_equal(fuse([hard(ring)], "boxes").ids, blob(1, 4, 4))


def test_vote_ignores_priors_and_loses_to_a_weak_majority():
    strong, weak = hard(blob(1, 2, 2)), hard(blob(1, 12, 20))
    fused = fuse([strong, weak, weak], "vote", [0.95, 0.3, 0.3])
    np.testing.assert_array_equal(fused.ids, blob(1, 12, 20))


@pytest.mark.parametrize("rule", sorted(RULES))
def test_member_that_lacks_an_object_does_not_see_it(rule):
    everything, less = hard(blob(1, 2, 2) + blob(4, 12, 20)), hard(blob(1, 2, 2), objects=(1,))
    fused = fuse([everything, less], rule, [0.8, 0.5], objects=(1, 4))
    assert (fused.ids == 1).sum() == 64
    assert set(np.unique(fused.ids)) <= {0, 1, 4}


@pytest.mark.parametrize("rule", sorted(RULES))
def test_nothing_to_fuse(rule):
    empty = np.zeros((HEIGHT, WIDTH), np.uint8)
    assert not fuse([hard(empty)], rule).ids.any()
    assert not fuse([hard(empty, ())], rule, objects=()).ids.any()


def test_prior_weights_grow_faster_than_the_prior():
    weights = prior_weights(np.array([0.4, 0.6, 0.8]))
    assert weights[2] / weights[1] > 0.8 / 0.6
    assert (np.diff(weights) > 0).all()
