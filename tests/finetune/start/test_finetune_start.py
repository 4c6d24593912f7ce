"""What a training starts from."""

import math
from pathlib import Path

import pytest
import torch
from small_recipes import SIZES, recipe

from adapters.networks.affinity import tokens
from adapters.networks.linear_matching import NORMALISERS
from finetune import losses
from finetune.models import make_network, write_weights
from finetune.objective import total_loss
from finetune.start.livos import cluster_keys
from finetune.trainer import Trainer
from finetune.training_options import LossOptions, UnrollOptions
from finetune.unroll.base import Predictions, UnrollInputs
from finetune.unroll.run import unroll
from mose import InputError


def test_a_warm_start_takes_what_two_models_share(tmp_path):
    xmem = make_network(recipe("xmem"))
    with torch.no_grad():
        for parameter in xmem.parameters():
            parameter.fill_(0.25)
    write_weights(tmp_path / "xmem", "xmem", xmem.state_dict())
    cold = make_network(recipe("cutie")).state_dict()
    warm = make_network(recipe("cutie", warm_start=str(tmp_path / "xmem.safetensors")))
    changed = {n for n, t in warm.state_dict().items() if not torch.equal(t, cold[n])}
    assert "image_encoder.conv1.weight" in changed
    assert any(name.startswith("mask_encoder.") for name in changed)
    assert not any("object_transformer" in name for name in changed)
    shared = {n: t for n, t in warm.named_parameters() if n in changed}
    assert all((t == 0.25).all() for t in shared.values())


def test_a_warm_start_gives_tmo_both_of_its_encoders(tmp_path):
    xmem = make_network(recipe("xmem"))
    write_weights(tmp_path / "xmem", "xmem", xmem.state_dict())
    sizes = {"resnet": [10, 12], "channels": 16}
    tmo = make_network(recipe("tmo", sizes=sizes, warm_start=str(tmp_path / "xmem.safetensors")))
    for encoder in (tmo.appearance, tmo.motion):
        assert torch.equal(encoder.body.conv1.weight, xmem.image_encoder.conv1.weight)


def test_encoders_of_another_model_take_the_place_of_ones_own(tmp_path):
    for name in ("xmem", "cutie"):
        network = make_network(recipe(name, seed=len(name)))
        write_weights(tmp_path / name, name, network.state_dict())
    weights, encoders = (str(tmp_path / f"{name}.safetensors") for name in ("xmem", "cutie"))
    before, theirs = (
        make_network(recipe(name, sizes={}, weights=path)).state_dict()
        for name, path in (("xmem", weights), ("cutie", encoders))
    )
    mixed = make_network(recipe("xmem", sizes={}, weights=weights, encoders=encoders)).state_dict()
    for name, tensor in mixed.items():
        source = theirs if name.startswith(("image_encoder.", "mask_encoder.")) else before
        assert torch.equal(tensor, source[name]), name
    assert not torch.equal(
        before["image_encoder.conv1.weight"], theirs["image_encoder.conv1.weight"]
    )
    with pytest.raises(InputError, match="encoders goes with weights"):
        recipe("xmem", encoders=encoders)


@pytest.mark.parametrize(
    "rank", [pytest.param(0, marks=pytest.mark.slow), SIZES["cutie"]["key_dim"]]
)
def test_livos_keys_start_as_clusters_of_the_keys_of_a_cutie(tmp_path, rank):
    """Shares are a softmax of what is linear in Cutie's key, and every channel wins somewhere."""
    cutie = make_network(recipe("cutie", seed=3)).eval()
    write_weights(tmp_path / "cutie", "cutie", cutie.state_dict())
    source = str(tmp_path / "cutie.safetensors")
    sizes = SIZES["livos"] | {"key_dim": 6, "key_rank": rank, "normaliser": "regression"}
    made = recipe("livos", sizes=sizes, warm_start=source, keys=source)
    network = make_network(made)
    assert network.training
    network.eval()
    batches = Trainer(made, tmp_path).make_batches()
    images = torch.cat([batches(number).frames[0] for number in range(8)])
    with torch.no_grad():
        theirs = tokens(cutie.encode_images(images).key).flatten(0, 1)
        found = network.encode_images(images)
    shares = tokens(found.key).flatten(0, 1)
    logits = shares.log() - shares.log().mean(1, keepdim=True)
    known = torch.cat([theirs, torch.ones_like(theirs[:, :1])], 1)
    fit = torch.linalg.lstsq(known.double(), logits.double()).solution
    torch.testing.assert_close(known.double() @ fit, logits.double(), atol=1e-3, rtol=1e-3)
    assert len(shares.argmax(1).unique()) == 6
    assert (found.gate > 0.95).all()
    again = make_network(made).state_dict()
    assert all(torch.equal(t, again[n]) for n, t in network.state_dict().items())


