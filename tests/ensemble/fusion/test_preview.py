"""A first look at some frames of a video: looks, clusters and presence of its members."""

import numpy as np
import pytest

from adapters.expansion import Expansion
from ensemble.fusion.frame_loop import FusionSetup, VideoMembers, read_frames
from ensemble.fusion.preview import Previews
from ensemble.fusion.rules import FusionOptions
from ensemble.storage.predictions import StoredFrame
from mose import Video

FRAMES, HEIGHT, WIDTH = 6, 48, 64
PRIORS = np.array([0.7, 0.65, 0.6, 0.55])


def square(left, top=16):
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[top : top + 16, left : left + 16] = 3
    return ids


def video():
    images = np.random.default_rng(0).integers(30, 60, (FRAMES, HEIGHT, WIDTH, 3)).astype(np.uint8)
    for index, image in enumerate(images):
        image[square(8 + 5 * index) > 0] = (220, 20, 20)
    return Video.from_arrays(images, {0: square(8)})


class Masks(list):
    """A member's frames."""

    def __init__(self, masks, confidence=0.8, soft=True):
        said = np.full(1, confidence, np.float32)
        rule = Expansion("probability") if soft else Expansion("labels")
        super().__init__(
            StoredFrame(
                index, (3,), np.ones(1, np.float32), said,
                (ids == 3)[None].astype(np.float32) if soft else ids, rule, ids=ids,
            )
            for index, ids in enumerate(masks)
        )  # fmt: skip


def members():
    """One that follows the object, one that lags, one that sits above it, one that loses it."""
    nothing = np.zeros((HEIGHT, WIDTH), np.uint8)
    return [
        Masks([square(8 + 5 * t) for t in range(FRAMES)]),
        Masks([square(8 + 5 * max(t - 1, 0)) for t in range(FRAMES)], 0.7),
        Masks([square(8 + 5 * t, 16 if t == 0 else 10) for t in range(FRAMES)], 0.6),
        Masks([square(8 + 5 * t) if t < 3 else nothing for t in range(FRAMES)], 0.5),
    ]


def pseudo_label(predictions, priors):
    names = tuple(f"m{n}" for n in range(len(predictions)))
    of = VideoMembers(video(), names, predictions, np.asarray(priors))
    setup = FusionSetup(names, FusionOptions())
    return np.stack([frame.fuse(setup).ids for frame in read_frames(of)])


def test_who_follows_the_object_looks_best_and_who_loses_it_is_known_for_that():
    preview = Previews(video(), members()).of(range(4), PRIORS)
    assert preview.looks.argmax() == 0
    assert preview.looks.max() == 0
    assert preview.looks.argmin() == 2
    assert preview.looks[3] == 0  # empty masks are presence's affair
    assert preview.presence.there.argmax() == 3
    np.testing.assert_array_equal(preview.clusters, np.eye(4, dtype=bool))


@pytest.mark.parametrize("order", [[3, 1, 0, 2], [1, 2, 3, 0]])
def test_order_of_members_does_not_matter(order):
    straight = Previews(video(), members()).of(range(4), PRIORS)
    turned = Previews(video(), [members()[n] for n in order]).of(range(4), PRIORS[order])
    np.testing.assert_allclose(turned.looks, straight.looks[order])
    np.testing.assert_allclose(turned.presence.there, straight.presence.there[order])
    np.testing.assert_array_equal(
        pseudo_label([members()[n] for n in order], PRIORS[order]), pseudo_label(members(), PRIORS)
    )


@pytest.mark.parametrize("twice", range(4))
def test_a_copy_of_a_member_changes_nothing_in_a_whole_video(twice):
    rows = [0, 1, 2, 3, twice, twice]
    predictions = [members()[row] for row in rows]
    preview = Previews(video(), predictions).of(range(6), PRIORS[rows])
    np.testing.assert_array_equal(preview.clusters, np.equal.outer(rows, rows))
    np.testing.assert_array_equal(
        pseudo_label(predictions, PRIORS[rows]), pseudo_label(members(), PRIORS)
    )


def test_members_that_are_wrong_in_the_same_places_are_one_witness():
    high = Masks([square(8 + 5 * t, 16 if t == 0 else 9) for t in range(FRAMES)], 0.65)
    preview = Previews(video(), [*members(), high]).of(range(5), np.append(PRIORS, 0.6))
    expected = np.eye(5, dtype=bool)
    expected[2, 4] = expected[4, 2] = True
    np.testing.assert_array_equal(preview.clusters, expected)


def test_members_of_one_family_are_one_witness():
    """However far one has moved from the weights that both come from."""
    expected = np.eye(4, dtype=bool)
    expected[1, 2] = expected[2, 1] = True
    names = ("a", "b", "b@r1", "c")
    of = VideoMembers(video(), names, members(), PRIORS)
    np.testing.assert_array_equal(of.previews.of(range(4), PRIORS).clusters, expected)
    assert of.wrong_together()["b"] == ("one witness with b@r1: related, or wrong together",)


def test_what_all_say_stands():
    same = [square(8 + 5 * t) for t in range(FRAMES)]
    predictions = [Masks(same, confidence, soft=False) for confidence in (0.9, 0.8, 0.7)]
    np.testing.assert_array_equal(pseudo_label(predictions, PRIORS[:3]), same)
    preview = Previews(video(), predictions).of(range(3), PRIORS[:3])
    np.testing.assert_array_equal(preview.clusters, np.eye(3, dtype=bool))


def test_a_member_that_is_always_wrong_changes_nothing():
    rng = np.random.default_rng(1)
    anywhere = [square(8), *(square(*rng.integers(0, 32, 2)) for _ in range(FRAMES - 1))]
    np.testing.assert_array_equal(
        pseudo_label([*members(), Masks(anywhere, 0.9)], np.append(PRIORS, 0.6)),
        pseudo_label(members(), PRIORS),
    )
