"""Gated linear matching against its sums written out."""

from __future__ import annotations

import math

import torch

from adapters.networks.linear_matching import LEAST_WEIGHT, RIDGE, LinearState

KEY, VALUE, SIZE = 3, 4, (2, 3)
BORN = [0, 0, 2]
"""On which of `four_frames` each of three objects arrives."""


def four_frames():
    """Keys, gates and values of four frames of two clips, and the keys of a fifth."""
    generator = torch.Generator().manual_seed(0)
    keys = [torch.randn(2, KEY, *SIZE, generator=generator).softmax(1) for _ in range(4)]
    gates = [torch.rand(2, VALUE, generator=generator) for _ in keys]
    values = [torch.randn(2, 3, VALUE, *SIZE, generator=generator) for _ in keys]
    query = torch.randn(2, KEY, *SIZE, generator=generator).softmax(1)
    return keys, gates, values, query


def test_reads_the_gated_sum_of_all_frames():
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    arrivals = {0: 2, 2: 1, 3: 2}
    keys = [normal(2, KEY, *SIZE).softmax(1) for _ in range(6)]
    gates = [normal(2, VALUE).sigmoid() for _ in range(6)]
    values: list[torch.Tensor] = []
    state = LinearState.empty(keys[0], VALUE)
    for time, (key, gate) in enumerate(zip(keys, gates, strict=True)):
        if time in arrivals:
            state = state.extended(arrivals[time])
        objects = sum(count for start, count in arrivals.items() if start <= time)
        values.append(normal(2, objects, VALUE, *SIZE))
        state = state.seen(key).written(key, values[-1].flatten(0, 1), gate)

    query = normal(2, KEY, *SIZE).softmax(1)
    found = state.read(query).unflatten(0, (2, 5))
    born = [start for start, count in arrivals.items() for _ in range(count)]
    for position, start in enumerate(born):
        matrix = torch.zeros(2, KEY, VALUE)
        norm = torch.zeros(2)
        for time in range(start, 6):
            fade = torch.ones(2, VALUE)
            for later in gates[time + 1 :]:
                fade = fade * later
            product = torch.einsum("bkhw,bvhw->bkv", keys[time], values[time][:, position])
            matrix = matrix + product * fade[:, None]
            norm = norm + (query * keys[time]).sum((1, 2, 3))
        expected = torch.einsum("bkhw,bkv->bvhw", query, matrix) / norm[:, None, None, None]
        torch.testing.assert_close(found[:, position], expected)


def test_a_normaliser_of_every_place_reads_means_of_faded_values():
    """Whatever the frame's size and the video's length: equal values are read as they are."""
    keys, gates, values, query = four_frames()
    state, same = (LinearState.empty(keys[0], VALUE, "place").extended(2) for _ in range(2))
    for time, (key, value, gate) in enumerate(zip(keys, values, gates, strict=True)):
        if time == 2:
            state, same = state.extended(1), same.extended(1)
        there = value[:, : 2 if time < 2 else 3].flatten(0, 1)
        state = state.seen(key).written(key, there, gate)
        same = same.seen(key).written(key, torch.full_like(there, 0.7), gate)
    torch.testing.assert_close(same.read(query), torch.full((6, VALUE, *SIZE), 0.7))

    found = state.read(query).unflatten(0, (2, 3))
    for position, start in enumerate(BORN):
        total, weight = (torch.zeros(2, KEY, VALUE) for _ in range(2))
        for time in range(start, 4):
            for sums, of in (
                (total, values[time][:, position]),
                (weight, torch.ones(2, VALUE, *SIZE)),
            ):
                sums *= gates[time][:, None]
                sums += torch.einsum("bkhw,bvhw->bkv", keys[time], of)
        read, norm = (torch.einsum("bkhw,bkv->bvhw", query, sums) for sums in (total, weight))
        torch.testing.assert_close(found[:, position], read / norm)


