"""A member that runs again over a part of a video, and what becomes of its prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import adapters
from adapters.base import FrameMasks
from adapters.expansion import Expansion
from ensemble.refinement.stretch import (
    lead_back,
    mask_of,
    run_on,
    stitched,
    with_mask,
    with_object,
)
from ensemble.storage.predictions import Prediction, PredictionWriter
from mose import Video
from selection.refined import Claim, Dispute

HEIGHT, WIDTH, FRAMES = 48, 96, 8


def disc(index: int, object_id: int = 3, top: int = 12) -> np.ndarray:
    """Where the object truly is: five pixels further on every frame."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    inside = np.hypot(rows - top - 12, columns - 18 - 5 * index) < 11
    return np.where(inside, object_id, 0).astype(np.uint8)


@pytest.fixture(scope="module")
def video() -> Video:
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 120, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    patch = rng.integers(120, 255, (24, 24, 3), dtype=np.uint8)
    frames = []
    for index in range(FRAMES):
        image = ground.copy()
        moved = np.zeros_like(image)
        moved[12:36, 6 + 5 * index : 30 + 5 * index] = patch
        image[disc(index) > 0] = moved[disc(index) > 0]
        frames.append(image)
    return Video.from_arrays(np.array(frames), {0: disc(0)})


@pytest.fixture(scope="module")
def flow():
    return adapters.load("flow", preset="medium")


def store(folder: Path, masks) -> Prediction:
    with PredictionWriter(folder, HEIGHT, WIDTH) as writer:
        for index, ids in enumerate(masks):
            seen = np.array([(ids == 3).any()], np.float32)
            writer.add(FrameMasks(index, (3,), seen, seen, ids, Expansion("labels")))
        writer.commit({})
    return Prediction(folder)


@pytest.fixture
def predictions(tmp_path) -> dict[str, Prediction]:
    """One member is right, one follows a place beside it, and one loses the object."""
    nothing = np.zeros((HEIGHT, WIDTH), np.uint8)
    return {
        "right": store(tmp_path / "right", map(disc, range(FRAMES))),
        "beside": store(
            tmp_path / "beside",
            [disc(t) if t < 3 else np.roll(disc(t), 30, axis=1) for t in range(FRAMES)],
        ),
        "lost": store(tmp_path / "lost", [disc(t) if t < 3 else nothing for t in range(FRAMES)]),
    }


@pytest.fixture
def dispute() -> Dispute:
    told = [Claim((name,), name != "lost", 0.3) for name in ("beside", "lost", "right")]
    return Dispute(3, 3, FRAMES, 4, 1, tuple(told))


def test_only_the_true_mask_leads_back(flow, video, dispute, predictions):
    led = lead_back(flow, video, dispute, predictions, "right")
    beside, lost, right = led.claims
    assert right.returned > 0.8 > 0.3 > beside.returned
    assert lost.returned is None
    assert right.standing < 0.5
    assert led.taken == right


def test_a_given_mask_is_where_they_should_arrive(flow, video, dispute, predictions):
    """Whatever the reference has on that frame."""
    given = Dispute(3, 3, FRAMES, 4, 0, dispute.claims)
    assert lead_back(flow, video, given, predictions, "lost").taken.members == ("right",)


def test_the_largest_claim_stands_if_it_leads_back_itself():
    """However much further another one does."""

    def dispute_of(largest: float) -> Dispute:
        claims = Claim(("many",), True, 0.5, largest), Claim(("few",), True, 0.4, 0.9)
        return Dispute(3, 3, FRAMES, 4, 1, claims)

    assert dispute_of(0.6).taken.members == ("many",)
    assert dispute_of(0.4).taken.members == ("few",)


def test_who_is_corrected_goes_on_from_there(flow, video, dispute, predictions, tmp_path):
    mask = mask_of(dispute.claims[2], dispute, predictions)
    new = run_on(flow, video, predictions["lost"], dispute, mask, tmp_path / "new")
    assert sorted(new.frames) == list(range(2, FRAMES))
    assert new.cost == FRAMES - 2 + 2
    frames = list(stitched(predictions["lost"], [new]))
    for index, frame in enumerate(frames):
        now, true = frame.labels(HEIGHT, WIDTH) == 3, disc(index) == 3
        assert (now & true).sum() > 0.8 * (now | true).sum()
    first = predictions["lost"][1]
    np.testing.assert_array_equal(frames[1].native, first.native)


def test_it_ends_where_it_meets_its_old_answer_on_the_way_back(flow, video, predictions, tmp_path):
    """Three frames that are as before, before the first disputed one."""
    old = store(
        tmp_path / "old", [disc(t) if t < 6 else np.roll(disc(t), 30) for t in range(FRAMES)]
    )
    late = Dispute(3, 6, FRAMES, 7, 0, (Claim(("right",), True, 0.5), Claim(("x",), True, 0.5)))
    new = run_on(flow, video, old, late, disc(7) == 3, tmp_path / "new")
    assert 0 < min(new.frames) <= 3


def test_who_is_told_that_it_is_gone_has_nothing(flow, video, dispute, predictions, tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    new = run_on(flow, video, predictions["beside"], dispute, mask, tmp_path / "new")
    assert new.frames == tuple(range(4, FRAMES))
    after = list(stitched(predictions["beside"], [new]))
    assert not any((frame.labels(HEIGHT, WIDTH) == 3).any() for frame in after[4:])
    assert (after[3].labels(HEIGHT, WIDTH) == 3).any()


def test_it_ends_where_it_meets_its_old_answer(flow, video, dispute, tmp_path):
    """Three frames in a row that are as before."""
    masks = [disc(t) if t != 4 else np.roll(disc(t), 20, axis=1) for t in range(FRAMES)]
    old = store(tmp_path / "old", masks)
    short = Dispute(3, 3, 5, 4, 1, dispute.claims)
    new = run_on(flow, video, old, short, disc(4) == 3, tmp_path / "new")
    assert max(new.frames) == 7


def test_of_an_even_vote_the_first_has_its_way(dispute, predictions):
    both = Claim(("right", "beside"), True, 0.6)
    np.testing.assert_array_equal(mask_of(both, dispute, predictions), disc(4) == 3)


def test_other_objects_keep_what_is_not_claimed():
    old_ids = with_mask(disc(0), 5, disc(4) > 0)
    new_ids = disc(3)
    said = np.full(2, 0.5, np.float32)
    old = FrameMasks(6, (3, 5), said, said, old_ids, Expansion("labels"))
    new = FrameMasks(0, (3,), said[:1], np.ones(1, np.float32), new_ids, Expansion("labels"))
    both = with_object(old, new, 3, (HEIGHT, WIDTH))
    assert (both.index, both.object_ids) == (6, (3, 5))
    np.testing.assert_array_equal(both.native == 3, new_ids == 3)
    np.testing.assert_array_equal(both.native == 5, (old_ids == 5) & (new_ids != 3))
    assert both.confidence.tolist() == [1.0, 0.5]
    assert with_object(old, new, 5, (HEIGHT, WIDTH)) is old


def test_soft_masks_of_one_form_stay_soft():
    rng = np.random.default_rng(1)
    said, form = np.full(2, 0.5, np.float32), Expansion("probability")
    planes = rng.random((2, 2, 6, 8)).astype(np.float32) / 2
    old, new = (FrameMasks(0, (3, 5), said, said, native, form) for native in planes)
    both = with_object(old, new, 5, (HEIGHT, WIDTH))
    assert both.expansion == form
    np.testing.assert_array_equal(both.native, np.stack([planes[0][0], planes[1][1]]))
