"""The steps of SAM 2 on a frame, and the objects of a video that go through them."""

import copy

import numpy as np
import pytest
import tiny_sam2
import torch
from tiny_sam2 import SMALLEST

from adapters.sam2.lean import make_lean
from adapters.sam2.model import build
from adapters.sam2.network import MaskBatch, Network
from adapters.sam2.scaling import Scaling
from adapters.sam2.segmenter import Sam2Options
from adapters.sam2.tracker import Tracker, TrackerOptions
from mose import InputError
from stseg.options import build as build_options

pytestmark = pytest.mark.usefixtures("one_thread")

PICTURES, MASKS = tiny_sam2.discs(3)


@pytest.fixture(scope="module")
def model():
    made = build(SMALLEST)
    made.load_state_dict(tiny_sam2.weights(SMALLEST))
    return made.requires_grad_(False).eval()


def test_what_is_computed_once_is_the_same_to_the_bit(model):
    lean = copy.deepcopy(model)
    make_lean(lean, SMALLEST.image_size)
    images = torch.rand(1, 3, SMALLEST.image_size, SMALLEST.image_size)
    for _ in range(2):
        ours, theirs = lean.forward_image(images), model.forward_image(images)
        for name in ("backbone_fpn", "vision_pos_enc"):
            for a, b in zip(ours[name], theirs[name], strict=True):
                assert torch.equal(a, b)
    prompts = (lean.sam_prompt_encoder, model.sam_prompt_encoder)
    assert torch.equal(*(encoder.get_dense_pe() for encoder in prompts))


def test_rows_of_a_batch_have_other_logits_but_no_others_scores():
    batch = MaskBatch(
        torch.zeros(3, 1, 2, 2), torch.arange(3.0)[:, None], torch.arange(3.0), torch.eye(3)
    )
    logits = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    rows = batch.rows([2, 0], logits)
    assert rows.logits[:, 0].tolist() == [logits[2].tolist(), logits[0].tolist()]
    assert rows.score.flatten().tolist() == rows.iou.tolist() == [2, 0]


def test_objects_are_followed_from_where_they_are_added(model):
    network = Network(copy.deepcopy(model), SMALLEST)
    tracker = Tracker(network, TrackerOptions(chunk_size=1), 3)
    features = [network.encode(picture) for picture in PICTURES]
    tracker.add(0, features[0], {4: MASKS[0] == 4})
    tracker.follow(1, features[1])
    tracker.add(1, features[1], {1: MASKS[1] == 1})
    tracker.follow(2, features[2])
    first, second, frame = tracker.decided()
    assert (first.object_ids, second.object_ids, frame.object_ids) == ((4,), (4, 1), (4, 1))
    assert frame.native.shape == (2, SMALLEST.image_size // 4, SMALLEST.image_size // 4)
    assert ((frame.presence >= 0) & (frame.presence <= 1)).all()


def test_options_of_the_member_are_those_of_the_tracker():
    options = build_options(Sam2Options, {"sigmoid_scale": 7.5, "sigmoid_bias": -4}, "a test")
    tracker = options.tracker_options(options.scalings())
    assert tracker.scalings == (Scaling(7.5, -4),)
    assert tracker.conditioning == options.max_cond_frames_in_attn
    with pytest.raises(InputError, match="leaves objects without a configuration"):
        build_options(Sam2Options, {"merge": [{"objects": "small"}]}, "a test")
