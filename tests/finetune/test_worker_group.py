"""Shares of workers, without a process group."""

import pytest
import torch
from torch import nn

from finetune.workers import (
    SharedBatchNorm2d,
    WorkerGroup,
    current_group,
    shared_count,
    shared_norms,
)
from mose import InputError


def test_workers_share_the_clips_of_a_batch():
    shares = [list(WorkerGroup(rank, 2).share(6)) for rank in range(2)]
    assert shares == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(InputError, match="shared evenly by 4 workers"):
        WorkerGroup(0, 4).share(6)


def test_a_process_alone_is_a_group_of_one():
    group = current_group()
    assert group == WorkerGroup()
    assert group.average({"loss": 2.0}, "cpu") == {"loss": 2.0}
    assert group.sum([1.0, 2.0], "cpu") == [1.0, 2.0]
    assert float(shared_count(torch.tensor(0))) == 1


def test_batch_norms_become_shared_and_are_the_same_in_evaluation():
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)).eval()
    images = torch.randn(2, 1, 3, 3)
    before = network(images)
    shared_norms(network)
    assert isinstance(network[1], SharedBatchNorm2d)
    assert torch.equal(network(images), before)
