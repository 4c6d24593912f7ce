"""TMO's network and the Mix Transformer: names, sizes, shapes, selection."""

from __future__ import annotations

import pytest
import tiny_tmo
import torch

from adapters.networks.segformer import Segformer, SegformerConfig, segformer_config_of
from adapters.networks.tmo import (
    NAMES,
    TMO,
    TMOConfig,
    config_of,
    enlarge,
    margins,
    output_confidence,
)

KINDS = list(tiny_tmo.CONFIGS)


@pytest.mark.parametrize("kind", KINDS)
def test_published_names_and_back(kind):
    state = tiny_tmo.network(kind).state_dict()
    official = NAMES.to_official(state)
    assert all(name.startswith("vos.") for name in official)
    assert set(NAMES.from_official(official)) == set(state)
    assert all(NAMES.from_official(official)[name] is state[name] for name in state)


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_are_read_from_the_weights(kind):
    assert config_of(tiny_tmo.network(kind).state_dict()) == tiny_tmo.CONFIGS[kind]


def test_sizes_of_the_published_networks():
    for config in (TMOConfig(), TMOConfig(None, SegformerConfig())):
        with torch.device("meta"):
            assert config_of(TMO(config).state_dict()) == config
    assert TMOConfig().encoder_channels == (256, 512, 1024, 2048)


def test_what_is_no_such_network_is_a_key_error():
    with pytest.raises(KeyError):
        config_of({"decoder.predictor.weight": torch.zeros(2, 8, 3, 3)})
    with pytest.raises(KeyError):
        segformer_config_of({})


@pytest.mark.parametrize("size", [(64, 64), (32, 96)])
def test_maps_of_the_mix_transformer_have_its_strides(size):
    config = tiny_tmo.CONFIGS["segformer"].segformer
    assert config is not None
    maps = Segformer(config).eval()(torch.rand(2, 3, *size))
    shapes = [
        (2, w, size[0] // s, size[1] // s)
        for w, s in zip(config.widths, (4, 8, 16, 32), strict=True)
    ]
    assert [tuple(m.shape) for m in maps] == shapes


@pytest.mark.parametrize("kind", KINDS)
def test_frames_of_a_batch_do_not_mix(kind):
    network = tiny_tmo.network(kind)
    images, pictures = torch.rand(2, 3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        together = network.foreground(images, pictures, select=True)
        for index in range(3):
            part = slice(index, index + 1)
            alone = network.foreground(images[part], pictures[part], select=True)
            torch.testing.assert_close(alone.margin, together.margin[part], atol=1e-5, rtol=1e-4)
            assert bool(alone.from_image) == bool(together.from_image[index])


def test_selection_keeps_the_surer_answer():
    network = tiny_tmo.network()
    images, pictures = torch.rand(2, 4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        with torch.no_grad():
            network.decoder.predictor.weight.mul_(200)  # else nobody is sure
        chosen = network.foreground(images, pictures, select=True)
        with_flow = margins(network(images, pictures))
        without = margins(network(images, images))
        sure = torch.stack([output_confidence(enlarge(m)) for m in (without, with_flow)], dim=1)
    torch.testing.assert_close(chosen.confidence, sure, atol=1e-3, rtol=1e-3)
    assert torch.equal(chosen.from_image, sure[:, 0] > sure[:, 1])
    assert 0 < chosen.from_image.sum() < 4
    expected = torch.where(chosen.from_image[:, None, None, None], without, with_flow)
    torch.testing.assert_close(chosen.margin, expected, atol=1e-3, rtol=1e-3)


def test_equal_answers_leave_the_one_with_flow():
    network = tiny_tmo.network()
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert not network.foreground(images, images, select=True).from_image.any()


def test_confidence_counts_what_is_decided():
    """sqrt of the sum over both classes of (0.1 - p)^2 where p < 0.1."""
    undecided = torch.full((1, 1, 4, 4), 2.0)  # p = 0.119 and 0.881
    assert output_confidence(undecided) == 0
    decided = torch.full((1, 1, 4, 4), 40.0)  # p = 0 for the background
    assert output_confidence(decided).item() == pytest.approx((16 * 0.01) ** 0.5)
    assert output_confidence(-decided).item() == pytest.approx((16 * 0.01) ** 0.5)
