"""Trust from the mask that was given: who loses an object at once is not believed about it."""

import numpy as np
from test_fusion import HEIGHT, WIDTH, blob, hard

from ensemble.fusion.frame import fuse_frame
from ensemble.fusion.trust import LITTLE, Trust, judge
from mose import Video
from selection.metrics import Regions


def video(prompts):
    return Video.from_arrays(np.zeros((4, HEIGHT, WIDTH, 3), np.uint8), prompts)


def regions(*masks):
    return [Regions(mask) for mask in masks]


def test_who_misses_the_given_mask_while_another_meets_it_is_not_believed():
    np.testing.assert_array_equal(judge([0.9, 0.5, 0.4, 0.0]), [1, 1, LITTLE, LITTLE])
    np.testing.assert_array_equal(judge([0.2, 0.0]), [1, 1])  # nobody meets it: it may be gone


def test_each_object_is_judged_on_the_frame_after_it_was_given():
    trust = Trust(video({0: blob(1, 2, 2), 2: blob(4, 12, 20)}), 2)
    both = blob(1, 2, 2) + blob(4, 12, 20)
    trust.update(0, regions(both, both))
    assert (trust.table((1, 4)) == 1).all()
    trust.update(1, regions(blob(1, 2, 3), blob(1, 14, 14)))
    trust.update(2, regions(both, both))
    trust.update(3, regions(np.zeros_like(both), both))
    np.testing.assert_array_equal(trust.table((1, 4)), [[1, LITTLE], [LITTLE, 1]])
    assert trust.table(()).shape == (2, 0)


def test_one_good_member_stands_against_four_useless_ones():
    """Useless from the start, and as confident as the good one, with better priors."""
    empty = np.zeros((HEIGHT, WIDTH), np.uint8)
    for useless in ([empty] * 4, [blob(1, 14, 2 + 5 * k) for k in range(4)]):
        trust = Trust(video({0: blob(1, 2, 2)}), 5)
        masks = [blob(1, 2, 3), *useless]
        trust.update(1, regions(*masks))
        frames = [hard(mask, objects=(1,)) for mask in masks]
        priors = np.array([0.5, 0.6, 0.6, 0.6, 0.6])
        fused = fuse_frame(frames, priors, (1,), (HEIGHT, WIDTH), trust=trust.table((1,)))
        np.testing.assert_array_equal(fused.ids, masks[0])
