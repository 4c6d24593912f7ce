"""The options of rounds, and their verdict."""

import numpy as np
import pytest

from ensemble.config import MemberConfig
from stseg.errors import InputError
from study.rounds.options import Lessons, check_members, family, load_rounds, recipe_for
from study.rounds.verdict import Difference, Verdict

XMEM = MemberConfig("xmem", "xmem", "demo-xmem")


def test_a_member_is_trained_from_its_weights_as_it_runs(tmp_path):
    config = load_rounds("rounds")
    recipe = recipe_for(config, XMEM, Lessons(tmp_path), "cpu")
    assert (recipe.network, recipe.weights) == ("xmem", "demo-xmem")
    assert recipe.data.dataset == str(tmp_path)
    assert recipe.loss.matching == 1
    # XMem updates its sensory memory on every fifth frame unless it is told otherwise.
    assert recipe.unroll.deep_update == pytest.approx(0.2)
    often = MemberConfig("x", "xmem", "demo-xmem", {"mem_every": 1, "deep_update_every": 1})
    assert recipe_for(config, often, Lessons(tmp_path), "cpu").unroll.deep_update == 1
    rare = MemberConfig("c", "cutie", "demo-cutie", {"mem_every": 4})
    assert recipe_for(config, rare, Lessons(tmp_path), "cpu").unroll.deep_update == pytest.approx(
        0.25
    )


@pytest.mark.parametrize("adapter", ["xmem", "cutie", "livos", "tmo"])
def test_every_named_network_has_a_recipe(adapter, tmp_path):
    member = MemberConfig("m", adapter, f"demo-{adapter}")
    assert recipe_for(load_rounds("rounds"), member, Lessons(tmp_path), "cpu").network == adapter


def test_keys_can_be_changed_and_wrong_ones_are_named(tmp_path):
    config = load_rounds("rounds", ["recipe.steps=7", "networks.xmem.loss.matching=0"])
    recipe = recipe_for(config, XMEM, Lessons(tmp_path), "cpu")
    assert (recipe.steps, recipe.loss.matching) == (7, 0)
    with pytest.raises(InputError, match="quality"):
        load_rounds("rounds", ["rounds.qualty=1"])
    with pytest.raises(InputError, match="steps"):
        recipe_for(load_rounds("rounds", ["recipe.step=7"]), XMEM, Lessons(tmp_path), "cpu")


def test_sam2_wants_a_size_of_its_own(tmp_path):
    sam2 = MemberConfig("sam2", "sam2", "demo-sam2")
    with pytest.raises(InputError, match="cannot be adapted"):
        recipe_for(load_rounds("rounds"), sam2, Lessons(tmp_path), "cpu")
    config = load_rounds("rounds", ["networks.sam2.data.size=320"])
    assert recipe_for(config, sam2, Lessons(tmp_path), "cpu").data.size == 320


def test_a_member_needs_another_kind_to_be_judged_by():
    config = load_rounds("rounds")
    copy = MemberConfig("xmem@r1", "xmem", "demo-xmem")
    with pytest.raises(InputError, match="alone"):
        check_members(config, ["xmem"], [XMEM, copy])
    hold = MemberConfig("hold", "hold")
    assert check_members(config, ["xmem", "xmem"], [XMEM, hold]) == (XMEM,)


def test_families():
    assert [family(name) for name in ("xmem", "xmem@r2", "a@r1b")] == ["xmem", "xmem", "a@r1b"]


def scores(*means):
    return [np.full(2, mean) for mean in means]


def test_what_falls_beyond_chance_is_not_adopted():
    before = scores(0.7, 0.8, 0.6, 0.9)
    worse = Difference.between("a", before, scores(0.6, 0.7, 0.55, 0.8))
    mixed = Difference.between("b", before, scores(0.6, 0.9, 0.55, 0.9))
    better = Difference.between("c", before, scores(0.8, 0.9, 0.7, 0.95))
    assert (worse.fell, mixed.fell, better.fell) == (True, False, False)
    assert better.gain == pytest.approx(8.75)
    videos = ("v1", "v2", "v3", "v4")
    assert Verdict(videos, (mixed, better)).adopted
    assert not Verdict(videos, (better, worse)).adopted
    assert "not adopted: on 4 held-out videos, a -8.75" in Verdict(videos, (worse,)).sentence()


def test_a_round_of_which_nothing_is_known_is_not_adopted():
    nothing = Difference.between("a", [np.zeros(0)], [np.zeros(0)])
    assert not Verdict(("v",), (nothing,)).adopted
    assert not Verdict(("v",), ()).adopted


def test_a_verdict_is_read_as_it_was_stored():
    verdict = Verdict(("v", "w"), (Difference("a", 1.0, -0.5, 2.0),), ("u",))
    assert Verdict.parse(verdict.json()) == verdict
