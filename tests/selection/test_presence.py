"""Whether an object is in a frame, from which members see something of it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from selection.presence import PresenceRates
from selection.quality import load_presence


def made_up(find, false_alarm, frames=600, gone=0.3, seed=0):
    """Which of the members see something, ``(K, M) bool``, and where there is something."""
    rng = np.random.default_rng(seed)
    there = rng.random(frames) > gone
    chance = np.where(there[:, None], find, false_alarm)
    return rng.random((frames, len(find))) < chance, there


def right(seen, there, priors, copies=None):
    copies = np.ones(seen.shape[1]) if copies is None else copies
    rates = load_presence().rates(seen, copies, np.asarray(priors))
    return float((rates.absent(seen.T, copies) != there).mean()), rates


def test_two_that_find_more_are_not_overruled_by_three_that_find_less():
    find, alarms = np.array([0.8, 0.8, 0.4, 0.4, 0.4]), np.full(5, 0.05)
    for seed in range(3):
        seen, there = made_up(find, alarms, seed=seed)
        best = (seen == there[:, None]).mean(axis=0).max()
        for priors in (find - 0.1, np.full(5, 0.6), 1 - find):
            share, _ = right(seen, there, priors)
            assert share >= best


def test_how_often_each_is_wrong_is_found_without_labels():
    find, alarms = np.array([0.95, 0.9, 0.7, 1.0]), np.array([0.1, 0.2, 0.3, 1.0])
    seen, there = made_up(find, alarms, 3000, gone=0.1)
    _, rates = right(seen, there, np.full(4, 0.6))
    np.testing.assert_allclose(rates.there[:3], 1 - find[:3], atol=0.1)
    np.testing.assert_allclose(rates.gone[:3], 1 - alarms[:3], atol=0.2)
    # the last sees something always, which says nothing
    assert abs(rates.evidence(np.ones((4, 1), bool))[3, 0]) < 0.05


@given(seed=st.integers(0, 1000), member=st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_order_and_copies_change_nothing(seed, member):
    rng = np.random.default_rng(seed)
    seen, there = made_up(rng.uniform(0.3, 1, 4), rng.uniform(0, 0.5, 4), 40, seed=seed)
    priors = rng.uniform(0.3, 0.9, 4)
    _, rates = right(seen, there, priors)
    frames, order = rng.permutation(40), rng.permutation(4)
    _, turned = right(seen[frames][:, order], there[frames], priors[order])
    np.testing.assert_allclose(turned.there, rates.there[order])
    np.testing.assert_allclose(turned.gone, rates.gone[order])
    rows = [0, 1, 2, 3, member]
    copies = np.array([rows.count(row) for row in rows])
    _, more = right(seen[:, rows], there, priors[rows], copies)
    np.testing.assert_allclose(
        more.log_odds(seen[:, rows].T, copies), rates.log_odds(seen.T, np.ones(4)), atol=1e-9
    )


def test_evidence_of_members_is_summed_and_that_of_copies_shared():
    rates = PresenceRates(np.array([0.1, 0.1]), np.array([0.5, 0.5]), 0.0)
    seen = np.array([[False], [False]])
    apart, together = (float(rates.log_odds(seen, np.full(2, n))[0]) for n in (1, 2))
    assert apart == 2 * together
    np.testing.assert_allclose(together, np.log(5))


def test_what_all_say_stands():
    rates = load_presence().rates(np.zeros((0, 3), bool), np.ones(3), np.full(3, 0.6))
    seen = np.array([[True, False]] * 3)
    assert rates.absent(seen, np.ones(3)).tolist() == [False, True]
