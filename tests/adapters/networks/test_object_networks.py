"""The networks of Cutie and LiVOS: names, sizes, and what must not depend on what."""

from __future__ import annotations

import dataclasses
import json
import math
from itertools import combinations

import pytest
import tiny_cutie
import torch
from parity_cases import folder

import adapters
from adapters.networks import cutie, livos
from adapters.networks.affinity import memory_rows, query_rows, tokens
from adapters.networks.linear_matching import NORMALISERS, LinearState
from adapters.networks.object_network import CutieConfig
from adapters.networks.object_transformer import (
    ObjectTransformer,
    SinePositions,
    attention_area,
)
from adapters.weights.checkpoints import load_network
from finetune.models import stored_config, write_weights
from mose import InputError, Video

MODULES = {"cutie": cutie, "livos": livos}


@pytest.mark.parametrize(
    ("model", "name", "depth"),
    [("cutie-base", "cutie", 50), ("cutie-small", "cutie", 18), ("livos", "livos", 50)],
)
def test_official_checkpoints_fit(model, name, depth):
    """Every published entry has a place of its shape, and every place an entry."""
    manifest = json.loads((folder() / model / "manifest.json").read_text())
    official = {key: torch.empty(entry["shape"], device="meta") for key, entry in manifest.items()}
    module = MODULES[name]
    config = module.config_of(module.NAMES.from_official(official))
    assert config == CutieConfig(image_depth=depth)
    with torch.device("meta"):
        network = tiny_cutie.network(name, config)
    back = module.NAMES.to_official(network.state_dict())
    assert {key: list(value.shape) for key, value in back.items()} == {
        key: entry["shape"] for key, entry in manifest.items()
    }


@pytest.mark.parametrize("name", MODULES)
def test_sizes_are_read_from_the_weights(name):
    module = MODULES[name]
    state = tiny_cutie.network(name).state_dict()
    official = module.NAMES.to_official(state)
    assert len(official) == len(state)
    assert not set(official) & {key for key in state if key.startswith(("decoder.", "value_"))}
    ours = module.NAMES.from_official(official)
    assert ours.keys() == state.keys()
    assert module.config_of(ours) == tiny_cutie.CONFIG


def test_a_livos_with_clusters_of_keys_is_told_by_its_weights():
    config = dataclasses.replace(tiny_cutie.CONFIG, key_dim=20, key_rank=6)
    state = tiny_cutie.network("livos", config).state_dict()
    official = livos.NAMES.to_official(state)
    assert official["key_projector.layer2.weight"].shape == (6, 16, 3, 3)
    assert official["key_projector.layer3.weight"].shape == (20, 6, 1, 1)
    assert livos.config_of(livos.NAMES.from_official(official)) == config


@pytest.mark.parametrize("change", [{"embed_dim": 18}, {"embed_dim": 100}, {"queries": 3}])
def test_sizes_that_contradict_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        dataclasses.replace(tiny_cutie.CONFIG, **change)


