"""What is noted of the candidates while a video's frames pass by."""

import numpy as np

from ensemble.finishing.scoring import Scorer, blank_evidence
from mose import Video
from selection.appearance import Looks
from selection.evidence import PSEUDO_LABEL
from selection.metrics import Regions


def square(left, object_id=3):
    ids = np.zeros((24, 32), np.uint8)
    ids[8:16, left : left + 8] = object_id
    return ids


def red_square_video(frames=3):
    images = np.full((frames, 24, 32, 3), 40, np.uint8)
    for index, image in enumerate(images):
        image[square(4 + index) > 0] = (220, 20, 20)
    return Video.from_arrays(images, {0: square(4)})


def test_the_pseudo_label_has_the_best_members_prior():
    evidence = blank_evidence(red_square_video(), ("a", "b"), np.array([0.4, 0.7]))
    assert evidence.candidates == ("a", "b", PSEUDO_LABEL)
    np.testing.assert_allclose(evidence.priors, [0.4, 0.7, 0.7])


def test_candidates_are_scored_against_the_pseudo_label_and_the_frame_before():
    video = red_square_video()
    evidence = blank_evidence(video, ("good", "still"), np.array([0.5, 0.5]))
    scorer = Scorer(evidence, Looks(video))
    for index in range(3):
        candidates = [Regions(square(4 + index)), Regions(square(4)), Regions(square(4 + index))]
        scored = (3,) if index else ()
        scorer.add_candidates(index, scored, candidates)
        scorer.add_truth(index, candidates, Regions(square(4 + index)), counts=index > 0)
        if scored:
            scorer.add_agreement(index, scored, candidates, candidates[-1])
    assert evidence["agreement_j"][2, :, 0].tolist() == [1.0, np.float32(48 / 80), 1.0]
    assert np.isnan(evidence["agreement_j"][0]).all()
    assert evidence["stability"][2, 1, 0] == 1.0
    assert evidence["truth_j"][2, 0, 0] == 1.0
    assert evidence["appearance"][2, 0, 0] > evidence["appearance"][2, 1, 0]
