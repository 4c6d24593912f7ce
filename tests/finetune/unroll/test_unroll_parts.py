"""What unrolling draws, and memory that is read by matching."""

import torch

from adapters.networks.affinity import ImageFeatures, read_frames
from finetune.data.batches import ClipBatch
from finetune.training_options import UnrollOptions
from finetune.unroll.base import UnrollInputs, aggregate_valid, append_mask, keep_where
from finetune.unroll.matching import read_memory, remembers


def clips(batch=4, length=6, first=0):
    return ClipBatch(
        torch.zeros(batch, length, 3, 32, 32),
        torch.ones(batch, length, 1, 32, 32),
        torch.ones(batch, 1, dtype=torch.bool),
        first=first,
    )


def test_workers_draw_what_one_draws_for_the_whole_batch():
    options = UnrollOptions(forget=0.5, deep_update=0.5)
    whole = UnrollInputs(clips(), options, 3)
    parts = [UnrollInputs(clips(2, first=first), options, 3) for first in (0, 2)]
    assert torch.equal(torch.cat([part.kept() for part in parts]), whole.kept())
    assert {tuple(part.deep_updates()) for part in parts} == {tuple(whole.deep_updates())}
    assert whole.deep_updates()[0]


def test_frames_are_remembered_at_a_distance_and_the_last_never():
    options = UnrollOptions(mem_every=2)
    assert [i for i in range(7) if remembers(i, 7, options)] == [0, 2, 4]


def test_what_is_not_kept_is_blank():
    maps = torch.ones(4, 2, 1, 1)
    kept = keep_where(torch.tensor([True, False]), maps)
    assert kept.flatten(1).sum(1).tolist() == [2, 2, 0, 0]


def test_padding_has_no_share_of_a_pixel():
    odds = aggregate_valid(torch.full((1, 2, 1, 1), 0.9), torch.tensor([[True, False]]))
    shares = odds.softmax(1).flatten()
    assert shares[1] > 0.8
    assert shares[2] < 1e-6


class Frames:
    read = staticmethod(read_frames)


def test_the_last_value_of_memory_is_the_mask():
    """A memory of one frame, whose masks are everywhere: so is what is read of them."""
    torch.manual_seed(0)
    size = (4, 2, 2, 2)
    features = ImageFeatures(
        torch.zeros(size), torch.randn(4, 8, 2, 2), torch.ones(4, 1, 2, 2),
        torch.ones(4, 8, 2, 2), torch.zeros(size), torch.zeros(size),
    )  # fmt: skip
    value = append_mask(torch.randn(4, 3, 2, 2), clips(), 0)
    readout, mask = read_memory(
        Frames(), features, [features], [value], torch.ones(4, 1, dtype=torch.bool)
    )
    assert readout.shape == (4, 3, 2, 2)
    torch.testing.assert_close(mask, torch.ones(4, 1, 2, 2))