def clip(frames: int = 3, objects: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(frames, 2, 3, 32, 48, generator=generator)
    masks = torch.rand(2, objects, 32, 48, generator=generator)
    return images, (masks == masks.amax(1, keepdim=True)).float()


def test_cutie_trains_through_its_memory():
    network = tiny_cutie.network("cutie").train()
    assert isinstance(network, cutie.Cutie)
    images, masks = clip()
    features = [network.encode_images(image) for image in images]
    sensory = torch.zeros(4, tiny_cutie.CONFIG.sensory_dim, 2, 3)
    summaries = torch.zeros(2, 2, 4, 17)
    values, loss = [], torch.zeros(())
    for image, now in zip(images, features, strict=True):
        if values:
            readout = network.read(now, features[: len(values)], torch.stack(values, 2))
            small = torch.nn.functional.avg_pool2d(masks, 16)
            fused = network.fuse(now.pixels, readout, sensory, small)
            refined, heads = network.object_transformer(fused, summaries, last_head=True)
            logits, sensory = network.decode((now.skip8, now.skip4), refined, sensory)
            hint = network.sensory_head(now.pixels, sensory)
            loss = loss + sum(x.square().mean() for x in (logits, hint, *heads))
            masks = torch.nn.functional.interpolate(logits, scale_factor=4).sigmoid()
        value, sensory, summary = network.encode_masks(image, now.pixels, masks, sensory)
        summaries = summaries + summary
        values.append(value.unflatten(0, (2, 2)))
    loss.backward()
    without = [name for name, p in network.named_parameters() if p.grad is None]
    assert without == []


def test_livos_trains_through_its_state():
    network = tiny_cutie.network("livos").train()
    assert isinstance(network, livos.LiVOS)
    images, masks = clip()
    sensory = torch.zeros(4, tiny_cutie.CONFIG.sensory_dim, 2, 3)
    summaries = torch.zeros(2, 2, 4, 17)
    state, loss = None, torch.zeros(())
    for image in images:
        now = network.encode_images(image)
        if state is None:
            state = LinearState.empty(now.key, tiny_cutie.CONFIG.value_dim).extended(2)
        else:
            small = torch.nn.functional.avg_pool2d(masks, 16)
            fused = network.fuse(now.pixels, state.read(now.key), sensory, small)
            refined, heads = network.object_transformer(fused, summaries, last_head=True)
            logits, sensory = network.decode((now.skip8, now.skip4), refined, sensory)
            hint = network.sensory_head(now.pixels, sensory)
            loss = loss + sum(x.square().mean() for x in (logits, hint, *heads))
            masks = torch.nn.functional.interpolate(logits, scale_factor=4).sigmoid()
        value, sensory, summary = network.encode_masks(image, now.pixels, masks, sensory)
        summaries = summaries + summary
        state = state.seen(now.key).written(now.key, value, now.gate)
    loss.backward()
    without = [name for name, p in network.named_parameters() if p.grad is None]
    assert without == []


@torch.inference_mode()
def test_chunks_change_no_number_outside_the_transformer():
    network = tiny_cutie.network("cutie")
    images, masks = clip(1, 5)
    features = network.encode_images(images[0])
    sensory = torch.randn(10, tiny_cutie.CONFIG.sensory_dim, 2, 3)
    refined = torch.randn(10, tiny_cutie.CONFIG.embed_dim, 2, 3)
    skips = features.skip8, features.skip4
    for whole, parts in (
        (
            network.encode_masks(images[0], features.pixels, masks, sensory),
            network.encode_masks(images[0], features.pixels, masks, sensory, chunk=2),
        ),
        (
            network.decode(skips, refined, sensory),
            network.decode(skips, refined, sensory, chunk=2),
        ),
    ):
        for one, other in zip(whole, parts, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_objects_are_followed_in_any_order():
    network = tiny_cutie.network("cutie")
    images, masks = clip(1, 4)
    order = torch.tensor([2, 0, 3, 1])
    pixels = network.encode_images(images[0]).pixels
    readout = torch.randn(2, 4, tiny_cutie.CONFIG.value_dim, 2, 3)
    sensory = torch.randn(2, 4, tiny_cutie.CONFIG.sensory_dim, 2, 3)
    memory = torch.rand(2, 4, 4, 17)
    small = torch.nn.functional.avg_pool2d(masks, 16)

    def refine(order: torch.Tensor) -> torch.Tensor:
        arguments = (readout[:, order].flatten(0, 1), sensory[:, order].flatten(0, 1))
        refined = network.refine(pixels, *arguments, small[:, order], memory[:, order])
        return refined.unflatten(0, (2, 4))

    expected = refine(torch.arange(4))[:, order]
    torch.testing.assert_close(refine(order), expected, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_padding_objects_do_not_count():
    transformer = ObjectTransformer(16, blocks=2, heads=1, queries=4, hidden=8)
    readout, memory = torch.randn(1, 3, 16, 2, 3), torch.rand(1, 3, 4, 17)
    alone, _ = transformer(readout[0, :2], memory[:, :2])
    selector = torch.tensor([1.0, 1.0, 0.0]).view(1, 3, 1, 1)
    padded, _ = transformer(readout[0], memory, selector)
    torch.testing.assert_close(padded[:2], alone, atol=1e-5, rtol=1e-4)


def test_queries_look_at_their_object_or_at_the_rest():
    logits = torch.full((1, 3, 1, 4), -9.0)
    logits[0, 0, 0, 0] = 5
    logits[0, :2, 0, 1] = 3
    area = attention_area(logits, 4).view(3, 4, 4)
    own = torch.tensor([[1, 1, 0, 0], [0, 1, 0, 0], [1, 1, 1, 1]]).bool()
    rest = torch.tensor([[0, 0, 1, 1], [1, 0, 1, 1], [1, 1, 1, 1]]).bool()
    assert torch.equal(area, torch.stack([own, own, rest, rest], 1))


def test_positions_are_sines_of_the_relative_place():
    positions = SinePositions(8)(3, 5).view(3, 5, 8)
    for y, x in ((0, 0), (1, 3), (2, 4)):
        expected = []
        for step, last in ((x, 4), (y, 2)):
            for power in (0, 1):
                angle = step / last * 32 / 128 ** (power / 2)
                expected += [math.sin(angle), math.cos(angle)]
        torch.testing.assert_close(
            positions[y, x], torch.tensor(expected), atol=1e-4, rtol=0, check_stride=False
        )


@torch.inference_mode()
def test_training_reads_what_inference_reads():
    network = tiny_cutie.network("cutie")
    assert isinstance(network, cutie.Cutie)
    images, _ = clip(3)
    frames = [network.encode_images(image) for image in images]
    values = torch.randn(2, 2, 2, tiny_cutie.CONFIG.value_dim, 2, 3)
    found = network.read(frames[2], frames[:2], values).unflatten(0, (2, 2))
    for image in range(2):
        rows = [memory_rows(tokens(f.key[image]), tokens(f.shrinkage[image])) for f in frames[:2]]
        queries = query_rows(tokens(frames[2].key[image]), tokens(frames[2].selection[image]))
        weights = (queries @ torch.cat(rows).T).softmax(1)
        expected = torch.einsum("qp,nvp->nvq", weights, values[image].movedim(1, 2).flatten(2))
        torch.testing.assert_close(found[image].flatten(2), expected, atol=1e-5, rtol=1e-4)


def test_livos_normaliser_is_stored_with_the_weights(tmp_path):
    """No shape tells it: the file does, and the segmenter reads memory accordingly."""
    found = {}
    for normaliser in NORMALISERS:
        config = dataclasses.replace(tiny_cutie.CONFIG, normaliser=normaliser)
        network = tiny_cutie.network("livos", config)
        write_weights(
            tmp_path / normaliser, "livos", network.state_dict(), note=stored_config(network)
        )
        for suffix in (".pth", ".safetensors"):
            path = (tmp_path / normaliser).with_suffix(suffix)
            assert load_network(path, "livos").config == config
        images, masks = clip(3)
        frames = (images[:, 0] * 255).byte().permute(0, 2, 3, 1).numpy()
        given = (masks[0].argmax(0) + 1).byte().numpy()
        segmenter = adapters.load("livos", path, "cpu", size=-1)
        *_, last = segmenter.segment(Video.from_arrays(frames, {0: given}))
        found[normaliser] = last.probabilities(32, 48)
    for one, other in combinations(NORMALISERS, 2):
        assert (found[one] != found[other]).any()

    state = {
        "model": torch.load(tmp_path / "frame.pth", weights_only=True),
        "config": '{"normaliser": "row"}',
    }
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"stored in .*other\.pth cannot be read"):
        load_network(tmp_path / "other.pth", "livos")
