"""Policy safe: the member of the best prior, the pseudo-label where that is expected to gain."""

import numpy as np
import pytest

from selection.calibration import Calibration
from selection.evidence import PSEUDO_LABEL, Evidence
from selection.policies import SelectionOptions, score
from selection.risk import (
    Point,
    RiskCurve,
    expected_j,
    measure_risk,
    replacement,
    shipped_risk,
    starting_member,
)
from selection.selectors import select

FRAMES = 6


def evidence(weights, overlaps, priors, truth=None):
    """One video. weights ``(M, N)``; overlaps ``(M + 1, M, N)`` IoU of each candidate with each
    member; truth ``(M + 1, N)`` J&F."""
    weights, overlaps = np.asarray(weights, float), np.asarray(overlaps, float)
    members, count = weights.shape
    names = (*(f"m{i}" for i in range(members)), PSEUDO_LABEL)
    made = Evidence.blank(
        "v", names, np.append(priors, max(priors)), tuple(range(1, count + 1)),
        tuple(f"{t:05d}" for t in range(FRAMES)),
    )  # fmt: skip
    share = weights / weights.sum(axis=0)
    support = np.einsum("cmn,mn->cn", overlaps, share)
    own = np.einsum("mmn,mn->mn", overlaps[:-1], share)
    support[:-1] = (support[:-1] - own) / (1 - share)
    made["weight"][:, :-1] = weights
    made["support"][1:] = support
    if truth is not None:
        made["truth_j"][1:] = made["truth_f"][1:] = np.asarray(truth)
    return made


def three(first=(0.9, 0.5), truth=None):
    """Three members whose pseudo-label overlaps the others better than the first one does, on
    the first of two objects, and worse on the second."""
    overlaps = np.zeros((4, 3, 2))
    for n, gain in enumerate((0.2, -0.2)):
        overlaps[:3, :, n] = 0.6 + 0.4 * np.eye(3)
        overlaps[3, :, n] = 0.6 + gain, 0.7 + gain, 0.7 + gain
    weights = np.array([[2.0, 2.0], [1.0, 1.0], [1.0, 1.0]])
    return evidence(weights, overlaps, (0.8, 0.7, 0.6), truth)


def test_expected_j_is_the_mean_overlap_with_masks_that_may_be_the_truth():
    found = expected_j(three())
    assert np.isnan(found[0]).all()
    # the first member: half of the weight is its own, the other half overlaps it by 0.6
    np.testing.assert_allclose(found[1, 0], 0.5 * 1 + 0.5 * 0.6, rtol=1e-6)
    np.testing.assert_allclose(found[1, 3], 0.5 * np.array([0.8, 0.4]) + 0.5 * np.array([0.9, 0.5]))
    rows, gain = replacement(three())
    np.testing.assert_array_equal(rows, 3)
    np.testing.assert_allclose(gain, [0.05, -0.35], atol=1e-6)


def test_a_fitted_model_may_replace_by_any_candidate():
    expected = np.full((FRAMES, 4, 2), 0.5)
    expected[:, 2, 0], expected[:, 3, 1], expected[:, 0, 1] = 0.7, 0.6, 0.8
    rows, gain = replacement(three(), expected)
    np.testing.assert_array_equal(rows, [2, 3])
    np.testing.assert_allclose(gain, [0.2, -0.2])


def test_objects_are_replaced_where_the_gain_is_expected():
    choice = select(three(), SelectionOptions(policy="safe", risk=0.3))
    assert choice.at(2) == {1: PSEUDO_LABEL, 2: "m0"}


def test_what_must_be_gained_comes_from_the_calibration():
    table = three()
    careful = Calibration(
        "c", {}, {}, risk=RiskCurve((Point(0.1, -0.02, -0.01), Point(0.0, 0.0, 0.01)))
    )
    assert select(table, SelectionOptions("safe"), careful).winner == "m0"
    never = Calibration("c", {}, {}, risk=RiskCurve((Point(0.0, 0.01, 0.02),)))
    assert score(table, SelectionOptions("safe"), never).candidates == ("m0",)
    willing = SelectionOptions("safe", risk=2.5)
    assert select(table, willing, never).at(2) == {1: PSEUDO_LABEL, 2: "m0"}


def test_thresholds_are_lowered_until_one_costs_too_much():
    curve = RiskCurve((Point(-0.1, 0, -0.02), Point(0.0, 0, 0.004), Point(0.1, 0, -0.002)))
    assert curve.threshold(0.005) == -0.1
    assert curve.threshold(0.003) == 0.1  # though a lower one would be allowed again
    assert curve.threshold(-0.01) == np.inf
    assert RiskCurve(()).threshold(1.0) == np.inf


@pytest.mark.parametrize(("better", "taken"), [(0.1, True), (-0.1, False)])
def test_a_curve_that_was_measured_replaces_what_pays(better, taken):
    rng = np.random.default_rng(0)
    videos = []
    for _ in range(12):
        alone = rng.uniform(0.5, 0.8)
        truth = [[alone] * 2, [0.4] * 2, [0.4] * 2, [alone + better] * 2]
        videos.append(three(truth=truth))
    curve = measure_risk(videos)
    assert (curve.threshold(0.003) < 0.05) == taken
    # of two objects the first has an expected gain of 0.05, the second none
    assert curve.points[6].loss == pytest.approx(-better / 2)
    assert not measure_risk(videos[:1]).points


def test_the_curve_that_ships_allows_the_default_risk():
    assert np.isfinite(shipped_risk().threshold(SelectionOptions().risk / 100))
    assert starting_member(three()) == 0
