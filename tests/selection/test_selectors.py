"""Selection: what every policy and granularity must do."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selection.evidence import PSEUDO_LABEL, Evidence
from selection.reasons import Ground, Reason
from selection.selectors import (
    GRANULARITIES,
    Choice,
    SelectionOptions,
    compose,
    select,
    switch_path,
)
from selection.spans import whole


def evidence(scores, priors=None, objects=None):
    """From agreement J&F ``(T, C, N)`` of the members."""
    scores = np.asarray(scores, dtype=np.float32)
    frames, members, count = scores.shape
    names = (*(f"m{i}" for i in range(members)), PSEUDO_LABEL)
    priors = np.full(members, 0.6) if priors is None else np.asarray(priors, dtype=float)
    made = Evidence.blank(
        "v", names, np.append(priors, priors.max()),
        objects or tuple(range(1, count + 1)), tuple(f"{t:05d}" for t in range(frames)),
    )  # fmt: skip
    for plane in ("agreement_j", "agreement_f"):
        made[plane][:, :-1] = scores
        made[plane][:, -1] = np.where(np.isnan(scores[:, 0]), np.nan, 1)
    return made


def options(**changes):
    return SelectionOptions(**{"policy": "agreement", "prior_weight": 0.0, **changes})


def test_video_takes_the_member_that_agrees_best():
    table = evidence([[[0.5, 0.6], [0.9, 0.9]]] * 4)
    choice = select(table, options())
    assert choice.winner == "m1"
    assert choice.margin == pytest.approx(0.35)
    assert choice.at(2) == {1: "m1", 2: "m1"}


def test_prior_has_its_say_and_breaks_ties():
    table = evidence([[[0.8], [0.801]]] * 3, priors=[0.8, 0.5])
    assert select(table, options()).winner == "m0"  # a tie: the best prior
    table = evidence([[[0.7], [0.8]]] * 3, priors=[0.9, 0.4])
    assert select(table, options()).winner == "m1"
    assert select(table, options(prior_weight=0.5)).winner == "m0"


def test_object_takes_the_best_member_of_each_object():
    table = evidence([[[0.9, 0.2], [0.3, 0.8]]] * 4, objects=(4, 7))
    choice = select(table, options(granularity="object"))
    assert choice.at(0) == {4: "m0", 7: "m1"}
    assert "m0 on object 4" in choice.reason.sentence()


def test_segment_switches_where_it_pays():
    first, second = [[[0.9], [0.4]]] * 10, [[[0.2], [0.8]]] * 10
    choice = select(evidence(first + second), options(granularity="segment"))
    assert choice.plan == {1: ((0, 10, "m0"), (10, 20, "m1"))}
    blip = [[[0.9], [0.4]]] * 10 + [[[0.2], [0.8]]] * 2 + [[[0.9], [0.4]]] * 10
    assert select(evidence(blip), options(granularity="segment")).plan == {1: ((0, 22, "m0"),)}


def test_pseudo_label_policy_takes_the_fused_masks():
    choice = select(evidence([[[0.9], [0.4]]] * 3), options(policy="pseudo-label"))
    assert choice.winner == PSEUDO_LABEL
    assert choice.at(1) == {1: PSEUDO_LABEL}


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_nothing_to_score_leaves_the_prior(granularity):
    table = evidence(np.full((1, 2, 1), np.nan), priors=[0.4, 0.7])
    choice = select(table, options(granularity=granularity))
    assert choice.winner == "m1"


@given(
    seed=st.integers(0, 1000), frames=st.integers(1, 12), members=st.integers(1, 4),
    cost=st.floats(0, 3),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_switching_is_optimal(seed, frames, members, cost):
    """Against every constant path and against many random ones."""
    rng = np.random.default_rng(seed)
    scores = rng.random((frames, members))

    def worth(path):
        changes = sum(a != b for a, b in itertools.pairwise(path))
        return sum(scores[t, c] for t, c in enumerate(path)) - cost * changes

    parts = switch_path(scores, cost, 0)
    starts = dict(parts)
    path = []
    for t in range(frames):
        path.append(starts[t] if t in starts else path[-1])
    best = worth(path)
    rivals = [[c] * frames for c in range(members)]
    rivals += [list(rng.integers(0, members, frames)) for _ in range(50)]
    assert all(best >= worth(rival) - 1e-9 for rival in rivals)


@pytest.mark.parametrize("granularity", GRANULARITIES)
@given(seed=st.integers(0, 1000), data=st.data())
@settings(max_examples=20, deadline=None)
def test_order_of_members_and_objects_does_not_matter(granularity, seed, data):
    rng = np.random.default_rng(seed)
    scores, priors = rng.random((6, 3, 2)), rng.uniform(0.3, 0.8, 3)
    order = data.draw(st.permutations(range(3)))
    straight = select(evidence(scores, priors), options(granularity=granularity))
    turned = select(evidence(scores[:, order], priors[order]), options(granularity=granularity))
    back = {f"m{i}": f"m{order[i]}" for i in range(3)}
    renamed = {n: tuple((a, b, back[c]) for a, b, c in s) for n, s in turned.plan.items()}
    assert renamed == straight.plan


def test_pixels_that_two_objects_claim_go_where_the_pseudo_label_says():
    a, b, pseudo = (np.zeros((4, 6), np.uint8) for _ in range(3))
    a[:, :4] = 1
    b[:, 2:] = 2
    pseudo[:, :3], pseudo[:, 3:] = 1, 2
    choice = Choice(
        "a", {"a": 0.9, "b": 0.5}, 0.4, Reason(Ground.SCORE), {1: whole("a", 1), 2: whole("b", 1)}
    )
    labels = {"a": a, "b": b, PSEUDO_LABEL: pseudo}
    np.testing.assert_array_equal(compose(choice, 0, labels), pseudo)


def test_nothing_is_written_of_an_object_that_counts_as_absent():
    table = evidence([[[0.9, 0.9], [0.5, 0.5]]] * 6, objects=(3, 5))
    table.absent[:] = 0
    table.absent[[1, 2, 5], 1] = 1
    choice = select(table, options())
    assert choice.at(2) == {3: "m0", 5: "m0"}
    assert choice.absent == {5: ((1, 3), (5, 6))}
    found = np.array([[0, 3, 5], [3, 5, 5]], np.uint8)
    for index in range(6):
        there = found if index in (0, 3, 4) else np.where(found == 5, 0, found)
        np.testing.assert_array_equal(compose(choice, index, {"m0": found}), there)
    np.testing.assert_array_equal(found, [[0, 3, 5], [3, 5, 5]])


def test_evidence_is_read_as_it_was_written(tmp_path):
    table = evidence(np.random.default_rng(0).random((3, 2, 2)))
    table.save(tmp_path / "e.npz")
    back = Evidence.load(tmp_path / "e.npz")
    assert back.candidates == table.candidates
    np.testing.assert_array_equal(back["agreement_j"], table["agreement_j"])
    assert select(back, options()) == select(table, options())
