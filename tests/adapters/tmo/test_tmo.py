"""TMO's adapter beyond the contract: its options, and its foreground of single frames."""

import numpy as np
import pytest
import tiny_tmo

from adapters.tmo.segmenter import TMOOptions, TMOSegmenter
from mose import InputError
from stseg.options import build

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = list(np.random.default_rng(0).integers(0, 255, (3, 40, 56, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory):
    return TMOSegmenter(**tiny_tmo.make_tmo(tmp_path_factory.mktemp("tmo"), []))


def test_a_batch_is_its_frames_one_by_one(segmenter):
    pictures = [None, IMAGES[0], None]
    together = segmenter.predict(IMAGES, pictures, (40, 56))
    for image, picture, answer in zip(IMAGES, pictures, together, strict=True):
        alone = segmenter.foreground(image, picture)
        assert alone.shape == (40, 56)
        np.testing.assert_allclose(answer.foreground, alone, atol=1e-5)
        assert answer.confidence is None


def test_adaptive_selection_keeps_the_surer_answer(segmenter, monkeypatch):
    options = build(TMOOptions, {"size": 64, "aos": True}, "a test")
    monkeypatch.setattr(segmenter, "options", options)
    for answer in segmenter.predict(IMAGES, [IMAGES[1], IMAGES[2], IMAGES[0]], (40, 56)):
        without, with_flow = answer.confidence
        assert answer.from_image == (without > with_flow)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flow": "pictures"}, "belong together"),
        ({"pictures": "folder"}, "belong together"),
        ({"flow": "pictures", "pictures": "folder", "flip": True}, "no mirrored form"),
        ({"size": 65}, "a multiple of 32"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(InputError, match=message):
        build(TMOOptions, options, "a test")