def test_livos_keys_need_those_of_a_cutie(tmp_path):
    for name, sizes in (("xmem", {}), ("cutie", {"pixel_dim": 12})):
        network = make_network(recipe(name, sizes=SIZES[name] | sizes))
        write_weights(tmp_path / name, name, network.state_dict())
        with pytest.raises(InputError, match="has no keys that LiVOS's can start from"):
            make_network(recipe("livos", keys=str(tmp_path / f"{name}.safetensors")))
    write_weights(tmp_path / "own", "cutie", make_network(recipe("cutie")).state_dict())
    narrow = SIZES["livos"] | {"key_rank": 4}
    with pytest.raises(InputError, match="with their key_rank, if they have one, as its key_dim"):
        make_network(recipe("livos", sizes=narrow, keys=str(tmp_path / "own.safetensors")))
    with pytest.raises(InputError, match="keys goes with sizes of a LiVOS"):
        recipe("cutie", keys="x.pth")
    with pytest.raises(InputError, match="keys goes with sizes of a LiVOS"):
        recipe("livos", sizes={}, weights="x.pth", keys="x.pth")


def test_a_warm_start_needs_something_to_share(tmp_path):
    torch.save(
        {"fc.weight": torch.zeros(2), "layer1.0.conv1.weight": torch.zeros(2)}, tmp_path / "r.pth"
    )
    with pytest.raises(InputError, match="looks like a plain ResNet classifier"):
        make_network(recipe("xmem", warm_start=str(tmp_path / "r.pth")))
    with pytest.raises(InputError, match="goes with sizes"):
        recipe("xmem", sizes={}, weights="x.pth", warm_start="y.pth")


@pytest.mark.parametrize(
    ("network", "more"),
    [("xmem", {}), ("cutie", {}), *(("livos", {"normaliser": n}) for n in NORMALISERS)],
)
def test_the_loss_of_matching_teaches_the_keys_alone(network, more, tmp_path):
    alone = {"cross_entropy": 0, "dice": 0, "matching": 1, "hardest": 1}
    trainer = Trainer(recipe(network, sizes=SIZES[network] | more, loss=alone), tmp_path)
    clips = trainer.make_batches()(0)
    found = unroll(network, trainer.network, UnrollInputs(clips, trainer.recipe.unroll, 0))
    assert found.matched is not None
    assert found.matched.min() >= 0
    assert found.matched.max() <= 1 + 1e-5
    loss, terms = total_loss(found, trainer.recipe.loss, 0.0)
    assert terms.keys() == {"matching"}
    loss.backward()
    gradients = {n: p.grad for n, p in trainer.network.named_parameters()}
    taught = {n for n, grad in gradients.items() if grad is not None and grad.any()}
    assert any(name.startswith("key_projection.") for name in taught)
    assert not any(name.startswith(("decoder.", "mask_encoder.")) for name in taught)


def test_masks_of_a_frame_match_themselves():
    masks = torch.zeros(1, 1, 2, 4, 4)
    masks[..., 0, :2, :], masks[..., 1, 3, :] = 1, 1
    odds = torch.zeros(1, 1, 3, 64, 64)
    whole = masks[0].repeat_interleave(16, -1).repeat_interleave(16, -2)[None]
    valid = torch.ones(1, 1, 2, dtype=torch.bool)
    options = LossOptions(cross_entropy=0, dice=0, matching=1)
    right, wrong = (
        float(total_loss(Predictions(odds, whole, valid, matched=m), options, 0.0)[0])
        for m in (masks, 1 - masks)
    )
    assert right < 0.01 < 1 < wrong


