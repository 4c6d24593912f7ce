"""The mean of several trainings' weights."""

import pytest
import torch

from finetune.averaging import average_checkpoints
from mose import InputError


def test_shares_weigh_the_weights_and_counts_are_the_first(tmp_path):
    for name, value in (("a", 1.0), ("b", 5.0)):
        state = {"w": torch.full((2,), value).half(), "n": torch.tensor(int(value))}
        torch.save(state, tmp_path / f"{name}.pth")
    mean = average_checkpoints({tmp_path / "a.pth": 0.75, tmp_path / "b.pth": 0.25})
    assert torch.equal(mean["w"], torch.full((2,), 2.0))
    assert int(mean["n"]) == 1


def test_other_sizes_are_another_network(tmp_path):
    torch.save({"w": torch.zeros(2)}, tmp_path / "a.pth")
    torch.save({"w": torch.zeros(3)}, tmp_path / "b.pth")
    with pytest.raises(InputError, match="are not of one network"):
        average_checkpoints({tmp_path / "a.pth": 0.5, tmp_path / "b.pth": 0.5})
