"""Synthetic clips: the same bytes for the same seed, exact labels, and a hard life."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mose.synthetic import PRESETS, SyntheticConfig, iter_frames, make_clip
from mose.synthetic.motion import Absence, pacing
from mose.synthetic.render import Light, Pose, Shot, draw
from mose.synthetic.shapes import Body, Part
from mose.synthetic.stats import clip_stats, summary
from mose.video import Video
from stseg.errors import InputError


def test_same_seed_same_bytes():
    first = make_clip(11, 6, 64, 80, 2)
    again = make_clip(11, 6, 64, 80, 2)
    other = make_clip(12, 6, 64, 80, 2)
    for name in ("frames", "labels", "whole"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.frames, other.frames)


def test_frames_stream_what_make_clip_collects():
    clip = make_clip(5, 5, 64, 64, 2, "hard")
    for index, frame in enumerate(iter_frames(5, 5, 64, 64, 2, "hard")):
        assert np.array_equal(frame.image, clip.frames[index])
        assert np.array_equal(frame.labels, clip.labels[index])


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**62),
    size=st.tuples(st.integers(40, 97), st.integers(40, 97)),
    objects=st.integers(1, 5),
    preset=st.sampled_from(sorted(PRESETS)),
)
def test_every_object_is_prompted_in_the_first_frame(seed, size, objects, preset):
    height, width = size
    clip = make_clip(seed, 2, height, width, objects, preset)
    assert clip.frames.shape == (2, height, width, 3)
    assert clip.labels.shape == (2, height, width)
    assert clip.frames.dtype == clip.labels.dtype == np.uint8
    assert clip.labels.max() <= objects
    least = max(16, PRESETS[preset].min_area * height * width)
    assert (clip.visible[0] >= least).all()
    assert (clip.visible <= clip.whole).all()
    assert list(clip.prompts) == [0]


def test_a_crowd_has_room():
    for seed in range(6):
        clip = make_clip(seed, 1, 96, 96, 20, "hard", object_size=(0.6, 0.9))
        assert set(np.unique(clip.labels)) >= set(range(1, 21))


def test_late_objects_are_prompted_where_they_first_occur():
    late = 0
    for seed in range(8):
        clip = make_clip(seed, 16, 64, 64, 3, late=1.0, leave=0.0, hide=0.0)
        video = Video.from_arrays(clip.frames, clip.prompts)
        assert 1 in video.prompts.ids(0)
        for index, mask in clip.prompts.items():
            areas = np.bincount(mask.reshape(-1), minlength=4)[1:]
            assert all(a >= 16 for a in areas[areas > 0])
            assert all((clip.labels[:index] != k + 1).all() for k in np.flatnonzero(areas))
            late += index > 0
    assert late >= 6


def test_objects_vanish_return_and_are_occluded():
    """The shares that the preset promises, loosely."""
    clips = [clip_stats(iter_frames(seed, 24, 64, 64, 3)) for seed in range(20)]
    shares = summary(clips)
    assert 0.3 <= shares["share of clips with a disappearance"] <= 0.9
    assert 0.25 <= shares["share of clips with a return"] <= 0.9
    assert shares["share of clips with an occlusion"] >= 0.5
    assert shares["share of objects that touch another"] >= 0.3
    assert 0.02 <= shares["mean object area (share of frame)"] <= 0.2


def test_without_the_knobs_nothing_vanishes():
    calm = {"leave": 0.0, "hide": 0.0, "props": 0, "distractors": 0, "speed": 0.0, "camera": 0.0}
    for seed in range(5):
        clip = make_clip(seed, 12, 64, 64, 1, motion_blur=0.0, **calm)
        assert (clip.labels == clip.labels[0]).all()
        assert clip_stats(iter_frames(seed, 12, 64, 64, 1, **calm)).disappearing == 0


def test_stats_count_a_known_history():
    from mose.synthetic import Frame

    areas = [4, 4, 0, 0, 4, 1]
    whole = [4, 4, 4, 0, 4, 4]
    frames = []
    for area, full in zip(areas, whole, strict=True):
        labels = np.zeros((4, 4), np.uint8)
        labels.reshape(-1)[:area] = 1
        frames.append(Frame(np.zeros((4, 4, 3), np.uint8), labels, np.array([full])))
    stats = clip_stats(frames)
    assert (stats.objects, stats.disappearing, stats.returning) == (1, 1, 1)
    assert stats.occlusions == 2  # fully covered in frame 2, mostly in frame 5
    assert stats.area == pytest.approx((4 + 4 + 4 + 1) / 4 / 16)


@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.floats(5, 9), st.floats(0.1, 0.7))
def test_coverage_of_a_square(dx, dy, half, angle):
    """It has the square's middle and its borders to within half a pixel."""
    square = Part(np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]))
    pose = Pose(15.5 + dx, 15.5 + dy, half, angle)
    patch = draw(Body([square], (0,)), None, Shot(pose, Light(1, 0, 0), 0.0, 32, 32))
    assert patch is not None
    alpha = np.zeros((32, 32))
    patch.over(alpha)[...] = patch.alpha
    assert alpha.min() == 0
    assert alpha.max() == 1
    for area in (alpha.sum(), np.count_nonzero(alpha > 0.5)):
        assert 2 * half - 0.2 <= np.sqrt(area) <= 2 * half + 1
    steps = np.arange(32)
    assert (alpha.sum(0) @ steps) / alpha.sum() == pytest.approx(15.5 + dx, abs=0.5)
    assert (alpha.sum(1) @ steps) / alpha.sum() == pytest.approx(15.5 + dy, abs=0.5)


