"""The expected J of every member's mask, from agreement with the others and the prior."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selection.quality import (
    FOLDER,
    QualityTrack,
    agreement_with_others,
    count_patterns,
    load_quality,
)


def masks(seed, members=4, pixels=300, noise=None):
    """Members' masks of one object, each with errors of its own."""
    rng = np.random.default_rng(seed)
    truth = rng.random(pixels) < 0.4
    wrong = rng.uniform(0.02, 0.3, members) if noise is None else np.asarray(noise)
    return truth, truth ^ (rng.random((members, pixels)) < wrong[:, None])


def overlap(one, other):
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 1.0


@given(seed=st.integers(0, 10_000), members=st.integers(2, 20))
@settings(max_examples=30, deadline=None)
def test_agreement_is_j_with_the_vote_of_the_others(seed, members):
    _, said = masks(seed, members)
    say = np.random.default_rng(seed).uniform(0.5, 2.0, members)
    found = agreement_with_others(*count_patterns(said), say, np.eye(members, dtype=bool))
    for m in range(members):
        others = np.arange(members) != m
        vote = say[others] @ said[others] > 0.5 * say[others].sum()
        assert found[m] == pytest.approx(overlap(said[m], vote))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_order_of_members_does_not_matter(seed):
    _, said = masks(seed, 5)
    rng = np.random.default_rng(seed)
    priors, order = rng.uniform(0.3, 0.9, 5), rng.permutation(5)
    straight, turned = track(priors, said), track(priors[order], said[order])
    np.testing.assert_allclose(straight.quality((1,))[order], turned.quality((1,)))
    np.testing.assert_array_equal(straight.leads()[order], turned.leads())


def track(priors, said, frames=3, copies=None, share=1.0):
    """A track that has seen the same masks on some frames."""
    copies = np.eye(len(said), dtype=bool) if copies is None else copies
    found = QualityTrack(priors)
    for _ in range(frames):
        say = found.weigh((1,), lead=False)[:, 0] / copies.sum(axis=1) * share
        found.update(1, agreement_with_others(*count_patterns(said), say, copies))
    return found


@given(seed=st.integers(0, 10_000), twice=st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_a_copy_of_a_member_changes_nothing(seed, twice):
    _, said = masks(seed)
    priors = np.random.default_rng(seed).uniform(0.3, 0.9, 4)
    rows = [0, 1, 2, 3, twice]
    copies = np.equal.outer(rows, rows)
    once, more = track(priors, said), track(priors[rows], said[rows], copies=copies)
    np.testing.assert_allclose(more.quality((1,)), once.quality((1,))[rows])
    np.testing.assert_array_equal(more.leads(), once.leads()[rows])


def test_who_agrees_with_nobody_loses_its_say_and_the_lead():
    _, said = masks(3, 4, 2000, noise=[0.05, 0.06, 0.07, 0.05])
    said[3] = np.random.default_rng(0).random(2000) < 0.5
    seen = track(np.array([0.7, 0.7, 0.7, 0.72]), said)
    quality, say = seen.quality((1,))[:, 0], seen.weigh((1,))[:, 0]
    assert quality[3] < quality[:3].min() - 0.05
    assert say[3] < 0.7 * say[:3].min()
    assert not seen.leads()[3]


def test_without_others_the_prior_stands():
    _, said = masks(1, 2)
    priors = np.array([0.6, 0.6])
    both = np.ones((2, 2), dtype=bool)
    seen = track(priors, said[[0, 0]], copies=both)
    np.testing.assert_allclose(seen.quality((1, 2)), 0.6)
    assert seen.leads().all()
    assert QualityTrack(priors).quality(()).shape == (2, 0)


def test_the_say_grows_with_the_quality():
    say = load_quality().weigh(np.linspace(0, 1, 50))
    assert (np.diff(say) >= 0).all()
    assert np.isfinite(say).all()


def test_the_model_that_ships_says_where_it_is_from():
    assert json.loads((FOLDER / "default.json").read_text())["source"]
