"""A member goes on from a corrected frame: what came before stays, what follows is new."""

import numpy as np
import pytest

import adapters
from ensemble.refinement.carry_on import carry_on
from ensemble.storage.predictions import Prediction, PredictionWriter
from mose import InputError, Video

HEIGHT, WIDTH, FRAMES = 48, 64, 6


def box(left, object_id=3):
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[10:26, left : left + 16] = object_id
    return ids


@pytest.fixture(scope="module")
def video():
    """An object that moves to the right, and another that stays."""
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    frames = np.stack([np.roll(ground, 2 * t, axis=1) for t in range(FRAMES)])
    first = box(8)
    first[34:44, 6:20] = 9
    return Video.from_arrays(frames, {0: first})


def stored(folder, segmenter, video):
    with PredictionWriter(folder, HEIGHT, WIDTH) as writer:
        for frame in segmenter.segment(video):
            writer.add(frame)
        writer.commit({})
    return Prediction(folder)


def labels(frames):
    return np.stack([frame.labels(HEIGHT, WIDTH) for frame in frames])


@pytest.mark.parametrize("adapter", ["hold", "flow"])
@pytest.mark.parametrize("since", [1, 3, FRAMES - 1])
def test_frames_before_stay_and_the_correction_is_followed(tmp_path, video, adapter, since):
    segmenter = adapters.load(adapter)
    earlier = stored(tmp_path / "p", segmenter, video)
    corrected = video.with_corrections({since: box(40)})
    frames = list(carry_on(segmenter, corrected, earlier, since))
    assert [frame.index for frame in frames] == list(range(FRAMES))
    there, before = labels(frames), labels(earlier)
    assert (there[:since] == before[:since]).all()
    assert ((there[since] == 3) == (box(40) == 3)).all()
    whole = labels(segmenter.segment(corrected))
    # Neither remembers more of the corrected object than its last mask.
    assert ((there == 3) == (whole == 3)).all()


def test_later_corrections_are_followed_too(tmp_path, video):
    segmenter = adapters.load("hold")
    earlier = stored(tmp_path / "p", segmenter, video)
    corrected = video.with_corrections({2: box(30), 4: box(40)})
    there = labels(carry_on(segmenter, corrected, earlier, 2))
    assert (there == labels(segmenter.segment(corrected))).all()


@pytest.mark.parametrize("since", [2, 3])
def test_who_was_said_to_be_gone_stays_away(tmp_path, video, since):
    segmenter = adapters.load("hold")
    known = video.with_corrections({}, {2: (9,)}) if since == 3 else video
    earlier = stored(tmp_path / "p", segmenter, known)
    masks = {3: box(30)} if since == 3 else {}
    corrected = video.with_corrections(masks, {2: (9,)})
    there = labels(carry_on(segmenter, corrected, earlier, since))
    assert not (there[since:] == 9).any()
    assert (there[0] == 9).any()


def test_what_does_not_belong_together_is_refused(tmp_path, video):
    segmenter = adapters.load("hold")
    earlier = stored(tmp_path / "p", segmenter, video)
    for since, words in ((0, "no correction on frame 0"), (2, "no correction on frame 2")):
        with pytest.raises(InputError, match=words):
            list(carry_on(segmenter, video, earlier, since))
    shorter = Video.from_arrays(np.stack(list(video)[:4]), {0: box(8)}, {2: box(9)})
    with pytest.raises(InputError, match="no masks of the frames"):
        list(carry_on(segmenter, shorter, earlier, 2))
