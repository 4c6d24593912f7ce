"""Groups of parameters, frozen norms, the moving average, the schedule."""

import pytest
import torch
from torch import nn

from finetune.optimiser import freeze_norms, parameter_groups, update_average
from finetune.training_options import OptimiserOptions
from mose import InputError


def network():
    return nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))


def test_the_first_pattern_counts_and_0_freezes():
    made = network()
    options = OptimiserOptions(rates={"0.weight": 0.5, "0.*": 0}, weight_decay=0.1)
    groups = parameter_groups(made, options)
    told = {(group["factor"], group["weight_decay"]): len(group["params"]) for group in groups}
    assert told == {(0.5, 0.1): 1, (1.0, 0.0): 2}
    assert not made[0].bias.requires_grad


@pytest.mark.parametrize(
    ("rates", "message"),
    [({"nothing.*": 1}, "no parameter is left"), ({"*": 0}, "freezes every parameter")],
)
def test_patterns_that_make_no_sense(rates, message):
    with pytest.raises(InputError, match=message):
        parameter_groups(network(), OptimiserOptions(rates=rates))


def test_frozen_norms_keep_their_statistics():
    made = network().train()
    freeze_norms(made)
    made(torch.randn(4, 1, 2, 2))
    assert torch.equal(made[1].running_mean, torch.zeros(1))


def test_the_average_moves_by_the_decay_and_copies_counts():
    average = {"w": torch.zeros(2), "n": torch.tensor(1)}
    update_average(average, {"w": torch.ones(2), "n": torch.tensor(3)}, 0.75)
    assert torch.equal(average["w"], torch.full((2,), 0.25))
    assert int(average["n"]) == 3


def test_the_rate_rises_and_falls():
    cosine = OptimiserOptions(rate=1.0, warm_up=3, final=0.1)
    rates = [cosine.rate_at(step, 100) for step in range(100)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)
    step = OptimiserOptions(rate=1.0, schedule="step", milestones=(0.5, 0.9))
    assert [step.rate_at(n, 10) for n in (0, 5, 9)] == pytest.approx([1, 0.1, 0.01])
