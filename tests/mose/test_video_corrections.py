"""Corrections of a video: what they mean, what is refused, and excerpts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mose import InputError, Video, open_video
from mose.corrections import GivenMasks, masks_in_turn
from mose.masks import write_mask

HEIGHT, WIDTH, FRAMES = 12, 16, 6
PICTURES = np.random.default_rng(0).integers(0, 255, (FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)


def mask(**boxes: tuple[int, int, int, int]) -> np.ndarray:
    """``mask(o7=(top, left, height, width))``: object 7 in that box."""
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    for name, (top, left, height, width) in boxes.items():
        ids[top : top + height, left : left + width] = int(name[1:])
    return ids


FIRST = mask(o1=(0, 0, 4, 4), o2=(6, 6, 4, 4))
MOVED = mask(o1=(2, 2, 4, 4))


def video(corrections=None, gone=None) -> Video:
    prompts = {0: FIRST, 2: mask(o5=(0, 10, 3, 3))}
    return Video.from_arrays(PICTURES, prompts, "v", corrections, gone)


def folders(root: Path, corrections: dict[str, np.ndarray], given: np.ndarray = FIRST) -> Path:
    """A video on disk with corrections beside it; returns the folder of these."""
    for name in ("frames", "masks", "corrections"):
        (root / name).mkdir()
    for index, picture in enumerate(PICTURES):
        Image.fromarray(picture).save(root / "frames" / f"{index:05d}.jpg")
    write_mask(root / "masks" / "00000.png", given)
    for name, ids in corrections.items():
        write_mask(root / "corrections" / name, ids)
    return root / "corrections"


def opened(root: Path) -> Video:
    found = open_video(root / "frames", root / "masks", "v", corrections=root / "corrections")
    found.check_prompts()
    return found


def test_a_correction_is_of_the_objects_that_it_holds():
    given = video({3: MOVED}).given(3)
    assert given is not None
    assert (given.new, given.corrected, given.gone) == ((), (1,), ())
    np.testing.assert_array_equal(given.mask, MOVED)


def test_frames_without_masks_bring_nothing_and_prompts_are_as_before():
    given = video({3: MOVED}).given(2)
    assert given is not None
    assert (given.new, given.corrected) == ((5,), ())
    assert video({3: MOVED}).given(4) is None


def test_an_object_that_is_gone_has_no_pixel():
    given = video(gone={3: [2]}).given(3)
    assert given is not None
    assert (given.corrected, given.gone, given.mask.any()) == ((2,), (2,), False)


def test_an_empty_mask_says_that_all_who_were_there_are_gone():
    given = video({2: mask()}).given(2)
    assert given is not None
    assert (given.new, given.corrected, given.gone) == ((5,), (1, 2), (1, 2))


def test_painting_removes_the_old_pixels_of_corrected_objects_alone():
    given = video({3: MOVED}, {3: [2]}).given(3)
    assert given is not None
    old = mask(o1=(0, 0, 4, 4), o2=(6, 6, 4, 4), o5=(4, 4, 4, 4))
    expected = np.where(MOVED > 0, MOVED, np.where(old == 5, 5, 0))
    np.testing.assert_array_equal(given.painted(old), expected)


def test_a_new_object_leaves_its_pixels_to_a_corrected_one():
    given = video({2: mask(o1=(0, 9, 3, 3))}).given(2)
    assert given is not None
    assert (given.new, given.corrected) == ((5,), (1,))
    np.testing.assert_array_equal(given.mask, mask(o5=(0, 10, 3, 3), o1=(0, 9, 3, 3)))


@pytest.mark.parametrize(
    ("corrections", "gone", "message"),
    [
        ({6: MOVED}, {}, "given for frame 6, but there are 6 frames"),
        ({}, {7: [1]}, "given for frame 7, but there are 6 frames"),
        ({1: MOVED[:5]}, {}, r"mask of frame 1 is 5 x 16, but the frames are 12 x 16"),
        ({1: MOVED.astype(float)}, {}, "expected .* uint8 ids"),
        ({1: mask(o9=(0, 0, 2, 2))}, {}, "object 9, which no given mask"),
        ({}, {1: [9]}, "object 9, which no given mask"),
        ({1: mask(o5=(0, 0, 2, 2))}, {}, "corrects object 5 before its given mask .frame 00002"),
        ({2: mask(o5=(0, 0, 2, 2))}, {}, "corrects object 5 on the frame of its given mask"),
        ({3: MOVED}, {3: [1]}, "pixels of object 1, which is said to be gone"),
    ],
)
def test_what_says_nothing_of_the_video_is_bad_input(corrections, gone, message):
    with pytest.raises(InputError, match=message):
        video(corrections, gone)


def test_corrections_are_part_of_the_fingerprint(tmp_path):
    plain = video()
    assert plain.fingerprint() == video({}, {}).fingerprint()
    others = [video({3: MOVED}), video({4: MOVED}), video(gone={3: [1]}), video({3: mask()})]
    assert len({v.fingerprint() for v in (plain, *others)}) == 5
    folder = folders(tmp_path, {"00003.png": MOVED})
    before = opened(tmp_path).fingerprint()
    write_mask(folder / "00003.png", np.where(MOVED, 2, 0).astype(np.uint8))
    assert opened(tmp_path).fingerprint() != before


def test_the_first_mask_of_an_object_is_its_prompt_and_later_ones_correct_it():
    both, one = np.array([[1, 2]], np.uint8), np.array([[0, 1]], np.uint8)
    masks = [
        GivenMasks((1,), (), one),
        None,
        GivenMasks((2,), (1,), both),
        GivenMasks((), (1, 2), one),
    ]
    prompts, corrections, gone = masks_in_turn(masks)
    assert {place: mask.tolist() for place, mask in prompts.items()} == {0: [[0, 1]], 2: [[0, 2]]}
    assert {place: mask.tolist() for place, mask in corrections.items()} == {
        2: [[1, 0]],
        3: [[0, 1]],
    }
    assert gone == {3: (2,)}


def test_a_folder_holds_masks_and_who_is_gone(tmp_path):
    folder = folders(tmp_path, {"00003.png": MOVED})
    (folder / "gone.json").write_text(json.dumps({"00003": [2], "4": [1]}))
    found = opened(tmp_path)
    assert {t: found.corrections[t].ids for t in found.corrections} == {3: (1, 2), 4: (1,)}
    assert set(found.corrections.paths()) == {folder / "00003.png", folder / "gone.json"}


def test_255_is_the_object_of_a_video_that_has_one(tmp_path):
    folders(tmp_path, {"00003.png": np.where(MOVED, 255, 0)}, np.where(FIRST == 2, 7, 0))
    given = opened(tmp_path).given(3)
    assert given is not None
    np.testing.assert_array_equal(given.mask, np.where(MOVED, 7, 0))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("00009.png", MOVED, "00009.png belongs to no frame"),
        ("last.png", MOVED, "last.png has a name that is not a number"),
        ("00003.png", np.where(MOVED, 255, 0), "0 and 255 alone, and its video has 2 objects"),
        ("00003.png", MOVED[:5], "00003.png is 5 x 16, but the frames of video v are 12 x 16"),
        ("gone.json", '{"00009": [1]}', "entry 00009 of .* belongs to no frame"),
        ("gone.json", "[3]", "gone.json is damaged"),
    ],
)
def test_a_damaged_folder_is_bad_input(tmp_path, name, content, message):
    folder = folders(tmp_path, {} if isinstance(content, str) else {name: content})
    if isinstance(content, str):
        (folder / name).write_text(content)
    with pytest.raises(InputError, match=message):
        opened(tmp_path)


def test_another_source_of_frames_keeps_corrections():
    flipped = video({3: MOVED}, {4: [1, 2]}).over(PICTURES[:, :, ::-1], lambda m: m[:, ::-1])
    given = flipped.given(3)
    assert given is not None
    np.testing.assert_array_equal(given.mask, MOVED[:, ::-1])
    assert flipped.corrections.ids(4) == (1, 2)


def test_an_excerpt_has_memory_first_then_the_stretch():
    whole = video({4: MOVED}, {3: [2]})
    part = whole.excerpt({0: FIRST, 1: MOVED}, 3, 5)
    assert list(part.indices) == [0, 1, 3, 4]
    assert part.frame_names == ("00000", "00001", "00003", "00004")
    np.testing.assert_array_equal(np.stack(list(part)), PICTURES[[0, 1, 3, 4]])
    assert part.prompts.ids(0) == (1, 2)
    assert {t: part.corrections[t].ids for t in part.corrections} == {1: (1,), 2: (2,), 3: (1,)}
    part.check_prompts()


def test_an_excerpt_follows_objects_that_appear_in_it():
    part = video().excerpt({0: np.where(FIRST == 1, 1, 0).astype(np.uint8)}, 1, 4)
    assert [part.prompts.ids(t) for t in range(4)] == [(1,), (), (5,), ()]


def test_a_mask_of_the_stretch_corrects_who_is_in_memory():
    part = video().excerpt({3: mask(o5=(1, 9, 3, 3))}, 1, 3)
    assert part.object_ids == (5,)
    assert part.corrections.ids(2) == (5,)


def test_an_excerpt_may_run_backwards():
    part = video({3: MOVED}).excerpt({5: MOVED}, 4, -1)
    assert list(part.indices) == [5, 4, 3, 2, 1, 0]
    assert part.corrections.ids(2) == (1,)
    assert part.corrections.ids(5) == (1,)
    assert part.prompts.ids(5) == (2,)


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (6, 7), (0, 7), (-1, 2)])
def test_an_excerpt_of_no_frames_is_bad_input(start, stop):
    with pytest.raises(InputError, match="has 6 frames"):
        video().excerpt({0: FIRST}, start, stop)
