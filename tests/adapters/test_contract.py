"""The Segmenter contract, for every adapter of the registry that `tiny_models` can make."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import tiny_models
from tiny_models import texture

import adapters
from adapters import registry
from adapters.expansion import labels_of
from adapters.listing import describe_all
from mose import InputError, Video
from mose.video import Prompts
from stseg.config import keys

HEIGHT, WIDTH = 40, 56


def mask(size: tuple[int, int] = (HEIGHT, WIDTH), **boxes: tuple[int, int, int, int]) -> np.ndarray:
    """``mask(o7=(top, left, height, width))``: object 7 in that box."""
    ids = np.zeros(size, dtype=np.uint8)
    for name, (top, left, height, width) in boxes.items():
        ids[top : top + height, left : left + width] = int(name[1:])
    return ids


def make_videos() -> dict[str, Video]:
    """Every kind of video that an adapter must take."""
    frames = texture(4, HEIGHT, WIDTH, 3)
    two = mask(o1=(4, 4, 16, 20), o2=(22, 30, 14, 20))
    gaps = mask(o3=(4, 4, 16, 20), o200=(22, 30, 14, 20))
    late = mask(o7=(22, 2, 14, 18))
    wide = texture(3, 33, 100, 3)
    given = {
        "two": (frames, {0: two}),
        "gaps": (frames, {0: gaps}),
        "late": (frames, {0: gaps, 2: late}),
        "late-overlapping": (frames, {0: two, 1: mask(o9=(0, 0, HEIGHT, WIDTH))}),
        "late-lower-id": (frames, {0: mask(o9=(4, 4, 16, 20)), 1: mask(o3=(22, 30, 14, 20))}),
        "starts-later": (frames, {2: two}),
        "on-the-last-frame": (frames, {3: two}),
        "labelled": (frames, {0: two, 1: two, 2: two, 3: two}),
        "one-frame": (frames[:1], {0: two}),
        "one-pixel": (texture(3, 1, 1, 3), {0: np.full((1, 1), 4, np.uint8)}),
        "one-pixel-object": (frames, {0: mask(o1=(20, 20, 1, 1))}),
        "whole-frame": (frames, {0: mask(o1=(0, 0, HEIGHT, WIDTH))}),
        "thin": (texture(3, 3, 70, 3), {0: mask((3, 70), o1=(0, 10, 3, 20))}),
        "odd": (wide, {0: mask((33, 100), o1=(3, 5, 20, 31))}),
        "grey": (texture(3, HEIGHT, WIDTH), {0: two}),
        "flat": (np.full((3, HEIGHT, WIDTH, 3), 128, np.uint8), {0: two}),
        "strided": (texture(3, WIDTH * 2, HEIGHT, 3)[:, ::-2].transpose(0, 2, 1, 3), {0: two}),
        "read-only": (np.broadcast_to(frames[:1], (3, HEIGHT, WIDTH, 3)), {0: two}),
    }
    return {name: Video.from_arrays(f, p, name) for name, (f, p) in given.items()}


VIDEOS = make_videos()


@pytest.fixture(scope="module", params=tiny_models.names())
def segmenter(request, tmp_path_factory) -> adapters.Segmenter:
    folder = tmp_path_factory.mktemp(request.param)
    return tiny_models.load(request.param, folder, VIDEOS.values(), device="cpu")


def same(one: adapters.FrameMasks, other: adapters.FrameMasks) -> bool:
    """Whether two answers for a frame are equal, number by number."""
    return (
        (one.index, one.object_ids) == (other.index, other.object_ids)
        and np.array_equal(one.presence, other.presence)
        and np.array_equal(one.confidence, other.confidence)
        and np.array_equal(one.native, other.native)
    )


@pytest.mark.parametrize("video", VIDEOS.values(), ids=VIDEOS.keys())
def test_one_answer_per_frame(segmenter, video):
    answers = list(segmenter.segment(video))
    assert [frame.index for frame in answers] == list(range(len(video)))
    before: tuple[int, ...] = ()
    for frame in answers:
        given = {i for t in video.prompts if t <= frame.index for i in video.prompts.ids(t)}
        assert set(frame.object_ids) == given
        assert frame.object_ids[: len(before)] == before
        before = frame.object_ids
        check_values(frame, video.height, video.width)


def check_values(frame: adapters.FrameMasks, height: int, width: int) -> None:
    """Shapes, types and ranges, and that ids and probabilities tell the same."""
    count = len(frame.object_ids)
    assert len(set(frame.object_ids)) == count
    for numbers in (frame.presence, frame.confidence):
        assert numbers.shape == (count,)
        assert numbers.dtype == np.float32
        assert ((numbers >= 0) & (numbers <= 1)).all()
    for size in ((height, width), (height * 2 + 1, width + 3)):
        probabilities = frame.probabilities(*size)
        assert probabilities.shape == (count, *size)
        assert probabilities.dtype == np.float32
        assert np.isfinite(probabilities).all()
        assert (probabilities >= 0).all()
        assert (probabilities.sum(axis=0) <= 1 + 1e-3).all()
        labels = frame.labels(*size)
        assert labels.shape == size
        assert labels.dtype == np.uint8
        assert np.array_equal(labels, labels_of(probabilities, frame.object_ids))


def test_frames_are_read_one_after_another(segmenter):
    read: list[int] = []

    class Counting:
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int, /) -> np.ndarray:
            read.append(index)
            return np.ascontiguousarray(VIDEOS["two"][index])

    given = VIDEOS["two"].prompts[0]
    video = Video("two", Counting(), Prompts({0: given}))
    assert video.height == HEIGHT
    read.clear()
    answers = segmenter.segment(video)
    assert read == []
    for seen in range(1, 5):
        next(answers)
        assert len(read) <= seen
    assert next(answers, None) is None


def test_videos_do_not_mix(segmenter):
    """Two videos at once on one segmenter give what each gives alone, twice."""
    names = ("late", "two")
    alone = [list(segmenter.segment(VIDEOS[name])) for name in names]
    together = zip(*(segmenter.segment(VIDEOS[name]) for name in names), strict=True)
    for both, expected in zip(together, zip(*alone, strict=True), strict=True):
        assert all(same(one, other) for one, other in zip(both, expected, strict=True))


def test_answers_stay_as_they_were(segmenter):
    """A frame's arrays are not written to when later frames are computed."""
    kept = list(segmenter.segment(VIDEOS["late"]))
    for frame, now in zip(kept, segmenter.segment(VIDEOS["late"]), strict=True):
        assert same(frame, now)


