"""SAM 2 in training: unrolled as the adapter runs it, learning, written, loaded again."""

import csv
import dataclasses

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tiny_sam2 import CONVOLUTIONAL, SMALLEST, discs, save, weights

import adapters
from adapters.networks.ops import aggregate, area_downsample, normalise
from adapters.sam2.model import STOCK_BIAS, STOCK_SCALE
from finetune.data.batches import ClipBatch
from finetune.models import make_network, write_weights
from finetune.networks.sam2 import load_sam2
from finetune.objective import total_loss
from finetune.recipe import TrainingRecipe
from finetune.start.sam2 import OBJECT, VISIBLE
from finetune.trainer import Trainer
from finetune.training_options import UnrollOptions
from finetune.unroll.base import UnrollInputs
from finetune.unroll.run import unroll
from finetune.unroll.sam2 import unroll_sam2
from mose import InputError, Video
from mose.synthetic import make_clip
from stseg.config import build

pytestmark = pytest.mark.usefixtures("one_thread")

SIZES = {
    "image_size": 64, "embed_dim": 8, "stages": [1, 1, 2, 1], "global_blocks": [3],
    "windows": [8, 4, 4, 2], "d_model": 32, "memory_dim": 16, "attention_layers": 1,
    "feedforward": 32, "fuser_layers": 1,
}  # fmt: skip
XMEM = {
    "image_depth": 10, "image_width": 12, "mask_depth": 10, "mask_width": 12, "key_dim": 8,
    "value_dim": 8, "sensory_dim": 8, "sensory_hidden": 8, "decoder_dims": [8, 8, 8],
}  # fmt: skip
SIDE, FRAMES = 64, 5
LOSS = {"hardest": 1, "focal": 20, "mask_iou": 1, "object_score": 1, "cross_entropy": 0}


def recipe(**changes):
    values = {
        "network": "sam2",
        "sizes": SIZES,
        "batch": 2,
        "steps": 16,
        "data": {"size": 64, "frames": 3, "objects": 2, "preset": "easy"},
        "optimiser": {"rate": 5e-3, "clip": 3},
        "loss": LOSS,
    }
    return build(TrainingRecipe, values | changes, "a test")


def discs_clip(objects=3):
    """Two clips of discs, the second with one object less: a batch with padding."""
    pictures, ids = discs(FRAMES, objects, SIDE, SIDE)
    frames = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) / 255
    masks = torch.stack(
        [torch.from_numpy(np.stack(ids)) == 1 + 3 * i for i in range(objects)], 1
    ).float()
    fewer = masks.clone()
    fewer[:, -1] = 0
    valid = torch.tensor([[True] * objects, [True] * (objects - 1) + [False]])
    batch = ClipBatch(torch.stack([frames, frames]), torch.stack([masks, fewer]), valid)
    return batch, pictures, ids


@pytest.mark.parametrize(
    ("config", "score"), [(SMALLEST, 2.3), (SMALLEST, -2.3), (CONVOLUTIONAL, 2.3)]
)
def test_a_clip_is_unrolled_as_the_adapter_runs_it(tmp_path, config, score):
    """Also where every object is taken to be absent, which memory then says."""
    path = save(tmp_path, config, weights(config, score))
    batch, pictures, ids = discs_clip()
    video = Video.from_arrays(np.stack(pictures), {0: ids[0]})
    found = list(adapters.load("sam2", path).segment(video))[1:]
    model = load_sam2(path).eval()
    with torch.no_grad():
        ours = unroll("sam2", model, UnrollInputs(batch, UnrollOptions(), 0))
    presence = np.stack([frame.presence for frame in found])
    torch.testing.assert_close(
        ours.score[0].sigmoid(), torch.from_numpy(presence), atol=2e-3, rtol=0
    )
    if score < 0:
        return
    native = torch.from_numpy(np.stack([frame.native for frame in found]))
    chances = torch.nn.functional.interpolate(native, (SIDE, SIDE), mode="bilinear").sigmoid()
    torch.testing.assert_close(
        ours.odds[0].softmax(1), aggregate(chances, 1).softmax(1), atol=5e-3, rtol=0
    )
    # What is padded is background, and the others do not know of it.
    assert ours.odds[1].softmax(1)[:, -1].max() < 1e-3
    torch.testing.assert_close(ours.score[1, :, :2], ours.score[0, :, :2], atol=2e-3, rtol=0)


