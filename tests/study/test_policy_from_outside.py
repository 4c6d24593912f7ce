"""A policy that is registered from outside appears wherever policies do."""

import numpy as np
import pytest
from simulated import make_run

from ensemble.fusion.frame_loop import FusionSetup
from selection.evidence import PSEUDO_LABEL, Evidence
from selection.policies import POLICIES, Policy, Scores, policies_to_compare, policy_names, register
from selection.selectors import SelectionOptions, select
from stseg.errors import InputError
from study import calibrate, study
from study.stored_runs import gather, open_study


def score_by_name(evidence, options, calibration):
    """The later in the alphabet the better."""
    order = np.argsort(np.argsort(evidence.members)) / len(evidence.members)
    shape = len(evidence.frames), len(evidence.members), len(evidence.object_ids)
    return Scores(evidence.members, np.broadcast_to(order[None, :, None], shape))


@pytest.fixture
def toy():
    policy = register(Policy("alphabet", "the later in the alphabet the better", score_by_name))
    yield policy
    del POLICIES[policy.name]


def test_a_toy_policy_selects_and_is_studied_calibrated_and_helped(toy, tmp_path, capsys):
    run = make_run(tmp_path, frames=3)
    opened = open_study(run, None)
    videos = gather(opened, [FusionSetup(opened.members, opened.config.fusion)], None, 1)
    choice = select(next(iter(videos.values()))[0], SelectionOptions(policy="alphabet"))
    assert choice.winner == max(opened.members)
    own = opened.config.fusion.rule
    report = study.study(run, study.StudyScope(rules=[own], leave_one_out=False), processes=1)
    studied = {row.policy for row in report.rows}
    assert {"alphabet", "agreement+alphabet"} <= studied
    calibrate.main(["--run", str(run), "--output", str(tmp_path / "made.json"), "--processes", "1"])
    assert "agreement+alphabet" in capsys.readouterr().out
    for command in (study, calibrate):
        assert toy.summary in command.parser().format_help()


def test_names_are_unique_and_plain(toy):
    with pytest.raises(ValueError, match="taken"):
        register(toy)
    with pytest.raises(ValueError, match="taken"):
        register(Policy("a+b", "", score_by_name))


def test_policies_that_do_not_apply_to_the_evidence_are_left_out():
    video = Evidence.blank("v", ("m", PSEUDO_LABEL), np.full(2, 0.5), (1,), ("00000",))
    plain = ("agreement", "pseudo-label", "safe")
    assert policies_to_compare([video], "agreement") == plain
    video.cycle[0, 0] = 0.5
    more = {"cycle", "agreement+cycle"}
    assert set(policies_to_compare([video], "agreement")) == {*plain, *more}


def test_what_ranks_nothing_is_not_combined():
    with pytest.raises(InputError, match="cannot be combined"):
        policy_names(f"agreement+{PSEUDO_LABEL}")