@pytest.mark.parametrize(
    "network", ["livos", *(pytest.param(n, marks=pytest.mark.slow) for n in ("xmem", "cutie"))]
)
def test_what_is_forgotten_must_be_read_from_memory(network):
    """With everything forgotten, no gradient passes through what is carried on."""
    made = recipe(network)
    clips = Trainer(made, Path("nowhere")).make_batches()(0)

    def taught(forget):
        torch.manual_seed(0)
        trainer = make_network(made)
        found = unroll(network, trainer, UnrollInputs(clips, UnrollOptions(forget=forget), 0))
        total_loss(found, made.loss, 0.0)[0].backward()
        return found.odds.detach(), {
            name
            for name, parameter in trainer.named_parameters()
            if "sensory" in name and parameter.grad is not None and parameter.grad.any()
        }

    (all_kept, carried), (some, _), (none_kept, left) = map(taught, (0.0, 0.5, 1.0))
    assert any(name.startswith("decoder.sensory") for name in carried)
    assert not any(name.startswith(("decoder.sensory", "deep_sensory")) for name in left)
    assert not torch.equal(all_kept, none_kept)
    assert not torch.equal(some, none_kept)
    torch.testing.assert_close(all_kept, taught(0.0)[0])


@pytest.mark.parametrize("network", ["xmem", "cutie", "livos"])
def test_masks_update_the_sensory_memory_on_a_share_of_the_frames(network):
    made = recipe(network, data={"size": 64, "frames": 6, "objects": 2, "preset": "easy"})
    clips = Trainer(made, Path("nowhere")).make_batches()(0)
    torch.manual_seed(0)
    trained, updates = make_network(made), []
    plain = trained.encode_masks

    def encode_masks(*args, deep_update=True, **named):
        updates.append(deep_update)
        return plain(*args, deep_update=deep_update, **named)

    trained.encode_masks = encode_masks
    found = {}
    for share in (0.0, 0.5, 1.0):
        with torch.no_grad():
            options = UnrollOptions(deep_update=share)
            found[share] = unroll(network, trained, UnrollInputs(clips, options, 3)).odds
    never, some, always = updates[:5], updates[5:10], updates[10:]
    assert never == [True, False, False, False, False]
    assert always == [True] * 5
    assert some[0]
    assert 1 < sum(some) < 5
    assert not torch.equal(found[0.0], found[1.0])


def test_spread_is_least_where_all_channels_are_used_alike():
    even, one = torch.full((2, 8), 1 / 8), torch.eye(8)[:2]
    assert float(losses.spread(even)) == pytest.approx(0, abs=1e-6)
    assert float(losses.spread(one)) == pytest.approx(math.log(8), abs=1e-5)
    chances = torch.rand(2, 8, dtype=torch.float64).softmax(1).requires_grad_()
    assert torch.autograd.gradcheck(losses.spread, chances)


def test_spread_needs_keys_that_are_shares(tmp_path):
    alone = {"cross_entropy": 0, "dice": 0, "spread": 1, "hardest": 1}
    trainer = Trainer(recipe("livos", loss=alone), tmp_path)
    found = unroll(
        "livos", trainer.network, UnrollInputs(trainer.make_batches()(0), UnrollOptions(), 0)
    )
    torch.testing.assert_close(found.usage.sum(1), torch.ones(1))
    assert total_loss(found, trainer.recipe.loss, 0.0)[1].keys() == {"spread"}
    other = Trainer(recipe("xmem", loss=alone), tmp_path)
    found = unroll("xmem", other.network, UnrollInputs(other.make_batches()(0), UnrollOptions(), 0))
    with pytest.raises(InputError, match=r"loss\.spread has a weight"):
        total_loss(found, other.recipe.loss, 0.0)
    with pytest.raises(InputError, match=r"unroll\.forget .*is 2"):
        recipe("livos", unroll={"forget": 2})


def test_keys_are_clustered_where_they_are():
    generator = torch.Generator().manual_seed(0)
    places = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    keys = places.repeat(50, 1) + 0.1 * torch.randn(150, 2, generator=generator)
    clusters = cluster_keys(keys, 3, seed=1)
    order = clusters.places.sum(1).argsort()
    distances = torch.cdist(clusters.places[order], places).min(1).values
    assert distances.max() < 0.2
    assert 0 < clusters.softness < 0.1
