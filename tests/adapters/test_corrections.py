"""Corrections, for every adapter of the registry that `tiny_models` can make."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import tiny_models
from tiny_models import texture

import adapters
from mose import InputError, Video

HEIGHT, WIDTH, FRAMES = 64, 96, 9
PICTURES = texture(FRAMES, HEIGHT, WIDTH, 3)


def mask(**boxes: tuple[int, int]) -> np.ndarray:
    """``mask(o7=(top, left))``: object 7 in a box of 24 x 24 pixels."""
    ids = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    for name, (top, left) in boxes.items():
        ids[top : top + 24, left : left + 24] = int(name[1:])
    return ids


FIRST = mask(o2=(0, 0), o5=(32, 64))
MOVED = mask(o2=(8, 40))
AT = 4
SAME = 0.8
"""IoU of a mask with itself after a network, which works at another size."""


def make(corrections=None, gone=None, prompts=None) -> Video:
    given = prompts or {0: FIRST}
    return Video.from_arrays(PICTURES, given, "v", corrections, gone)


@pytest.fixture(scope="module", params=tiny_models.names())
def segmenter(request, tmp_path_factory) -> adapters.Segmenter:
    folder = tmp_path_factory.mktemp(request.param)
    return tiny_models.load(request.param, folder, [make()], device="cpu")


def labels(segmenter: adapters.Segmenter, video: Video) -> list[np.ndarray]:
    return [frame.labels(HEIGHT, WIDTH) for frame in segmenter.segment(video)]


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max((one | other).sum(), 1))


def test_a_corrected_object_has_its_mask_on_that_frame(segmenter):
    """As closely as a first mask on it would."""
    video = make({AT: MOVED})
    found = labels(segmenter, video)[AT] == 2
    assert overlap(found, MOVED == 2) > SAME


def test_frames_before_a_correction_are_as_without(segmenter):
    plain, corrected = labels(segmenter, make()), labels(segmenter, make({AT: MOVED}))
    for before, now in zip(plain[:AT], corrected[:AT], strict=True):
        np.testing.assert_array_equal(before, now)


def test_others_keep_what_the_corrected_object_does_not_claim(segmenter):
    plain = list(segmenter.segment(make()))[AT]
    before = plain.probabilities(HEIGHT, WIDTH)[plain.object_ids.index(5)]
    now = labels(segmenter, make({AT: MOVED}))[AT] == 5
    near = cv2.dilate(MOVED, np.ones((9, 9), np.uint8)) > 0
    assert now[(before > 0.6) & ~near].all()
    assert not now[(before < 0.4) & (plain.labels(HEIGHT, WIDTH) != 2)].any()


def test_later_frames_follow_from_the_correction(segmenter):
    if segmenter.name == "folder":
        return
    plain, corrected = segmenter.segment(make()), segmenter.segment(make({AT: MOVED}))
    changed = [
        not np.array_equal(a.probabilities(HEIGHT, WIDTH)[0], b.probabilities(HEIGHT, WIDTH)[0])
        for a, b in zip(plain, corrected, strict=True)
    ]
    assert all(changed[AT:])


def test_an_object_that_is_gone_has_no_pixel_and_no_presence(segmenter):
    frames = list(segmenter.segment(make(gone={AT: [2]})))
    assert not (frames[AT].labels(HEIGHT, WIDTH) == 2).any()
    assert frames[AT].presence[frames[AT].object_ids.index(2)] < 0.5
    assert len(frames) == FRAMES


def test_all_objects_corrected_new_ones_on_the_same_frame_and_one_that_was_gone(segmenter):
    late = mask(o7=(36, 0))
    both = mask(o2=(8, 40), o5=(32, 70))
    video = make({AT: both, 6: mask(o2=(4, 4))}, {5: [2]}, {0: FIRST, AT: late})
    if segmenter.name == "folder":
        return
    frames = list(segmenter.segment(video))
    expected = np.where(both > 0, both, late)
    found = frames[AT].labels(HEIGHT, WIDTH)
    for object_id in (2, 5, 7):
        assert overlap(found == object_id, expected == object_id) > SAME
    assert overlap(frames[6].labels(HEIGHT, WIDTH) == 2, mask(o2=(4, 4)) == 2) > SAME
    assert [frame.index for frame in frames] == list(range(FRAMES))


def test_a_correction_on_every_frame_is_answered_with(segmenter):
    """More than a memory keeps."""
    moving = {t: mask(o2=(2 * t, 4 * t)) for t in range(1, FRAMES)}
    for t, found in enumerate(labels(segmenter, make(moving))[1:], 1):
        assert overlap(found == 2, moving[t] == 2) > SAME


def test_an_excerpt_is_a_video(segmenter):
    if segmenter.name == "folder":
        return
    part = make({AT: MOVED}).excerpt({0: FIRST, 2: mask(o2=(2, 2))}, 3, 7)
    found = labels(segmenter, part)
    assert len(found) == 6
    assert overlap(found[1] == 2, mask(o2=(2, 2)) == 2) > SAME
    assert overlap(found[3] == 2, MOVED == 2) > SAME


def test_a_correction_before_the_given_mask_is_bad_input(segmenter):
    with pytest.raises(InputError, match="before its given mask"):
        list(segmenter.segment(make({1: MOVED}, prompts={2: FIRST})))