def test_a_regression_reads_the_best_fit_of_faded_frames():
    """The matrix that a ridge regression of all tokens gives, each weighted as it has faded."""
    keys, gates, values, query = four_frames()
    state = LinearState.empty(keys[0], VALUE, "regression").extended(2)
    for time, (key, value, gate) in enumerate(zip(keys, values, gates, strict=True)):
        if time == 2:
            state = state.extended(1)
        there = value[:, : 2 if time < 2 else 3].flatten(0, 1)
        state = state.seen(key).written(key, there, gate)
    found = state.read(query).unflatten(0, (2, 3))
    for clip in range(2):
        for position, start in enumerate(BORN):
            rows, wanted = [], []
            for time in range(start, 4):
                weight = math.sqrt(math.prod(float(g[clip].mean()) for g in gates[time + 1 :]))
                rows.append(keys[time][clip].flatten(1).T * weight)
                wanted.append(values[time][clip, position].flatten(1).T * weight)
            tokens, targets = torch.cat(rows).double(), torch.cat(wanted).double()
            ridge = RIDGE * tokens.square().sum(0).amax() + LEAST_WEIGHT
            more = ridge.sqrt() * torch.eye(KEY, dtype=torch.float64)
            targets = torch.cat([targets, targets.new_zeros(KEY, VALUE)])
            fit = torch.linalg.lstsq(torch.cat([tokens, more]), targets).solution
            expected = (query[clip].flatten(1).T.double() @ fit).T.float()
            torch.testing.assert_close(
                found[clip, position].flatten(1), expected, atol=1e-3, rtol=1e-3
            )


def test_gradients_of_a_regression_are_those_of_differences():
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, KEY, *SIZE), (3, VALUE, *SIZE), (1, KEY, *SIZE)]
    inputs = [torch.rand(*s, generator=generator, dtype=torch.float64) for s in shapes]
    gate = torch.full((1, VALUE), 0.9, dtype=torch.float64)

    def read(key, value, query):
        state = LinearState.empty(key, VALUE, "regression").extended(1)
        state = state.written(key, value[:1], gate).extended(2)
        return state.written(key.flip(-1), value, gate).read(query)

    assert torch.autograd.gradcheck(read, [x.requires_grad_() for x in inputs])


def test_a_regression_of_frames_that_look_all_the_same():
    """Hundreds of equal places: the mean of what is there, where keys tell nothing."""
    key = (30 * torch.rand(1, 512, 1, 1, generator=torch.Generator().manual_seed(0))).softmax(1)
    keys = key.expand(1, 512, 30, 30)
    values = torch.linspace(0, 1, 900).reshape(1, 1, 30, 30)
    state = LinearState.empty(keys, 1, "regression").extended(1)
    for _ in range(20):
        state = state.written(keys, values, torch.ones(1, 1))
    torch.testing.assert_close(state.read(keys), torch.full((1, 1, 30, 30), 0.5), atol=5e-3, rtol=0)


def test_a_regression_tells_apart_what_sums_of_products_blur():
    """Two keys that share half of their weight: each has its own value back."""
    key = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.0, 0.5]]).T.reshape(1, 3, 1, 2)
    value = torch.tensor([1.0, 0.0]).reshape(1, 1, 1, 2)
    gate = torch.ones(1, 1)
    read = {
        normaliser: LinearState.empty(key, 1, normaliser)
        .extended(1)
        .seen(key)
        .written(key, value, gate)
        .read(key)
        .flatten()
        for normaliser in ("place", "regression")
    }
    torch.testing.assert_close(read["place"], torch.tensor([2 / 3, 1 / 3]))
    torch.testing.assert_close(read["regression"], torch.tensor([1.0, 0.0]), atol=0.01, rtol=0)


def test_states_do_not_change():
    key = torch.rand(1, KEY, *SIZE)
    state = LinearState.empty(key, VALUE).extended(1)
    kept = state.matrix.clone(), state.key_sums.clone()
    state.seen(key).written(key, torch.rand(1, VALUE, *SIZE), torch.rand(1, VALUE)).extended(1)
    assert torch.equal(state.matrix, kept[0])
    assert torch.equal(state.key_sums, kept[1])
