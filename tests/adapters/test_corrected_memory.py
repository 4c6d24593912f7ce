"""Memories keep corrected frames, and a bounded number of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from adapters.cutie.memory import CutieMemory, CutieMemoryOptions, LongTerm
from adapters.networks.affinity import memory_rows, tokens
from adapters.shared.given import CORRECTED_FRAMES
from adapters.xmem.memory import XMemMemory, XMemMemoryOptions

KEY, VALUE, SIZE = 4, 3, (2, 3)
TOKENS = SIZE[0] * SIZE[1]


def frame(seed: int, objects: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Key, shrinkage, selection and values."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    shrinkage, selection = 1 + normal(1, *SIZE).square(), normal(KEY, *SIZE).sigmoid()
    return normal(KEY, *SIZE), shrinkage, selection, normal(objects, VALUE, *SIZE)


def remembered(key: Tensor, shrinkage: Tensor, rows: Tensor) -> bool:
    """Whether a memory's rows hold those of a frame."""
    mine = memory_rows(tokens(key), tokens(shrinkage))
    return bool((rows[:, None] == mine[None]).all(-1).any(0).all())


@pytest.mark.parametrize("long_term", [False, True])
def test_cutie_keeps_the_latest_corrected_frames(long_term):
    limits = LongTerm(max_mem_frames=4, min_mem_frames=2, num_prototypes=3, max_num_tokens=9,
                      buffer_tokens=0)  # fmt: skip
    memory = CutieMemory(CutieMemoryOptions(4, 3, long_term, limits))
    made = [frame(seed, 2) for seed in range(40)]
    summaries = torch.zeros(2, 1, 2)
    for t, (key, shrinkage, selection, values) in enumerate(made):
        if t:
            assert memory.read(key, selection).shape == (2, VALUE, *SIZE)
        memory.add(key, shrinkage, selection, values, summaries, (1,) if t % 5 == 2 else ())
        bucket = memory.buckets[0]
        assert (bucket.end - bucket.first) <= (1 + CORRECTED_FRAMES + 3) * TOKENS
    rows = bucket.rows[bucket.start : bucket.end]
    assert remembered(*made[0][:2], rows)
    kept = [t for t in range(2, 40, 5) if remembered(*made[t][:2], rows)]
    assert kept == [22, 27, 32, 37]


def test_cutie_keeps_a_frame_for_the_objects_that_came_with_the_corrected_one():
    memory = CutieMemory(CutieMemoryOptions(4, 2))
    for t in range(8):
        key, shrinkage, selection, values = frame(t, 1 + (t > 0))
        summaries = torch.zeros(len(values), 1, 2)
        memory.add(key, shrinkage, selection, values, summaries, (0,) if t == 2 else ())
    assert [(bucket.end - bucket.first) // TOKENS for bucket in memory.buckets] == [3, 2]


def test_xmem_keeps_the_latest_corrected_frames_for_those_who_were_there():
    options = XMemMemoryOptions(4, True, 4, 2, 30, 3)
    memory, plain = XMemMemory(options), XMemMemory(options)
    made = [frame(seed, 1 + (seed >= 12)) for seed in range(40)]
    for t, (key, shrinkage, selection, values) in enumerate(made):
        if t:
            assert memory.read(key, selection).shape == (memory.objects, VALUE, *SIZE)
        memory.add(key, shrinkage, selection, values, permanent=t % 5 == 2)
        if t % 5 != 2:
            plain.add(key, shrinkage, selection, values)
        work, long = memory.tokens
        assert memory.permanent_tokens <= CORRECTED_FRAMES * TOKENS
        assert work <= 4 * TOKENS
        assert long <= 30 + 3
    assert memory.permanent_tokens == CORRECTED_FRAMES * TOKENS
    for t in (22, 27, 32, 37):
        key, shrinkage, _, values = made[t]
        # With one token to read, whoever asks with a token's own key gets its value.
        read = memory.read(key, torch.ones(KEY, *SIZE) * 1e4)
        torch.testing.assert_close(read, values, atol=1e-4, rtol=1e-4)