def test_gradients_reach_memory_through_time():
    model = make_network(recipe())
    batch, *_ = discs_clip()
    found = unroll("sam2", model, UnrollInputs(batch, UnrollOptions(), 0))
    total_loss(found, recipe().loss, 0.0)[0].backward()
    for name in (
        "memory_attention.layers.0.cross_attn_image.k_proj.weight",
        "memory_encoder.pix_feat_proj.weight",
        "memory_encoder.mask_downsampler.encoder.0.weight",
        "obj_ptr_proj.layers.0.weight",
        "image_encoder.trunk.patch_embed.proj.weight",
        "sam_mask_decoder.iou_prediction_head.layers.0.weight",
        "sam_mask_decoder.pred_obj_score_head.layers.0.weight",
        "maskmem_tpos_enc",
    ):
        gradient = model.get_parameter(name).grad
        assert gradient is not None, name
        assert gradient.abs().sum() > 0, name


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_loss_of_matching_teaches_what_memory_attention_matches(checkpointing):
    alone = recipe(loss={"cross_entropy": 0, "dice": 0, "matching": 1, "hardest": 1})
    model, (batch, *_) = make_network(alone), discs_clip()
    options = UnrollOptions(checkpointing=checkpointing)
    found = unroll("sam2", model, UnrollInputs(batch, options, 0, matching=True))
    assert found.matched.shape == (2, FRAMES - 1, 3, SIDE // 16, SIDE // 16)
    assert found.matched.min() >= 0
    assert found.matched.max() <= 1 + 1e-5
    assert found.matched[1, :, -1].max() == 0  # padded
    # A softmax reads a mask that is everywhere as it is.
    everywhere = dataclasses.replace(batch, masks=torch.ones_like(batch.masks))
    read = unroll(
        "sam2", model, UnrollInputs(everywhere, UnrollOptions(), 0, matching=True)
    ).matched
    torch.testing.assert_close(
        read[batch.valid[:, None].expand(-1, FRAMES - 1, -1)].min(), torch.tensor(1.0)
    )
    total_loss(found, alone.loss, 0.0)[0].backward()
    taught = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    attention = "memory_attention.layers.0.cross_attn_image."
    assert {attention + "q_proj.weight", attention + "k_proj.weight"} <= taught
    assert not any(name.startswith("sam_mask_decoder.iou_prediction_head") for name in taught)


def test_a_fresh_network_sees_its_objects():
    batch, *_ = discs_clip()
    with torch.no_grad():
        found = unroll_sam2(make_network(recipe()), UnrollInputs(batch, UnrollOptions(), 0))
    assert (found.score[found.valid] - VISIBLE).abs().max() < 1


def test_a_fresh_network_remembers_what_things_look_like_and_where_the_object_is():
    model = make_network(recipe(sizes=SIZES | {"image_size": 128}))
    clip = make_clip(1000, 1, 128, 128, 1)
    frames = normalise(torch.from_numpy(clip.frames).permute(0, 3, 1, 2).float() / 255)
    masks = torch.from_numpy(clip.labels > 0)[:, None].float()
    with torch.no_grad():
        coarse = model.forward_image(frames)["backbone_fpn"][-1]
        scaled = masks * STOCK_SCALE + STOCK_BIAS
        stored = model.memory_encoder(coarse, scaled, skip_mask_sigmoid=True)["vision_features"]
    assert coarse[:, OBJECT].abs().max() == 0
    # Over a frame features differ by more than they have in common.
    assert coarse.std((2, 3)).mean() > coarse.mean((2, 3)).abs().mean()
    where = torch.stack([stored[:, OBJECT].flatten(), area_downsample(masks, 16).flatten()])
    assert torch.corrcoef(where)[0, 1] > 0.9


def test_the_length_of_the_video_moves_pointers():
    model, (batch, *_) = make_network(recipe()), discs_clip()
    with torch.no_grad():
        own, same, longer = (
            unroll("sam2", model, UnrollInputs(batch, UnrollOptions(video_frames=n), 0)).odds
            for n in (0, FRAMES, 16)
        )
    assert torch.equal(own, same)
    assert not torch.equal(own, longer)


def test_training_lowers_the_loss_and_the_adapter_loads_the_weights(tmp_path):
    trainer = Trainer(recipe(), tmp_path)
    batch, pictures, ids = discs_clip(2)
    trainer.make_batches = lambda: lambda number: batch
    trainer.run()
    with open(tmp_path / "log.csv", newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    video = Video.from_arrays(np.stack(pictures), {0: ids[0]})
    state = trainer.network.state_dict()
    for suffix in (".safetensors", ".pth"):
        segmenter = adapters.load("sam2", tmp_path / f"last{suffix}")
        assert len(list(segmenter.segment(video))) == FRAMES
        again = load_sam2(tmp_path / f"last{suffix}")
        assert again.config.windows == (8, 4, 4, 2)
        assert all(torch.equal(state[name], t) for name, t in again.state_dict().items())


def test_checkpoints_are_those_of_the_package(tmp_path):
    model = make_network(recipe())
    write_weights(tmp_path / "x", "sam2", model.state_dict(), note=model.config.json())
    stored = torch.load(tmp_path / "x.pth", weights_only=True)
    assert stored["model"].keys() == model.state_dict().keys()
    with safe_open(str(tmp_path / "x.safetensors"), "pt") as file:
        assert set(file.keys()) == set(stored["model"])
        assert file.metadata() == {"config": stored["config"]}


def test_further_training_works_at_the_size_of_the_clips(tmp_path):
    """Not at that of the checkpoint, to which larger clips would be made smaller."""
    first = make_network(recipe())
    write_weights(tmp_path / "x", "sam2", first.state_dict(), note=first.config.json())
    start = str(tmp_path / "x.safetensors")
    again = make_network(recipe(weights=start, sizes={}, data={"size": 2 * SIDE}))
    assert first.config.image_size == SIDE
    assert again.config.image_size == 2 * SIDE
    write_weights(tmp_path / "y", "sam2", again.state_dict(), note=again.config.json())
    assert load_sam2(tmp_path / "y.safetensors").config.image_size == 2 * SIDE


def test_a_start_from_another_size(tmp_path):
    """What has the same shape starts from there: all of it but what the size decides."""
    first = make_network(recipe())
    write_weights(tmp_path / "x", "sam2", first.state_dict(), note=first.config.json())
    start = str(tmp_path / "x.safetensors")
    larger = recipe(sizes=SIZES | {"image_size": 128}, warm_start=start, seed=1)
    again = make_network(larger)
    assert again.config.image_size == 128
    for name, tensor in first.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    torch.save({"x": torch.zeros(1)}, tmp_path / "other.pth")
    other = recipe(warm_start=str(tmp_path / "other.pth"))
    with pytest.raises(InputError, match="cannot start another network"):
        make_network(other)


def test_a_start_from_an_image_encoder_that_has_learnt(tmp_path):
    """What memory does with its features is then made for them."""
    learnt = make_network(
        build(TrainingRecipe, {"network": "xmem", "sizes": XMEM, "seed": 5}, "a test")
    )
    write_weights(tmp_path / "x", "xmem", learnt.state_dict())
    sizes = SIZES | {"resnet": 10, "embed_dim": 12}
    plain = make_network(recipe(sizes=sizes))
    model = make_network(recipe(sizes=sizes, warm_start=str(tmp_path / "x.safetensors")))
    trunk, taken = model.image_encoder.trunk.state_dict(), learnt.image_encoder.state_dict()
    assert all(torch.equal(tensor, taken[name]) for name, tensor in trunk.items())
    assert not torch.equal(plain.image_encoder.neck.convs[0].conv.weight,
                           model.image_encoder.neck.convs[0].conv.weight)  # fmt: skip
    with torch.no_grad():
        found = unroll("sam2", model, UnrollInputs(discs_clip()[0], UnrollOptions(), 0))
    assert (found.score[found.valid] - VISIBLE).abs().max() < 1
