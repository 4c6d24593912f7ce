"""Spans: the frames of an object that go to one candidate."""

from hypothesis import given
from hypothesis import strategies as st

from selection.spans import (
    candidate_at,
    candidates_of,
    differing,
    most_used,
    spans_between,
    stored_plan,
    whole,
)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=20))
def test_spans_say_of_every_frame_what_it_was_made_of(frames):
    starts = [(t, name) for t, name in enumerate(frames) if t == 0 or name != frames[t - 1]]
    spans = spans_between(starts, len(frames))
    assert [candidate_at(spans, index) for index in range(len(frames))] == frames
    assert candidates_of(spans) == tuple(dict.fromkeys(frames))
    assert frames.count(most_used(spans)) == max(map(frames.count, frames))
    assert stored_plan({7: spans}) == {"7": [list(start) for start in starts]}


@given(st.lists(st.tuples(*[st.sampled_from("abc")] * 2), min_size=1, max_size=20))
def test_spans_differ_where_their_frames_do(frames):
    before, after = (
        spans_between(list(enumerate(names)), len(frames)) for names in zip(*frames, strict=True)
    )
    parts = differing(before, after)
    found = {t: name for start, stop, name in parts for t in range(start, stop)}
    assert found == {t: new for t, (old, new) in enumerate(frames) if old != new}
    assert sum(part.stop - part.start for part in parts) == len(found)


def test_the_earlier_of_equals_is_used_most_and_nothing_falls_back():
    assert most_used(spans_between([(0, "b"), (2, "a")], 4)) == "b"
    assert most_used((), "d") == "d"
    assert whole("a", 3) == ((0, 3, "a"),)
