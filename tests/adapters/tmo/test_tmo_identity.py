"""The split of one foreground between objects, with the true foreground of moving shapes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from adapters.shared.optical_flow import DenseFlow, sharpen, warp
from adapters.tmo.identity import Appearance, Identities, similarity
from mose.synthetic import make_clip

HEIGHT, WIDTH = 120, 200
Track = list[tuple[int, int] | None]


def texture(seed: int, base: tuple[int, int, int]) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 40, (HEIGHT * 2, WIDTH * 2, 3))
    soft = cv2.GaussianBlur(noise, (0, 0), 2) * 4
    return (soft + base).clip(0, 255).astype(np.uint8)


BACKDROP = texture(0, (110, 120, 110))
SKINS = [texture(1, (220, 60, 50)), texture(2, (60, 70, 220)), texture(3, (230, 210, 60))]


class Scene:
    """Squares of 30 pixels on given tracks of (top, left); None while away. Later ones lie in
    front of earlier ones."""

    def __init__(self, *tracks: Track, skins: tuple[int, ...] = (0, 1, 2)):
        self.frames: list[np.ndarray] = []
        self.labels: list[np.ndarray] = []
        for places in zip(*tracks, strict=True):
            frame, label = BACKDROP[:HEIGHT, :WIDTH].copy(), np.zeros((HEIGHT, WIDTH), np.uint8)
            for index, place in enumerate(places):
                if place is not None:
                    top, left = place
                    area = np.s_[max(top, 0) : top + 30, max(left, 0) : left + 30]
                    height, width = label[area].shape
                    frame[area] = SKINS[skins[index]][30 : 30 + height, 40 : 40 + width]
                    label[area] = index + 1
            self.frames.append(frame)
            self.labels.append(label)

    def follow(
        self, given: tuple[int, ...], foregrounds: list[np.ndarray] | None = None
    ) -> list[np.ndarray]:
        """Ids ``(H, W) uint8`` of every frame, the given objects prompted on frame 0."""
        flow, found = DenseFlow("medium"), []
        identities = Identities(HEIGHT, WIDTH)
        soft = foregrounds or [(label > 0).astype(np.float32) for label in self.labels]
        motion = np.zeros((HEIGHT, WIDTH, 2), np.float32)
        for index, (frame, foreground) in enumerate(zip(self.frames, soft, strict=True)):
            if index:
                motion = flow(frame, self.frames[index - 1])
            planes = identities.step(frame, foreground, motion)
            assert planes.dtype == np.float32
            assert planes.sum(axis=0).max(initial=0.0) <= 1 + 1e-5
            if index == 0:
                assert planes.shape == (0, HEIGHT, WIDTH)
                planes = np.stack([self.labels[0] == i for i in given]).astype(np.float32)
                identities.start(range(len(planes)), planes, frame, foreground)
            ids = np.array([0, *given], np.uint8)
            rest = 1 - planes.sum(axis=0, keepdims=True)
            found.append(ids[np.concatenate([rest, planes]).argmax(axis=0)])
        return found

    def overlap(self, found: list[np.ndarray], index: int, object_id: int) -> float:
        one, other = found[index] == object_id, self.labels[index] == object_id
        return (one & other).sum() / max((one | other).sum(), 1)


def moving(start: tuple[int, int], step: tuple[int, int], count: int = 16) -> Track:
    return [(start[0] + step[0] * t, start[1] + step[1] * t) for t in range(count)]


def test_objects_keep_their_foreground():
    scene = Scene(moving((10, 10), (1, 4)), moving((80, 150), (0, -4)))
    found = scene.follow((1, 2))
    assert all(scene.overlap(found, -1, i) > 0.95 for i in (1, 2))


def test_objects_that_meet_are_told_apart():
    """They touch, one passes half over the other, and they part."""
    scene = Scene(moving((40, 60), (0, 2), 20), moving((55, 120), (0, -3), 20))
    found = scene.follow((1, 2))
    for index in range(20):
        assert scene.overlap(found, index, 1) > 0.7
        assert scene.overlap(found, index, 2) > 0.8
    assert all(scene.overlap(found, -1, i) > 0.9 for i in (1, 2))


def test_background_movers_are_left_out():
    scene = Scene(moving((10, 10), (1, 4)), moving((80, 150), (0, -4)), moving((85, 10), (0, 3)))
    found = scene.follow((1,))
    assert scene.overlap(found, -1, 1) > 0.95
    for index in range(16):
        assert not (found[index] > 0)[scene.labels[index] > 1].any()


def test_a_mover_that_comes_later_is_left_out():
    later: Track = [None] * 6 + moving((80, 150), (0, -4), 10)
    scene = Scene(moving((10, 10), (0, 3)), later)
    found = scene.follow((1,))
    assert all((found[i] > 0)[scene.labels[i] == 2].mean() == 0 for i in range(6, 16))


def test_an_object_that_vanishes_is_absent_and_known_again_elsewhere():
    away: Track = [*moving((40, 10), (0, 3), 6), *[None] * 4, *moving((50, 60), (0, 3), 6)]
    other: Track = moving((85, 150), (0, -1), 16)
    scene = Scene(away, other)
    found = scene.follow((1, 2))
    assert all(not (found[i] == 1).any() for i in range(7, 10))
    assert all(scene.overlap(found, i, 1) > 0.95 for i in range(11, 16))
    assert all(scene.overlap(found, i, 2) > 0.95 for i in range(16))


def test_another_thing_is_not_taken_for_an_object_that_vanished():
    away: Track = [*moving((40, 10), (0, 3), 6), *[None] * 10]
    stranger: Track = [None] * 9 + moving((45, 40), (0, 3), 7)
    scene = Scene(away, stranger)
    found = scene.follow((1,))
    assert all(not (found[i] == 1).any() for i in range(9, 16))


def test_an_object_without_foreground_is_carried_along_the_flow():
    """What a foreground network does not see at all is followed as well as flow can."""
    scene = Scene(moving((10, 10), (1, 3)), moving((80, 150), (0, -3)))
    seen = [(label == 2).astype(np.float32) for label in scene.labels]
    found = scene.follow((1, 2), seen)
    flow = DenseFlow("medium")
    planes = (scene.labels[0] == 1).astype(np.float32)[None]
    for index in range(1, 16):
        planes = sharpen(warp(planes, flow(scene.frames[index], scene.frames[index - 1])))
        carried = planes[0] > 0.5
        assert ((found[index] == 1) == carried).mean() > 0.99
    assert scene.overlap(found, -1, 2) > 0.95


def test_a_coarse_foreground_is_enough():
    scene = Scene(moving((10, 10), (1, 4)), moving((80, 150), (0, -4)))
    small = [
        cv2.resize((x > 0).astype(np.float32), (48, 48), interpolation=cv2.INTER_AREA)
        for x in scene.labels
    ]
    soft = [cv2.resize(x, (WIDTH, HEIGHT)).clip(0, 1) for x in small]
    found = scene.follow((1, 2), soft)
    assert all(scene.overlap(found, -1, i) > 0.8 for i in (1, 2))


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_any_foreground_is_taken(value):
    scene = Scene(moving((10, 10), (1, 4), 5), moving((80, 150), (0, -4), 5))
    constant = [np.full((HEIGHT, WIDTH), value, np.float32)] * 5
    assert len(scene.follow((1, 2), constant)) == 5


def test_an_object_too_small_for_the_split_is_kept():
    identities = Identities(20, 20)
    frame, nothing = BACKDROP[:20, :20], np.zeros((20, 20), np.float32)
    still = np.zeros((20, 20, 2), np.float32)
    planes = np.zeros((2, 20, 20), np.float32)
    planes[0, 5, 5] = 0.1
    identities.start(range(len(planes)), planes, frame, nothing)
    for _ in range(3):
        assert identities.step(frame, nothing, still).shape == (2, 20, 20)


def test_appearance_tells_colours_and_textures():
    red, blue, yellow = (Appearance(skin) for skin in SKINS)
    whole = np.ones(SKINS[0].shape[:2], bool)
    half = whole.copy()
    half[:, ::2] = False
    own = red.histogram(whole)
    assert own.sum() == pytest.approx(1, abs=1e-4)
    assert similarity(own, red.histogram(half)) > 0.95
    assert max(similarity(own, x.histogram(whole)) for x in (blue, yellow)) < 0.1
    assert red.log_likelihood(own).mean() > blue.log_likelihood(own).mean() + 3


def test_it_beats_carrying_alone_on_procedural_clips():
    """Four objects that deform, cross and hide: with the true foreground most of each is kept."""
    clip = make_clip(3, 16, height=120, width=160, objects=4, config="easy")
    identities, flow = Identities(120, 160), DenseFlow("medium")
    still = np.zeros((120, 160, 2), np.float32)
    overlaps = []
    for index, (frame, label) in enumerate(zip(clip.frames, clip.labels, strict=True)):
        foreground = (label > 0).astype(np.float32)
        motion = flow(frame, clip.frames[index - 1]) if index else still
        planes = identities.step(frame, foreground, motion)
        truth = np.stack([label == i for i in clip.object_ids])
        if index == 0:
            identities.start(range(len(truth)), truth.astype(np.float32), frame, foreground)
            continue
        both = (planes > 0.5) & truth
        either = (planes > 0.5) | truth
        overlaps.append(
            [b.sum() / e.sum() if e.any() else 1.0 for b, e in zip(both, either, strict=True)]
        )
    assert np.mean(overlaps) > 0.85
