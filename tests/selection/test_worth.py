"""What members are worth without labels: by agreement and looks over a whole run."""

import numpy as np
import pytest

from selection.evidence import Evidence
from selection.quality import log_odds
from selection.worth import Sight, agreed, judge
from stseg.errors import InputError

TRUE = np.array([0.85, 0.75, 0.7, 0.6, 0.45])
NAMES = ("a", "b", "c", "d", "e")


def sights(worth=TRUE, videos=12, seed=0):
    """Videos of members that err independently, each video a bit easier or harder."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(videos):
        own = np.clip(worth * rng.uniform(0.9, 1.05) + rng.normal(0, 0.02, len(worth)), 0.02, 0.98)
        overlaps = np.outer(own, own)
        np.fill_diagonal(overlaps, 1.0)
        looks = np.log(own)
        made.append(Sight(overlaps, looks - looks.max()))
    return made


def far(priors, true=TRUE):
    """How far priors are from the true ones, whatever their level."""
    difference = log_odds(priors) - log_odds(true)
    return float(np.std(difference))


def test_independent_members_are_told_by_their_overlaps():
    overlaps = np.outer(TRUE, TRUE)
    odds, misfit = agreed(overlaps)
    assert odds == pytest.approx(log_odds(TRUE), abs=1e-6)
    assert misfit < 1e-6


def test_right_priors_stand():
    made = judge(NAMES, TRUE, sights())
    assert made.share < 0.5
    assert not made.contradicts
    assert far(made.priors) < 0.1


OFF = np.array([0.1, -0.2, 0.15, -0.2, 0.2])


@pytest.mark.parametrize("wrong", [np.roll(TRUE, 1), TRUE[::-1], np.full(5, 0.5), TRUE + OFF])
def test_wrong_priors_are_found_and_corrected(wrong):
    made = judge(NAMES, wrong, sights())
    assert made.contradicts
    assert far(made.priors) < far(wrong) / 2
    assert log_odds(made.priors).mean() == pytest.approx(log_odds(wrong).mean())


def test_corrected_priors_are_corrected_no_further():
    once = judge(NAMES, TRUE[::-1], sights()).priors
    again = judge(NAMES, once, sights())
    assert again.share == 0
    assert again.priors == pytest.approx(once)


def test_the_same_on_more_videos_corrects_more():
    wrong, seen = TRUE[[1, 0, 2, 4, 3]], sights(videos=5)
    few, many = judge(NAMES, wrong, seen), judge(NAMES, wrong, seen * 10)
    assert many.seen == pytest.approx(few.seen)
    assert 0 < few.share < many.share


def test_order_of_members_and_videos_does_not_matter():
    seen, order = sights(), np.array([3, 0, 4, 1, 2])
    one = judge(NAMES, TRUE[::-1], seen)
    turned = [Sight(s.overlaps[np.ix_(order, order)], s.looks[order]) for s in seen[::-1]]
    other = judge([NAMES[k] for k in order], TRUE[::-1][order], turned)
    assert other.priors == pytest.approx(one.priors[order])
    assert other.probability == pytest.approx(one.probability)


def test_copies_are_no_witnesses_for_each_other():
    twice = [0, 1, 2, 3, 4, 4]
    copied = [Sight(s.overlaps[np.ix_(twice, twice)], s.looks[twice]) for s in sights()]
    made = judge((*NAMES, "f"), np.full(6, 0.5), copied)
    assert made.seen[4] == pytest.approx(made.seen[5])
    assert list(np.argsort(-made.seen[:5])) == [0, 1, 2, 3, 4]


def test_what_says_nothing_is_refused():
    with pytest.raises(InputError, match="5 members on 4 videos are too few"):
        judge(NAMES, TRUE, sights(videos=4))
    with pytest.raises(InputError, match="2 members on 12 videos are too few"):
        judge(NAMES[:2], TRUE[:2], sights(TRUE[:2]))
    useless = sights()
    for sight in useless:
        sight.overlaps[0, 1:] = sight.overlaps[1:, 0] = [0.9, 0.02, 0.9, 0.02]
    with pytest.raises(InputError, match="agree too unevenly"):
        judge(NAMES, TRUE, useless)


def test_empty_masks_do_not_count_as_looking_wrong():
    evidence = Evidence.blank(
        "v", (*NAMES[:3], "pseudo-label"), np.full(4, 0.5), (1,), ("0", "1", "2")
    )
    assert Sight.of(evidence) is None
    evidence["agreement_j"][1:] = 0.5
    evidence["area"][1:] = 10.0
    evidence["appearance"][1:, :, 0] = [0.8, 0.4, 0.8, 0.8]
    evidence.overlap[:] = [[1, 0.3, 0.5], [0.3, 1, 0.2], [0.5, 0.2, 1]]
    evidence.overlap[0] = 1.0
    evidence["area"][2, 0, 0] = 0.0
    evidence["appearance"][2, 0, 0] = 0.0
    sight = Sight.of(evidence)
    assert sight.overlaps[0, 1] == pytest.approx(0.3)
    assert sight.looks == pytest.approx([0, np.log(0.5), 0])
