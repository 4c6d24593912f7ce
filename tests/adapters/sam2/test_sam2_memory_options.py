"""Option ``memory`` of SAM 2's adapter: what the memories are worth as wholes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_sam2
import torch
from tiny_sam2 import SMALLEST

import adapters
from adapters.base import FrameMasks
from adapters.sam2.options import MEMORIES, TreeOptions
from adapters.sam2.steps import proposals_of
from mose import InputError, Video

pytestmark = pytest.mark.usefixtures("one_thread")

PICTURES, MASKS = tiny_sam2.discs(11)
LATE = {0: MASKS[0] * (MASKS[0] != 7), 3: MASKS[3] * (MASKS[3] == 7)}
VIDEO = Video.from_arrays(np.stack(PICTURES), LATE)

Load = Callable[..., adapters.Segmenter]


@pytest.fixture(scope="module")
def load(tmp_path_factory) -> Load:
    """A network whose objects come and go."""
    state = tiny_sam2.weights(SMALLEST, score=tiny_sam2.COMING_AND_GOING)
    path: Path = tiny_sam2.save(tmp_path_factory.mktemp("sam2"), SMALLEST, state)
    return lambda **options: adapters.load("sam2", weights=path, **options)


@pytest.fixture(scope="module")
def answers(load) -> dict[str, list[FrameMasks]]:
    return {memory: list(load(memory=memory).segment(VIDEO)) for memory in MEMORIES}


def same(some: list[FrameMasks], others: list[FrameMasks]) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for one, other in zip(some, others, strict=True)
        for name in ("index", "object_ids", "presence", "confidence", "native")
    )


def of_object(frames: list[FrameMasks], object_id: int) -> list[np.ndarray]:
    return [
        np.append(frame.native[row].ravel(), (frame.presence[row], frame.confidence[row]))
        for frame in frames
        for row, own in enumerate(frame.object_ids)
        if own == object_id
    ]


def test_the_window_is_the_default(load, answers):
    assert same(list(load().segment(VIDEO)), answers["window"])


def test_memories_differ(answers):
    for one, other in itertools.combinations(MEMORIES, 2):
        assert not same(answers[one], answers[other]), (one, other)


def test_a_tree_of_one_hypothesis_is_the_window(load, answers):
    one = load(memory="tree", tree={"hypotheses": 1, "lag": 4})
    assert same(list(one.segment(VIDEO)), answers["window"])


@pytest.mark.parametrize("memory", MEMORIES)
def test_objects_decide_for_themselves(load, answers, memory):
    """Alone, and in another order of ids, an object has the masks that it has among others."""
    for object_id in (1, 4, 7):
        alone = {t: ids * (ids == object_id) for t, ids in LATE.items() if (ids == object_id).any()}
        video = Video.from_arrays(np.stack(PICTURES), alone)
        own = of_object(list(load(memory=memory).segment(video)), object_id)
        for one, other in zip(own, of_object(answers[memory], object_id), strict=True):
            np.testing.assert_array_equal(one, other)
    turned = {t: np.where(ids > 0, 9 - ids, 0).astype(np.uint8) for t, ids in LATE.items()}
    swapped = list(load(memory=memory).segment(Video.from_arrays(np.stack(PICTURES), turned)))
    for object_id in (1, 4, 7):
        pairs = zip(
            of_object(answers[memory], object_id), of_object(swapped, 9 - object_id), strict=True
        )
        for one, other in pairs:
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("memory", ["tree", "motion"])
def test_chunks_change_nothing(load, answers, memory):
    assert same(list(load(memory=memory, chunk_size=1).segment(VIDEO)), answers[memory])


@pytest.mark.parametrize("memory", MEMORIES)
def test_reliable_memory_goes_with_each(load, answers, memory):
    reliable = list(load(memory=memory, rcms_frames=4, rcms_quality=0.0).segment(VIDEO))
    assert not same(reliable, answers[memory])
    never = list(load(memory=memory, rcms_frames=4, rcms_quality=1.0).segment(VIDEO))
    assert same(never, answers[memory])


@pytest.mark.parametrize("memory", ["tree", "anchors"])
def test_configurations_are_merged_with_each(load, memory):
    """Two alike are one."""
    stock = {"sigmoid_scale": 20.0, "sigmoid_bias": -10.0}
    twice = list(load(memory=memory, merge=[stock, stock]).segment(VIDEO))
    for merged, once in zip(twice, load(memory=memory).segment(VIDEO), strict=True):
        masks = [frame.probabilities(60, 80) for frame in (merged, once)]
        np.testing.assert_allclose(*masks, atol=1e-6)


def test_a_tree_holds_answers_back_and_gives_all(load, answers):
    """No frame is read more than a lag before the answers that wait for it."""
    read: list[int] = []

    class Frames:
        def __len__(self) -> int:
            return len(PICTURES)

        def __getitem__(self, index: int) -> np.ndarray:
            read.append(index)
            return PICTURES[index]

    video = VIDEO.over(Frames())
    for lag in (0, 2):
        read.clear()
        behind = [
            read[-1] - frame.index
            for frame in load(memory="tree", tree={"lag": lag}).segment(video)
        ]
        assert len(behind) == len(PICTURES)
        assert max(behind) <= lag
        assert lag == 0 or max(behind) > 0
    assert [frame.index for frame in answers["tree"]] == list(range(len(PICTURES)))


def test_corrections_hold_in_each(load):
    corrected = {8: (MASKS[8] * (MASKS[8] == 4)).astype(np.uint8)}
    video = VIDEO.with_corrections(corrected)
    for memory in ("tree", "anchors"):
        frames = list(load(memory=memory).segment(video))
        row = frames[8].object_ids.index(4)
        mine = frames[8].native[row] > 0
        given = MASKS[8] == 4
        assert frames[8].presence[row] > 0.99
        assert abs(mine.mean() - given.mean()) < 0.01


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"memory": "trees"}, "did you mean 'tree'"),
        ({"tree": {"hypotheses": 0}}, "hypotheses"),
        ({"tree.lag": -1}, "lag"),
    ],
)
def test_what_does_not_fit_is_said(load, options, part):
    with pytest.raises(InputError, match=part):
        load(**options)


def test_a_tree_is_small_unless_told_otherwise():
    assert (TreeOptions().hypotheses, TreeOptions().lag) == (3, 15)


def test_masks_of_an_object_that_is_not_there_are_empty():
    there, gone = proposals_of(
        torch.ones(2, 3, 4, 4), torch.rand(2, 3), torch.tensor([[0.1], [0.0]]), torch.zeros(2, 3, 8)
    )
    assert there.planes().all()
    assert not gone.planes().any()
    assert gone.score == 0.0
