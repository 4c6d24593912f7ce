"""What every network adapter says of checkpoints that do not fit, and of crowded videos.

Odd frames (one pixel, smaller than the stride, grey, strided) and videos without objects are in
`test_contract`; how files are read is in `test_checkpoints`.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import tiny_models
from tiny_models import texture

import adapters
from adapters import registry
from mose import InputError, Video

TITLES = {
    "cutie": "Cutie",
    "livos": "LiVOS",
    "sam2": r"SAM 2(\.1)?",
    "tmo": "TMO",
    "transformers": "SAM in the format of transformers",
    "xmem": "XMem",
}

HEIGHT, WIDTH = 48, 64

NAMES = [n for n in tiny_models.make_weights if registry.get(n).needs_weights]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, dict]:
    """Adapter -> the keywords that load its tiny model."""
    return {
        name: tiny_models.make_weights[name](tmp_path_factory.mktemp(name), []) for name in NAMES
    }


@pytest.mark.parametrize(("name", "other"), list(itertools.permutations(NAMES, 2)))
def test_another_models_checkpoint_is_named(name, other, made):
    weights = made[other]["weights"]
    with pytest.raises(InputError, match=f"looks like {TITLES[other]}") as caught:
        adapters.load(name, **(made[name] | {"weights": weights}))
    sentence = str(caught.value)
    assert str(weights) in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_checkpoint_is_one_sentence(name, share, made, tmp_path):
    content = Path(made[name]["weights"]).read_bytes()
    path = tmp_path / "cut.pth"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"cut\.pth .*cut off") as caught:
        adapters.load(name, **(made[name] | {"weights": path}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_hundred_objects(name, made):
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number, (y, x) in enumerate(itertools.product(range(10), range(10))):
        ids[y * 4 : y * 4 + 4, x * 6 : x * 6 + 6] = number + 100
    video = Video.from_arrays(texture(2, HEIGHT, WIDTH, 3), {0: ids})
    answers = list(adapters.load(name, **made[name]).segment(video))
    for frame in answers:
        assert frame.object_ids == tuple(range(100, 200))
        probabilities = frame.probabilities(HEIGHT, WIDTH)
        assert probabilities.shape == (100, HEIGHT, WIDTH)
        assert (probabilities.sum(axis=0) <= 1 + 1e-2).all()
