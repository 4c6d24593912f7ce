"""Packed masks behave as the arrays they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from selection.metrics.bits import BitPlane, runs, sparse_nonzero
from selection.metrics.boundary import core, disk

HEIGHT, WIDTH = 30, 200
TOP, FIRST = 80, 2


def unpack(plane: BitPlane) -> np.ndarray:
    """The plane on a canvas whose row TOP and word FIRST are the frame's first."""
    octets = np.ascontiguousarray(plane.words).view(np.uint8)
    pixels = np.unpackbits(octets, axis=1, bitorder="little").astype(bool)
    canvas = np.zeros((HEIGHT + 2 * TOP, WIDTH + 4 * 64 * FIRST), bool)
    top, left = plane.top + TOP, (plane.first + FIRST) * 64
    canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return canvas


@st.composite
def placed(draw) -> BitPlane:
    """A sparse or dense part of a mask somewhere in the frame."""
    top, first = draw(st.integers(0, HEIGHT - 1)), draw(st.integers(0, 2))
    shape = (draw(st.integers(1, HEIGHT - top)), draw(st.integers(1, WIDTH - 64 * first)))
    chance = draw(st.sampled_from([0.002, 0.05, 0.5, 1.0]))
    mask = np.random.default_rng(draw(st.integers(0, 10**6))).random(shape) < chance
    return BitPlane.pack(mask, top, first)


@settings(max_examples=80, deadline=None)
@given(placed(), placed())
def test_counting_and_taking_away(one, other):
    a, b = unpack(one), unpack(other)
    assert len(one) == a.sum()
    assert one.common(other) == other.common(one) == (a & b).sum()
    rest = one.without(other)
    assert (unpack(rest) == (a & ~b)).all()
    assert rest.words.size == 0 or rest.words[[0, -1]].any(axis=1).all()
    assert (unpack(one) == a).all()


@settings(max_examples=25, deadline=None)
@given(placed(), st.sampled_from([0.2, 0.7, 1.0, 2.4, 5.0, 17.6, 18.0, 70.5]))
def test_dilation_is_a_union_of_moved_masks(plane, radius):
    for offsets in (disk(radius), core(radius)):
        wanted = np.zeros_like(unpack(plane))
        rows, columns = np.nonzero(unpack(plane))
        for row, (first, last) in offsets.items():
            for column in range(first, last + 1):
                inside = (rows >= row) & (columns >= column)
                wanted[rows[inside] - row, columns[inside] - column] = True
        assert (unpack(plane.dilate(offsets)) == wanted).all()


@settings(max_examples=80, deadline=None)
@given(placed(), placed(), st.sampled_from([0.2, 1.0, 2.4, 5.0, 17.6, 18.0, 31.0]))
def test_pixels_are_reached_one_by_one_as_by_dilation(plane, points, radius):
    offsets = disk(radius)
    assert plane.reached_from(points, offsets) == plane.dilate(offsets).common(points)
    rows, columns = points.coordinates()
    assert np.argwhere(unpack(points)).tolist() == [
        [row + TOP, column + 64 * FIRST] for row, column in zip(rows, columns, strict=True)
    ]


@pytest.mark.parametrize("radius", [0.1, 0.5, 0.9, 1, 1.5, 3, 7.84, 8, 17.63, 18, 36])
def test_the_core_lies_in_the_disk(radius):
    whole = disk(radius)
    for row, (first, last) in core(radius).items():
        assert whole[row][0] <= first <= last <= whole[row][1]


def test_a_whole_radius_gives_the_usual_disk():
    pixels = {(row, column) for row, (a, b) in disk(5.0).items() for column in range(a, b + 1)}
    assert pixels == {(y, x) for y in range(-5, 6) for x in range(-5, 6) if y * y + x * x <= 25}


@given(arrays(np.uint8, st.integers(0, 200), elements=st.sampled_from([0, 0, 0, 1, 128])))
def test_sparse_nonzero(flat):
    assert sparse_nonzero(flat).tolist() == np.flatnonzero(flat).tolist()


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 30)), elements=st.integers(0, 2))
)
def test_runs_rebuild_the_mask(ids):
    rebuilt = np.zeros(ids.size, np.uint8)
    for value, start, length in zip(*runs(ids), strict=True):
        assert start // ids.shape[1] == (start + length - 1) // ids.shape[1]
        rebuilt[start : start + length] = value
    assert (rebuilt.reshape(ids.shape) == ids).all()


def test_runs_of_a_mask_of_several_blocks(monkeypatch):
    monkeypatch.setattr("selection.metrics.bits.BLOCK", 64)
    ids = np.random.default_rng(0).integers(0, 3, (50, 37)).astype(np.uint8).repeat(3, axis=1)
    values, _, lengths = runs(ids)
    assert np.bincount(values, weights=lengths)[1:].tolist() == [(ids == 1).sum(), (ids == 2).sum()]
