"""Decoding ahead changes nothing but when frames are read, and holds few of them."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mose import InputError, Video
from mose.prefetch import prefetched
from mose.video import Prompts


class Source:
    """Counts its readers; frame ``bad`` cannot be read."""

    def __init__(self, length, bad=None):
        self.length, self.bad, self.read, self.lock = length, bad, [], threading.Lock()

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        with self.lock:
            self.read.append(index)
        if index == self.bad:
            raise InputError(f"frame {index} is damaged")
        return np.full((4, 5, 3), index, np.uint8)


def video(source):
    return Video("v", source, Prompts({0: np.ones((4, 5), np.uint8)}))


@given(order=st.lists(st.integers(0, 11), max_size=20), ahead=st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_frames_are_the_same_in_any_order(order, ahead):
    with prefetched(video(Source(12)), ahead) as ready:
        assert [int(ready[i][0, 0, 0]) for i in order] == order
        assert ready.object_ids == (1,)


def test_every_frame_is_read_once_in_order_and_not_too_early():
    source = Source(30)
    with prefetched(video(source), ahead=3) as ready:
        ready[0]
        assert max(source.read) <= 3
        for index in range(1, 30):
            ready[index]
    assert sorted(set(source.read)) == list(range(30))
    assert len(source.read) <= 33  # the first one also gives the size


def test_damaged_frame_is_told_when_it_is_asked_for():
    with prefetched(video(Source(9, bad=5)), ahead=8) as ready:
        for index in range(5):
            ready[index]
        with pytest.raises(InputError, match="frame 5 is damaged"):
            ready[5]
        assert ready[6][0, 0, 0] == 6