def test_a_video_left_early_leaves_no_trace(segmenter):
    expected = list(segmenter.segment(VIDEOS["two"]))
    answers = segmenter.segment(VIDEOS["late"])
    next(answers)
    answers.close()
    for frame, now in zip(expected, segmenter.segment(VIDEOS["two"]), strict=True):
        assert same(frame, now)


@pytest.mark.parametrize("prompts", [{}, {0: mask()}], ids=["no mask", "empty mask"])
def test_a_video_without_objects_is_bad_input(segmenter, prompts):
    video = Video.from_arrays(texture(2, HEIGHT, WIDTH, 3), prompts, "two")
    with pytest.raises(InputError, match="no object to follow"):
        next(iter(segmenter.segment(video)))


def test_a_mask_of_another_size_is_bad_input(segmenter):
    frames = list(texture(2, HEIGHT, WIDTH, 3))
    video = Video("two", frames, Prompts({0: np.ones((5, 6), np.uint8)}))
    with pytest.raises(InputError, match="5 x 6, but the frames"):
        next(iter(segmenter.segment(video)))


@pytest.mark.parametrize("name", registry.names())
class TestEveryAdapter:
    def test_describes_itself(self, name):
        found = registry.get(name)
        assert found.name == name
        assert found.summary
        listed = next(entry for entry in describe_all() if entry.name == name)
        assert (listed.summary, listed.extra, listed.needs_weights) == (
            found.summary,
            found.extra,
            found.needs_weights,
        )

    def test_documents_every_option(self, name):
        options = registry.get(name).Options
        assert all(key.doc for key in keys(options))
        options()

    def test_refuses_an_unknown_option(self, name):
        with pytest.raises(InputError, match="unknown option 'no_such_option'"):
            registry.get(name).parse_options({"no_such_option": 1})

    def test_refuses_weights_that_do_not_fit(self, name, tmp_path):
        if not registry.get(name).needs_weights:
            with pytest.raises(InputError, match="takes no weights"):
                adapters.load(name, weights=tmp_path / "x.pth")
            return
        with pytest.raises(InputError, match="needs weights"):
            adapters.load(name)
        with pytest.raises(InputError, match=r"x\.pth"):
            adapters.load(name, weights=tmp_path / "x.pth")
        Path(tmp_path / "x.pth").write_bytes(b"no checkpoint")
        with pytest.raises(InputError, match=r"x\.pth"):
            adapters.load(name, weights=tmp_path / "x.pth")


@pytest.mark.parametrize("name", tiny_models.names())
@pytest.mark.parametrize("device", ["tpu", "cuda:99"])
def test_a_device_that_is_not_there_is_bad_input(name, device, tmp_path):
    with pytest.raises(InputError, match="device"):
        tiny_models.load(name, tmp_path, [VIDEOS["two"]], device=device)


def test_unknown_adapters_are_bad_input():
    with pytest.raises(InputError, match="unknown adapter 'flwo': did you mean 'flow'"):
        adapters.load("flwo")


def test_ids_are_not_positions():
    """The same masks under other ids give the same planes: an id is a name only."""
    frames = texture(3, HEIGHT, WIDTH, 3)
    boxes = [(4, 4, 16, 20), (22, 30, 14, 20)]
    one = Video.from_arrays(frames, {0: mask(o1=boxes[0], o2=boxes[1])})
    other = Video.from_arrays(frames, {0: mask(o50=boxes[0], o254=boxes[1])})
    flow = adapters.load("flow")
    for a, b in itertools.islice(zip(flow.segment(one), flow.segment(other), strict=True), 3):
        assert np.array_equal(a.native, b.native)
        renamed = np.array([0, 50, 254], np.uint8)[a.labels(HEIGHT, WIDTH)]
        assert np.array_equal(renamed, b.labels(HEIGHT, WIDTH))
