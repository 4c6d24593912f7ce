"""Every reason has a sentence of its own."""

from selection.reasons import Fallback, FallbackCause, Ground, Reason


def test_every_ground_is_worded_differently():
    sentences = {Reason(ground, "cycle", 0.8, 0.6).sentence() for ground in Ground}
    assert len(sentences) == len(Ground)


def test_values_stand_in_the_sentence():
    objects = {"a": (1, 3), "b": (2,)}
    several = Reason(Ground.SEVERAL_CANDIDATES, objects=objects)
    assert several.sentence() == "the best per object: a on objects 1, 3; b on object 2"
    hand = Reason(Ground.BY_HAND, candidate="a", object_id=3)
    assert hand.sentence() == "a chosen by hand for object 3"


def test_what_a_policy_could_not_do_is_told_behind_the_reason():
    fallback = Fallback(FallbackCause.NOT_FOLLOWED_BACK)
    sentence = Reason(Ground.SCORE, "cycle", fallbacks=(fallback,)).sentence()
    assert sentence == "the highest score by cycle (followed back nowhere: by agreement)"
