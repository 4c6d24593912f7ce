"""Masks as runs: there and back, for any mask; and what is no mask is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mose import InputError
from study.review.id_runs import HEAD, LONGEST, decode_runs, encode_runs

MASKS = arrays(
    np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(0, 4)
)


@given(MASKS)
def test_there_and_back(ids):
    assert (decode_runs(encode_runs(ids), ids.shape, {1, 2, 3, 4}) == ids).all()


def test_a_run_longer_than_a_number_holds():
    ids = np.zeros((4200, 4200), np.uint8)
    ids[-1, -5:] = 7
    data = encode_runs(ids)
    assert len(data) == HEAD.size + 4 * 3
    assert ids.size > LONGEST
    assert (decode_runs(data, ids.shape, {7}) == ids).all()


@given(st.binary(max_size=200))
def test_anything_else_is_refused(data):
    try:
        ids = decode_runs(data, (6, 5), {3})
    except InputError:
        return
    assert ids.shape == (6, 5)
    assert set(np.unique(ids)) <= {0, 3}


def test_a_small_upload_makes_no_large_picture():
    with pytest.raises(InputError, match="30000 x 30000"):
        decode_runs(HEAD.pack(30000, 30000, 0), (6, 5), {3})
