"""XMem's memory against a plain one: lists that are concatenated, and dense sums."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from adapters.xmem.memory import NEW_LIFE, Band, XMemMemory, XMemMemoryOptions
from mose import InputError

KEY, VALUE, SIDES = 4, 3, (2, 3)
POSITIONS = SIDES[0] * SIDES[1]


def similar(key: Tensor, shrinkage: Tensor, query: Tensor, selection: Tensor) -> Tensor:
    """``(tokens, queries)``, as the definition has it."""
    distance = (selection[None] * (key[:, None] - query[None]) ** 2).sum(-1)
    return -shrinkage * distance / KEY**0.5


def read_top(scores: Tensor, count: int) -> Tensor:
    """Weights ``(tokens, queries)``: softmax over the largest ``count`` of each column."""
    keep = torch.zeros_like(scores, dtype=torch.bool)
    keep.scatter_(0, scores.topk(min(count, len(scores)), dim=0).indices, True)
    return scores.masked_fill(~keep, -torch.inf).softmax(0)


class PlainMemory:
    """The algorithm as described, for clarity: oldest tokens first, values per group."""

    def __init__(self, options: XMemMemoryOptions):
        self.options = options
        self.work = {name: torch.zeros(0, width) for name, width in self.columns()}
        self.long = {name: torch.zeros(0, width) for name, width in self.columns()}
        self.values: list[tuple[Tensor, Tensor]] = []  # working and long-term of each group

    @staticmethod
    def columns() -> list[tuple[str, int]]:
        return [("key", KEY), ("shrinkage", 1), ("selection", KEY), ("use", 1), ("life", 1)]

    @staticmethod
    def fresh(key: Tensor, shrinkage: Tensor, selection: Tensor) -> dict[str, Tensor]:
        use = torch.zeros(len(key), 1)
        parts = {"key": key, "shrinkage": shrinkage, "selection": selection}
        return parts | {"use": use, "life": use + NEW_LIFE}

    def add(self, key: Tensor, shrinkage: Tensor, selection: Tensor, values: Tensor) -> None:
        new = self.fresh(key, shrinkage, selection)
        self.work = {name: torch.cat([self.work[name], new[name]]) for name in new}
        first = 0
        for index, (work, long) in enumerate(self.values):
            own = values[first : first + len(work)]
            self.values[index] = torch.cat([work, own], 1), long
            first += len(work)
        if first < len(values):
            self.values.append((values[first:], values[first:, :0]))
        if self.options.enable_long_term:
            full = self.options.max_mid_term_frames * POSITIONS
            if len(self.work["key"]) >= full:
                self.consolidate()

    def read(self, query: Tensor, selection: Tensor) -> Tensor:
        def scores(store: dict[str, Tensor]) -> Tensor:
            return similar(store["key"], store["shrinkage"], query, selection)

        work_scores, long_scores = scores(self.work), scores(self.long)
        answers = []
        for index, (work, long) in enumerate(self.values):
            newest_long = long_scores[len(long_scores) - long.shape[1] :]
            newest_work = work_scores[len(work_scores) - work.shape[1] :]
            joint = torch.cat([newest_long, newest_work])
            weights = read_top(joint, self.options.top_k)
            answers.append(torch.einsum("tq,ntv->nqv", weights, torch.cat([long, work], 1)))
            if index == 0:
                used = weights.sum(1, keepdim=True)
        self.long["use"] = self.long["use"] + used[: len(long_scores)]
        self.work["use"] = self.work["use"] + used[len(long_scores) :]
        for store in (self.long, self.work):
            store["life"] = store["life"] + 1
        return torch.cat(answers)

    def consolidate(self) -> None:
        options = self.options
        room = options.max_long_term_elements - options.num_prototypes
        if len(self.long["key"]) > room:
            usage = (self.long["use"] / self.long["life"])[:, 0]
            bound = usage.sort().values[len(usage) - room - 1]
            stay = usage > bound
            self.long = {name: column[stay] for name, column in self.long.items()}
            for index, (work, long) in enumerate(self.values):
                own = stay[len(stay) - long.shape[1] :]
                self.values[index] = work, long[:, own]
        newest = (options.min_mid_term_frames - 1) * POSITIONS
        total = len(self.work["key"])
        old = slice(POSITIONS, total - newest)
        some = {name: column[old] for name, column in self.work.items()}
        usage = (some["use"] / some["life"])[:, 0]
        best = usage.topk(min(options.num_prototypes, len(usage))).indices
        scores = similar(some["key"], some["shrinkage"], some["key"][best], some["selection"][best])
        for index, (work, long) in enumerate(self.values):
            count = work.shape[1]
            if count == total or count > newest + 2 * POSITIONS:
                own = work[:, POSITIONS : count - newest]
                before = len(scores) - own.shape[1]
                weights = scores[before:, best >= before].softmax(0)
                long = torch.cat([long, torch.einsum("tp,ntv->npv", weights, own)], 1)
            if count >= newest + 2 * POSITIONS:
                work = torch.cat([work[:, :POSITIONS], work[:, count - newest :]], 1)
            self.values[index] = work, long
        shrinkage = scores.softmax(0).T @ some["shrinkage"]
        new = self.fresh(some["key"][best], shrinkage, some["selection"][best])
        self.long = {name: torch.cat([self.long[name], new[name]]) for name in new}
        self.work = {
            name: torch.cat([column[:POSITIONS], column[total - newest :]])
            for name, column in self.work.items()
        }


class Frames:
    """Random frames, smooth enough that reading them is not all or nothing."""

    def __init__(self, seed: int):
        self.random = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.random, dtype=torch.float64).float()

    def key(self) -> tuple[Tensor, Tensor, Tensor]:
        selection = self.normal(KEY, *SIDES).sigmoid()
        return self.normal(KEY, *SIDES), 1 + self.normal(1, *SIDES) ** 2, selection

    def values(self, count: int) -> Tensor:
        return self.normal(count, VALUE, *SIDES)


def rows(x: Tensor) -> Tensor:
    return x.flatten(-2).transpose(-1, -2)


@st.composite
def limits(draw: st.DrawFn) -> XMemMemoryOptions:
    least = draw(st.integers(1, 3))
    prototypes = draw(st.integers(1, 8))
    return XMemMemoryOptions(
        top_k=draw(st.integers(1, 9)),
        enable_long_term=draw(st.booleans()),
        max_mid_term_frames=draw(st.integers(least + 1, 5)),
        min_mid_term_frames=least,
        max_long_term_elements=prototypes + draw(st.integers(0, 20)),
        num_prototypes=prototypes,
    )


@settings(max_examples=60, deadline=None)
@given(limits(), st.integers(0, 10**6), st.lists(st.integers(0, 2), min_size=2, max_size=14))
def test_equals_a_plain_memory(options, seed, arrivals):
    """Any number of frames, objects that come later included."""
    frames = Frames(seed)
    memory, plain = XMemMemory(options), PlainMemory(options)
    objects = 1
    for new in arrivals:
        objects += new
        key, shrinkage, selection = frames.key()
        values = frames.values(objects)
        memory.add(key, shrinkage, selection, values)
        plain.add(rows(key), rows(shrinkage), rows(selection), rows(values))
        assert memory.tokens == (len(plain.work["key"]), len(plain.long["key"]))
        for _ in range(2):
            query, _, chosen = frames.key()
            answer = memory.read(query, chosen)
            expected = plain.read(rows(query), rows(chosen))
            assert answer.shape == (objects, VALUE, *SIDES)
            torch.testing.assert_close(rows(answer), expected, rtol=1e-4, atol=1e-4)


def test_size_does_not_grow_with_the_video():
    options = XMemMemoryOptions(5, True, 4, 2, 40, 8)
    memory, frames = XMemMemory(options), Frames(3)
    sizes = []
    for _ in range(60):
        memory.add(*frames.key(), frames.values(2))
        query, _, selection = frames.key()
        memory.read(query, selection)
        sizes.append(sum(band._buffer.numel() for band in memory._values))
        work, long = memory.tokens
        assert work <= 4 * POSITIONS
        assert long <= 40
    assert sizes[20:] == [sizes[20]] * 40


def test_without_long_term_everything_is_kept():
    memory, frames = XMemMemory(XMemMemoryOptions(enable_long_term=False)), Frames(4)
    for _ in range(30):
        memory.add(*frames.key(), frames.values(1))
    assert memory.tokens == (30 * POSITIONS, 0)


def test_a_memory_in_which_nothing_is_similar_still_answers():
    """exp of such similarities is 0: the weights would be 0 / 0 without a shift."""
    memory, frames = XMemMemory(XMemMemoryOptions(top_k=3)), Frames(5)
    key, shrinkage, selection = frames.key()
    memory.add(key + 1000, shrinkage, selection, frames.values(1))
    assert memory.read(key, selection).isfinite().all()


@pytest.mark.parametrize("limits", [(5, True, 5, 5), (5, True, 3, 0), (5, True, 4, 2, 7, 8)])
def test_limits_that_contradict_each_other_are_bad_input(limits):
    with pytest.raises(InputError, match="expected 1 <="):
        XMemMemoryOptions(*limits)


@given(st.integers(0, 10**6), st.lists(st.integers(0, 4), max_size=20))
def test_a_band_is_two_lists(seed, steps):
    """Any order of growing at both ends and cutting equals the same on lists."""
    random = np.random.default_rng(seed)
    band = Band(torch.zeros(2, 0, 3))
    long, work = np.zeros((2, 0, 3)), np.zeros((2, 0, 3))
    for step in steps:
        new = random.normal(size=(2, int(random.integers(0, 5)), 3))
        if step <= 1:
            band.append(torch.from_numpy(new))
            work = np.concatenate([work, new], 1)
        elif step == 2:
            band.prepend(torch.from_numpy(new))
            long = np.concatenate([new[:, ::-1], long], 1)
        elif step == 3:
            survives = random.random(long.shape[1]) < 0.6
            band.keep_long(torch.from_numpy(survives))
            long = long[:, survives]
        else:
            first, kept = (int(n) for n in random.integers(0, 4, 2))
            if first + kept <= work.shape[1]:
                band.cut(first, kept)
                work = np.concatenate([work[:, :first], work[:, work.shape[1] - kept :]], 1)
        expected = np.concatenate([long, work], 1).astype(np.float32)
        assert (band.long, band.work) == (long.shape[1], work.shape[1])
        np.testing.assert_array_equal(band.live.numpy(), expected)
