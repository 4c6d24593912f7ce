"""Policies: combinations by rank, choosing by a fitted model, what a selection was worth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_selectors import evidence

from ensemble.config import RunConfig
from selection.calibration import Calibration
from selection.evidence import PSEUDO_LABEL
from selection.features import FEATURES, features
from selection.models import FeatureWeights, MaskQuality
from selection.outcome import false_presence, selected_truth
from selection.policies import SelectionOptions, combined, policy_names, ranks, score
from selection.risk import Point, RiskCurve
from selection.selectors import select
from stseg.errors import InputError


def with_truth(table, truth):
    """``(C, N)`` J&F against labels, the same on every frame."""
    scored = ~np.isnan(table["agreement_j"])
    for plane in ("truth_j", "truth_f"):
        table[plane][:] = np.where(scored, np.asarray(truth)[None], np.nan)
    return table


def model(fused=0.0, **relative):
    """A model of mask quality by what candidates have above each other."""
    weights = {name: FeatureWeights(0.0, relative.get(name, 0.0)) for name in FEATURES}
    return MaskQuality(weights, fused, 0.0, 0.1)


def calibrated(quality, threshold=0.0):
    """A calibration whose risk curve allows a threshold."""
    return Calibration("c", {}, {}, quality=quality, risk=RiskCurve((Point(threshold, 0.0, 0.0),)))


def test_ranks_go_from_one_to_zero_and_share_ties():
    scores = np.array([[0.9, 0.2], [0.5, 0.2], [0.7, 0.8]])
    np.testing.assert_allclose(ranks(scores), [[1, 0.25], [0, 0.25], [0.5, 1]])
    assert ranks(np.array([[0.3]])) == 1
    assert np.isnan(ranks(np.array([[np.nan], [np.nan]]))).all()


@given(seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_ranks_do_not_change_with_the_scale(seed):
    scores = np.random.default_rng(seed).random((4, 3))
    np.testing.assert_array_equal(ranks(scores), ranks(np.exp(3 * scores)))


def test_a_combination_takes_the_best_mean_rank_of_what_all_score():
    table = evidence([[[0.9], [0.8], [0.7]]] * 4)
    table.cycle[:3, 0] = 0.1, 0.9, 0.8
    options = SelectionOptions(policy="agreement+cycle", prior_weight=0.0)
    assert select(table, options).winner == "m1"  # second, then first
    both = score(table, options)
    assert both.candidates == ("m0", "m1", "m2")


def test_a_policy_combined_with_itself_ranks_the_same():
    table = evidence(np.random.default_rng(0).random((5, 4, 2)))
    part = score(table, SelectionOptions("agreement"))
    order = np.argsort(np.nanmean(combined([part, part]).scores, axis=0), axis=0)
    np.testing.assert_array_equal(order, np.argsort(np.nanmean(part.scores, axis=0), axis=0))


def test_names_of_policies_are_checked():
    assert policy_names("agreement+cycle") == ("agreement", "cycle")
    with pytest.raises(InputError, match=r"unknown selection\.policy 'agrement'"):
        policy_names("agrement+cycle")
    with pytest.raises(InputError, match="cannot be combined"):
        policy_names("agreement+pseudo-label")


@pytest.mark.parametrize(
    ("quality", "threshold", "winner"),
    [
        (model(fused=0.9), 0.0, PSEUDO_LABEL),
        (model(fused=-0.9, agreement=2.0), 0.0, "m1"),
        (model(fused=-0.9, prior=8.0, agreement=1.0), 0.0, "m0"),
        (model(fused=-0.9, agreement=2.0), 0.9, "m0"),
    ],
)
def test_a_fitted_model_replaces_the_best_prior_where_enough_is_gained(quality, threshold, winner):
    table = evidence([[[0.6], [0.9]]] * 4, [0.7, 0.6])
    chosen = select(table, SelectionOptions("safe"), calibrated(quality, threshold))
    assert chosen.winner == winner


def test_features_are_whole_and_follow_their_candidates():
    rng = np.random.default_rng(1)
    scores = rng.random((6, 3, 2)).astype(np.float32)
    straight = features(evidence(scores, [0.5, 0.6, 0.7]))
    assert straight.shape == (6, 4, 2, len(FEATURES))
    scored = ~np.isnan(straight[..., 0])
    assert np.isfinite(straight[scored]).all()
    turned = features(evidence(scores[:, ::-1], [0.7, 0.6, 0.5]))
    np.testing.assert_allclose(straight[:, :3], turned[:, 2::-1], atol=1e-6)


@pytest.mark.parametrize("name", list(FEATURES))
def test_nothing_that_looks_better_is_worth_less(name):
    quality = MaskQuality({n: FeatureWeights(0.2, 0.5) for n in FEATURES}, 0.3, -0.1, 0.1)
    odds = np.random.default_rng(2).normal(size=(3, 4, 2, len(FEATURES)))
    better = odds.copy()
    better[:, 1, :, list(FEATURES).index(name)] += 0.5
    assert (quality(better)[:, 1] > quality(odds)[:, 1]).all()


def test_outcome_is_the_truth_of_what_was_selected():
    table = with_truth(evidence([[[0.9, 0.2], [0.3, 0.8]]] * 4), [[0.7, 0.1], [0.2, 0.6], [0, 0]])
    options = SelectionOptions("agreement", "object", prior_weight=0.0)
    np.testing.assert_allclose(selected_truth(table, select(table, options)), [0.7, 0.6])


def test_false_pixels_count_where_three_call_the_object_absent():
    table = evidence([[[0.5], [0.4], [0.4], [0.4]]] * 4)
    table["area"][:] = np.array([9.0, 0, 0, 0, 9])[None, :, None]
    table.true_area[:] = [[0], [0], [0], [50]]
    choice = select(table, SelectionOptions("agreement", prior_weight=0.0))
    assert choice.winner == "m0"
    assert false_presence(table, choice) == (3, 3)
    table["area"][:, 3] = 9
    assert false_presence(table, choice) == (0, 0)


def test_truth_where_an_object_counts_as_absent_is_that_of_an_empty_mask():
    table = with_truth(evidence([[[0.9], [0.3]]] * 5), [[0.75], [0.25], [0]])
    table.true_area[:] = [[40], [40], [0], [40], [40]]
    table.absent[:] = [[0], [1], [1], [0], [1]]  # wrongly, rightly, and on a frame never scored
    choice = select(table, SelectionOptions("agreement", prior_weight=0.0))
    np.testing.assert_allclose(selected_truth(table, choice), [(0.75 + 0 + 1 + 0.75) / 4])
    np.testing.assert_allclose(table.worth()[:2], [[2.5 / 4], [1.5 / 4]])
    np.testing.assert_allclose(table.truth()[:2], [[0.75], [0.25]])


def test_the_recommender_of_old_configurations_is_explained():
    with pytest.raises(InputError, match="the recommender is gone; set safe"):
        RunConfig(selection=SelectionOptions(policy="agreement+recommender"))
