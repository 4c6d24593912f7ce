"""Cutie's memory against a slow definition of it, and its limits."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from adapters.cutie.memory import CutieMemory, CutieMemoryOptions, LongTerm
from mose import InputError
from stseg.config import build

KEY, VALUE, SIZE = 4, 3, (2, 3)
TOKENS = SIZE[0] * SIZE[1]


@dataclass
class Frame:
    key: Tensor
    shrinkage: Tensor
    selection: Tensor
    values: Tensor
    summaries: Tensor


def frame(generator: torch.Generator, objects: int) -> Frame:
    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return Frame(
        normal(KEY, *SIZE),
        1 + normal(1, *SIZE).square(),
        normal(KEY, *SIZE).sigmoid(),
        normal(objects, VALUE, *SIZE),
        normal(objects, 2, 5),
    )


@dataclass
class Token:
    key: Tensor
    shrinkage: Tensor
    selection: Tensor | None
    values: Tensor
    use: float = 0.0
    life: float = 1e-7

    def similarity(self, key: Tensor, selection: Tensor) -> float:
        distance = (selection * (self.key - key) ** 2).sum()
        return float(-self.shrinkage * distance / math.sqrt(KEY))


def most_used(tokens: list[Token], count: int) -> list[Token]:
    """The most used tokens; which of equally used ones is not defined, so not tested."""
    usage = sorted((token.use / token.life for token in tokens), reverse=True)
    assume(not 0 < count < len(usage) or usage[count - 1] - usage[count] > 1e-5)
    return sorted(tokens, key=lambda token: -token.use / token.life)[:count]


@dataclass
class SlowBucket:
    """One token at a time, as the papers describe it."""

    options: CutieMemoryOptions
    permanent: list[Token] = field(default_factory=list)
    work: list[Token] = field(default_factory=list)
    long: list[Token] = field(default_factory=list)

    def add(self, new: Frame, objects: slice) -> None:
        rows = [x.flatten(-2).movedim(-1, 0) for x in (new.key, new.shrinkage, new.selection)]
        values = new.values[objects].flatten(-2).movedim(-1, 0)
        made = [Token(k, s, e, v) for k, s, e, v in zip(*rows, values, strict=True)]
        if not self.permanent:
            self.permanent = made
            return
        self.work += made
        limits = self.options.long_term
        if not self.options.use_long_term:
            room = (self.options.max_mem_frames - 1) * TOKENS
            self.work = self.work[len(self.work) - room :] if len(self.work) > room else self.work
        elif len(self.work) >= (limits.max_mem_frames - 1) * TOKENS:
            if len(self.long) >= limits.max_num_tokens - limits.num_prototypes:
                if limits.count_usage:
                    self.long = most_used(self.long, limits.kept_tokens)
                else:
                    self.long = self.long[len(self.long) - limits.kept_tokens :]
            kept = (limits.min_mem_frames - 1) * TOKENS
            old, self.work = self.work[: len(self.work) - kept], self.work[len(self.work) - kept :]
            self.long += self.prototypes(old)

    def prototypes(self, old: list[Token]) -> list[Token]:
        made = []
        for token in most_used(old, self.options.long_term.num_prototypes):
            assert token.selection is not None
            scores = [other.similarity(token.key, token.selection) for other in old]
            weights = torch.tensor(scores).softmax(0)
            shrinkage = sum(w * t.shrinkage for w, t in zip(weights, old, strict=True))
            values = sum(w * t.values for w, t in zip(weights, old, strict=True))
            made.append(Token(token.key, shrinkage, None, values))
        return made

    def read(self, key: Tensor, selection: Tensor) -> Tensor:
        everything = [*self.long, *self.permanent, *self.work]
        columns = []
        for q, e in zip(key.flatten(1).T, selection.flatten(1).T, strict=True):
            scores = [token.similarity(q, e) for token in everything]
            best = sorted(range(len(scores)), key=lambda i: -scores[i])[: self.options.top_k]
            weights = torch.tensor([scores[i] for i in best]).softmax(0)
            for weight, i in zip(weights, best, strict=True):
                everything[i].use += float(weight)
            columns.append(
                sum(w * everything[i].values for w, i in zip(weights, best, strict=True))
            )
        for token in everything:
            token.life += 1
        return torch.stack(columns, -1).unflatten(-1, SIZE)


limit_numbers = st.tuples(
    st.integers(2, 4), st.integers(1, 3), st.integers(1, 5), st.integers(0, 8), st.booleans()
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    seed=st.integers(0, 99),
    steps=st.integers(1, 9),
    late=st.integers(1, 9),
    top_k=st.sampled_from([1, 8, 20, 99]),
    frames=st.integers(1, 4),
    use_long_term=st.booleans(),
    limits=limit_numbers,
)
def test_equals_its_slow_definition(seed, steps, late, top_k, frames, use_long_term, limits):
    longest, shortest, prototypes, room, count_usage = limits
    options = CutieMemoryOptions(
        top_k,
        frames,
        use_long_term,
        LongTerm(
            longest,
            min(shortest, longest - 1),
            prototypes,
            2 * prototypes + room,
            prototypes,
            count_usage,
        ),
    )
    generator = torch.Generator().manual_seed(seed)
    memory, slow = CutieMemory(options), []
    sums = torch.zeros(0, 2, 5)
    groups = [slice(0, 2)]
    for step in range(steps):
        if step == late:
            groups.append(slice(2, 3))
        new = frame(generator, groups[-1].stop)
        sums = torch.cat([sums, torch.zeros(len(new.summaries) - len(sums), 2, 5)])
        sums = sums + new.summaries
        slow += [SlowBucket(options) for _ in groups[len(slow) :]]
        memory.add(new.key, new.shrinkage, new.selection, new.values, new.summaries)
        for bucket, group in zip(slow, groups, strict=True):
            bucket.add(new, group)
        query = frame(generator, 1)
        expected = torch.cat([bucket.read(query.key, query.selection) for bucket in slow])
        found = memory.read(query.key, query.selection)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(memory.summaries, sums)
        assert memory.groups == groups
        for bucket, other in zip(memory.buckets, slow, strict=True):
            assert bucket.long_tokens == len(other.long)
            assert (bucket.end - bucket.first) == len(other.permanent) + len(other.work)


@pytest.mark.parametrize("use_long_term", [False, True])
def test_storage_does_not_grow(use_long_term):
    options = CutieMemoryOptions(5, 3, use_long_term, LongTerm(3, 2, 4, 20, 4))
    generator = torch.Generator().manual_seed(0)
    memory = CutieMemory(options)
    places = set()
    for _ in range(40):
        new = frame(generator, 2)
        memory.add(new.key, new.shrinkage, new.selection, new.values, new.summaries)
        memory.read(new.key, new.selection)
        bucket = memory.buckets[0]
        places.add((bucket.rows.data_ptr(), bucket.values.data_ptr()))
        assert bucket.long_tokens <= 20
        assert (bucket.end - bucket.first) <= 3 * TOKENS
    assert len(places) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_mem_frames": 5, "min_mem_frames": 5}, "less than"),
        ({"min_mem_frames": 0}, "from 1"),
        ({"num_prototypes": 0}, "num_prototypes"),
        ({"buffer_tokens": -1}, "buffer_tokens"),
        ({"max_num_tokens": 2000}, "max_num_tokens is 2000"),
    ],
)
def test_limits_that_contradict_are_bad_input(options, message):
    with pytest.raises(InputError, match=message):
        build(LongTerm, options, "o.yaml")
