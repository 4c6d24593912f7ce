"""Memory of the networks of SAM 2's kind over long videos, with each of their memories."""

from __future__ import annotations

import gc
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tiny_sam2
import tiny_transformers

import adapters
from adapters.sam2.options import MEMORIES
from benchmarks.memory import peak
from mose import Video

FEW, MANY = 150, 1500
GROWTH = 1.1
PICTURES, MASKS = tiny_sam2.discs(17)
MAKERS = {"sam2": tiny_sam2.make_sam2, "transformers": tiny_transformers.make_sam3}


class Endless:
    """Frames that are made when they are asked for."""

    def __len__(self) -> int:
        return MANY

    def __getitem__(self, index: int) -> np.ndarray:
        return PICTURES[index % len(PICTURES)]


def follow(adapter: str, weights: Path, memory: str, report: Path) -> None:
    """Write resident memory, and bytes of all tensors, after few and after many frames."""
    import torch

    torch.set_num_threads(1)
    one = Video.from_arrays(np.stack(PICTURES[:1]), {0: MASKS[0]})
    segmenter = adapters.load(adapter, weights=weights, memory=memory)
    lines = []
    for number, _ in zip(count(1), segmenter.segment(one.over(Endless())), strict=False):
        if number in (FEW, MANY - 20):  # a tree gives the last ones at once
            gc.collect()
            held = [each for each in gc.get_objects() if type(each) is torch.Tensor]
            tensors = sum(each.untyped_storage().nbytes() for each in held)
            lines.append(f"{psutil.Process().memory_info().rss} {tensors}")
    report.write_text("\n".join(lines))


@pytest.mark.soak
@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("adapter", MAKERS)
def test_memory_does_not_grow(adapter, memory, tmp_path, capsys):
    """Of the process; the bytes of tensors, views counted each, are told beside it."""
    made: dict[str, Any] = MAKERS[adapter](tmp_path, [])
    report = tmp_path / "report"
    most = peak(follow, adapter, made["weights"], memory, report)
    (few, few_tensors), (many, many_tensors) = (
        map(int, line.split()) for line in report.read_text().splitlines()
    )
    with capsys.disabled():
        print(
            f"\n{adapter} {memory}: {few / 2**20:.1f} MiB at {FEW} frames, {most:.1f} at most,"
            f" tensors {few_tensors / 2**10:.0f} and {many_tensors / 2**10:.0f} KiB"
        )
    assert most * 2**20 <= GROWTH * few
    assert many <= GROWTH * few
