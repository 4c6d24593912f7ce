"""Region files of the VOT toolkit."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mose import InputError
from mose.readers.regions import (
    LONGEST_RUN,
    known_frames,
    mask_of_runs,
    parse_trajectory,
    read_trajectory,
    run_lengths,
    trajectory_bytes,
)

planes = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))


@given(planes)
def test_run_lengths_come_back(plane):
    assert np.array_equal(mask_of_runs(run_lengths(plane), *plane.shape), plane)


@given(st.lists(hnp.arrays(bool, (6, 9)), min_size=1, max_size=4))
def test_masks_come_back_from_a_binary_file(masks):
    data = trajectory_bytes([None, *masks])
    assert known_frames(data, "x") == [False] + [True] * len(masks)
    first, *regions = parse_trajectory(data, "x")
    assert first is None
    for region, mask in zip(regions, masks, strict=True):
        assert region is not None
        assert np.array_equal(region.plane(6, 9), mask)


def test_runs_of_nothing():
    assert run_lengths(np.zeros((0, 0), bool)) == [0]


def test_a_run_longer_than_a_number_of_a_binary_file():
    mask = np.zeros((300, 400), bool)
    mask[0, 0] = mask[-1, -1] = True
    assert (mask.size - 2) > LONGEST_RUN
    [region] = parse_trajectory(trajectory_bytes([mask]), "x")
    assert region is not None
    assert np.array_equal(region.plane(300, 400), mask)


def test_lines_of_a_text_file(tmp_path):
    path = tmp_path / "groundtruth_1.txt"
    path.write_text("0\nm2,1,3,2,1,2,3\n1.0,0.0,2.0,3.0\nm-1,0,2,1,0,2\n")
    assert known_frames(path.read_bytes(), "x") == [False, True, True, True]
    unknown, mask, box, outside = read_trajectory(path)
    assert unknown is None
    wanted = np.zeros((4, 6), bool)
    wanted[1, 3:5] = True
    assert np.array_equal(mask.plane(4, 6), wanted)
    assert box.plane(4, 6).sum() == 6
    assert np.flatnonzero(outside.plane(4, 6)).tolist() == [0]


@pytest.mark.parametrize(
    "data",
    [b"m1,1,2,2,9\n", b"1,2,3\n", b"x\n", b"\xff\xfe", struct.pack("<hI", 1, 2),
     struct.pack("<hIB", 1, 1, 9)],
)  # fmt: skip
def test_a_damaged_file_is_one_sentence(data):
    with pytest.raises(InputError, match="region file x is damaged"):
        parse_trajectory(data, "x")


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_trajectory(tmp_path / "nothing.txt")
