"""Steps of a network that run again in the backward pass."""

import torch
from torch import nn

from finetune.checkpointing import CheckpointedNetwork, attention_kernels, frozen_statistics


class Network(nn.Module):
    """Counts how often its step runs."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.runs = 0

    def decode(self, images):
        self.runs += 1
        return self.norm(images).sin()

    def size(self):
        return 7


def test_a_step_runs_again_and_its_statistics_do_not_count_twice():
    torch.manual_seed(0)
    images = torch.randn(4, 1, 3, 3, requires_grad=True)
    plain, again = Network().train(), Network().train()
    plain.decode(images).sum().backward()
    expected, images.grad = images.grad, None
    CheckpointedNetwork(again).decode(images).sum().backward()
    assert (plain.runs, again.runs) == (1, 2)
    assert torch.equal(images.grad, expected)
    assert torch.equal(plain.norm.running_mean, again.norm.running_mean)
    assert int(again.norm.num_batches_tracked) == 1


def test_what_is_no_step_is_the_network_s_own():
    assert CheckpointedNetwork(Network()).size() == 7


def test_statistics_are_kept_inside_the_block_alone():
    network = Network().train()
    with frozen_statistics(network):
        network.decode(torch.ones(2, 1, 2, 2))
    assert torch.equal(network.norm.running_mean, torch.zeros(1))
    network.decode(torch.ones(2, 1, 2, 2))
    assert network.norm.running_mean > 0


def test_kernels_that_are_off_are_not_allowed():
    before = set(attention_kernels())
    assert before
    torch.backends.cuda.enable_math_sdp(False)
    try:
        assert before - set(attention_kernels())
    finally:
        torch.backends.cuda.enable_math_sdp(True)