def test_drawing_for_coverage_and_for_colour_agree():
    """Layout decides by coverage alone, so it must be the coverage that is painted."""
    from mose.synthetic.casting import build
    from mose.synthetic.config import resolve

    rng = np.random.Generator(np.random.PCG64(3))
    scene = build(rng, resolve("hard"), 12, 80, 80, 4)
    drawn = 0
    for figure in scene.figures:
        shot = scene.shot(figure, 3)
        shape = draw(figure.body, None, shot)
        paint = draw(figure.body, figure.skin, shot)
        if shape is None or paint is None or paint.colour is None:
            assert shape is paint
            continue
        drawn += 1
        assert np.array_equal(shape.alpha, paint.alpha)
        assert paint.colour[paint.alpha == 0].max(initial=0) < 1e-3
    assert drawn >= 4


@given(st.integers(0, 1000), st.floats(0, 1), st.floats(0, 500), st.floats(0.01, 20))
def test_time_never_runs_backwards(seed, strength, time, step):
    shift = pacing(np.random.Generator(np.random.PCG64(seed)), strength)
    assert time + step + shift(time + step) >= time + shift(time) - 1e-9


def test_an_absence_goes_and_comes_back():
    away = Absence(start=2, rise=4, hold=3, cycle=50)
    track = [away(t) for t in range(60)]
    assert track[:3] == [0, 0, 0]
    assert all(track[t] == 1 for t in range(6, 10))
    assert track[13:52] == [0] * 39
    assert track[56] == 1


def test_memory_does_not_grow_with_length():
    """Peak Python memory of 60 frames against 12 frames of the same kind."""

    def peak(frames: int) -> int:
        digest = hashlib.sha256()
        tracemalloc.start()
        for frame in iter_frames(2, frames, 48, 48, 2):
            digest.update(frame.image)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(1)
    assert peak(60) < 1.3 * peak(12) + 200_000


def test_bad_arguments_are_named():
    for arguments, words in (
        ({"frames": 0}, "frames is 0"),
        ({"height": 8}, "height is 8"),
        ({"objects": 0}, "objects is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"height": 32, "width": 32, "objects": 30}, "have no room"),
        ({"config": "harder"}, "did you mean 'hard'"),
        ({"leaves": 0.5}, "did you mean 'leave'"),
        ({"leave": 2}, "'leave' is 2"),
        ({"object_size": (0.5, 0.2)}, "two rising numbers"),
        ({"distractors": 1.5}, "a whole number"),
    ):
        with pytest.raises(InputError, match=words):
            make_clip(**{"seed": 0, **arguments})


def test_every_knob_documents_its_range():
    names = [knob.name for knob in dataclasses.fields(SyntheticConfig)]
    assert all(f"\n    {name} " in (SyntheticConfig.__doc__ or "") for name in names)
    for knob, end in itertools.product(dataclasses.fields(SyntheticConfig), (0, 1)):
        limit = knob.metadata["range"][end]
        value = (limit, limit) if isinstance(knob.default, tuple) else limit
        clip = make_clip(1, 2, 40, 40, 1, **{knob.name: value})
        assert clip.visible[0, 0] >= 16
