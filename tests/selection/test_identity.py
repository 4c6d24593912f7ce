"""Objects that take each other's place are seen, neighbours that only touch are not."""

import numpy as np

from selection.evidence import Evidence
from selection.identity import IdentityWatch, place_of, shared, thin

LEFT, RIGHT = np.s_[10:60, 10:50], np.s_[10:60, 90:130]


def frame(**places):
    ids = np.zeros((100, 160), np.uint8)
    for name, where in places.items():
        ids[where] = int(name[1:])
    return ids


def watch(masks, objects=(3, 200)):
    """Masks by frame, each the candidates' in order; all objects are given on the first."""
    frames = tuple(f"{t:05d}" for t in range(len(masks)))
    names = (*(f"m{k}" for k in range(len(masks[0]) - 1)), "pseudo-label")
    evidence = Evidence.blank("v", names, np.full(len(names), 0.5), objects, frames)
    watcher = IdentityWatch(evidence)
    for index, candidates in enumerate(masks):
        watcher.add(index, objects if index else (), candidates)
    return evidence


def test_two_objects_that_change_places():
    calm, swapped = frame(i3=LEFT, i200=RIGHT), frame(i200=LEFT, i3=RIGHT)
    evidence = watch([(calm, calm), (calm, calm), (swapped, calm), (swapped, calm)])
    exchanged = evidence["exchanged"]
    assert exchanged[2, 0].tolist() == [200, 3]
    assert not exchanged[1].any()
    assert not exchanged[3].any()
    assert np.isnan(exchanged[0]).all()
    assert evidence["mistaken"][:, 0, 0].tolist()[1:] == [0, 200, 200]
    assert not evidence["mistaken"][1:, 1].any()


def test_an_object_that_jumps_to_its_neighbour():
    jumped = frame(i3=RIGHT)
    evidence = watch([(frame(i3=LEFT, i200=RIGHT),), (jumped,)])
    assert evidence["exchanged"][1, 0].tolist() == [200, 0]


def test_objects_that_touch_and_move_stay_themselves():
    masks = [
        (frame(i3=np.s_[10:60, 10 + t : 60 + t], i200=np.s_[10:60, 60 + t : 110 + t]),)
        for t in range(0, 40, 8)
    ]
    assert not watch(masks)["exchanged"][1:].any()


def test_nothing_is_said_of_a_single_object():
    evidence = watch([(frame(i3=LEFT),), (frame(i3=RIGHT),)], objects=(3,))
    assert np.isnan(evidence["exchanged"]).all()


def test_pixels_are_counted_by_what_lies_under_them():
    counts = shared(frame(i3=LEFT), frame(i3=np.s_[10:60, 10:20], i9=np.s_[10:60, 20:40]), (3, 9))
    assert counts.tolist() == [[500, 1000, 500], [0, 0, 0]]
    assert place_of(counts, (3, 9), 1.0).tolist() == [9, 0]
    assert place_of(counts, (3, 9), 0.1).tolist() == [0, 0]


def test_large_frames_are_thinned():
    assert thin(np.zeros((1080, 1920), np.uint8)).shape == (180, 320)
    assert thin(np.zeros((100, 60), np.uint8)).shape == (100, 60)
