"""What the networks are put together from: equal to the plain form of each, and trainable."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from adapters import expansion
from adapters.networks import fused, ops
from adapters.networks.affinity import (
    BLOCK,
    memory_rows,
    query_rows,
    read_frames,
    readout,
    similarity,
    top_k,
    top_k_softmax,
    usage,
)
from adapters.networks.blocked import Blocked
from adapters.networks.blocks import ConcatFusion, ResidualBlock, SumFusion, split_conv
from adapters.networks.resnet import (
    LAYOUTS,
    BasicBlock,
    Bottleneck,
    ResNet,
    fold_batch_norm,
    resnet_arguments,
)
from adapters.networks.tmo import bicubic, separate_bicubic


@pytest.mark.parametrize("objects", [1, 3])
def test_what_objects_share_is_computed_once(objects):
    """A convolution over cat[image, object] from its two parts."""
    conv = nn.Conv2d(5 + 4, 6, 3, padding=1)
    image, own = torch.randn(2, 5, 7, 8), torch.randn(2 * objects, 4, 7, 8)
    with torch.no_grad():
        expected = conv(torch.cat([image.repeat_interleave(objects, 0), own], 1))
        answer = split_conv(conv, image, own)
    torch.testing.assert_close(answer, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("out_channels", [9, 6])
def test_a_residual_block_over_image_and_objects(out_channels):
    block = ResidualBlock(5 + 4, out_channels)
    image, own = torch.randn(2, 5, 7, 8), torch.randn(6, 4, 7, 8)
    joined = torch.cat([image.repeat_interleave(3, 0), own], 1)
    torch.testing.assert_close(block(own, image), block(joined), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("depth", LAYOUTS)
def test_resnets_tell_their_shape_and_fold_their_norms(depth):
    network = ResNet(depth, in_channels=5, stages=4, width=4).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    state = {f"part.{name}": value for name, value in network.state_dict().items()}
    assert resnet_arguments(state, "part") == {
        "depth": depth,
        "in_channels": 5,
        "stages": 4,
        "width": 4,
    }
    x = torch.randn(1, 5, 64, 96)
    with torch.no_grad():
        expected = network(x)
        folded = fold_batch_norm(copy.deepcopy(network))(x)
    assert [x.shape[1] for x in expected] == list(network.channels)
    assert [x.shape[2] for x in expected] == [16, 8, 4, 2]
    for one, other in zip(folded, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3 * other.abs().max())


def test_an_unknown_resnet_is_not_guessed():
    state = {f"a.{k}": v for k, v in ResNet(18, width=4).state_dict().items()}
    del state["a.layer2.1.conv1.weight"]
    with pytest.raises(ValueError, match="no ResNet"):
        resnet_arguments(state, "a")


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 40 * BLOCK))
def test_the_largest_of_each_row_are_found(seed, count, columns):
    scores = torch.randn(3, columns, generator=torch.Generator().manual_seed(seed))
    values, places = top_k(scores, count)
    expected = torch.topk(scores, min(count, columns), dim=1).values
    assert torch.equal(values.sort(1, descending=True).values, expected)
    assert torch.equal(scores.gather(1, places), values)


def test_similarity_is_the_weighted_distance():
    key, shrinkage = torch.randn(50, 8), 1 + torch.rand(50, 1)
    query, selection = torch.randn(6, 8), torch.rand(6, 8)
    distance = (selection[:, None] * (key[None] - query[:, None]) ** 2).sum(-1)
    expected = -distance * shrinkage.T / 8**0.5
    answer = similarity(query_rows(query, selection), memory_rows(key, shrinkage))
    torch.testing.assert_close(answer, expected, rtol=1e-4, atol=1e-4)
    plain = similarity(query_rows(query), memory_rows(key, torch.ones(50, 1)))
    torch.testing.assert_close(
        plain, -(torch.cdist(query, key) ** 2) / 8**0.5, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("count", [None, 7])
def test_readouts_are_sparse_matrix_products(count):
    scores, values = torch.randn(9, 40), torch.randn(2, 40, 5)
    weights, columns = top_k_softmax(scores, count)
    dense = torch.zeros(9, 40).scatter(1, columns, weights)
    torch.testing.assert_close(readout(values, weights, columns), dense @ values)
    torch.testing.assert_close(usage(weights, columns, 40), dense.sum(0))
    torch.testing.assert_close(dense.sum(1), torch.ones(9))


def test_whole_frames_are_read_by_weighted_distances():
    """Of every image and object by itself, from distances written out."""
    images, objects, frames, size = 2, 3, 4, (3, 5)

    def features():
        return SimpleNamespace(
            key=torch.randn(images, 6, *size, dtype=torch.float64),
            shrinkage=1 + torch.rand(images, 1, *size, dtype=torch.float64),
            selection=torch.rand(images, 6, *size, dtype=torch.float64),
        )

    query, memory = features(), [features() for _ in range(frames)]
    values = torch.randn(images, objects, frames, 7, *size, dtype=torch.float64)
    found = read_frames(query, memory, values).unflatten(0, (images, objects))
    for b in range(images):
        key = torch.cat([f.key[b].flatten(1) for f in memory], 1)
        shrinkage = torch.cat([f.shrinkage[b].flatten(1) for f in memory], 1)
        asked, chosen = query.key[b].flatten(1), query.selection[b].flatten(1)
        squares = (key[:, None] - asked[:, :, None]).square() * chosen[:, :, None]
        weights = (-shrinkage * squares.sum(0) / 6**0.5).softmax(1)
        for n in range(objects):
            stored = values[b, n].transpose(0, 1).flatten(1)
            expected = (weights @ stored.T).T.unflatten(1, size)
            torch.testing.assert_close(found[b, n], expected)


def test_gradients_reach_everything():
    for fusion in (ConcatFusion(5, 4, 64), SumFusion(5, 4, 64)):
        for _ in range(4):  # a hidden unit of channel attention may be 0 for one input
            fused = fusion(torch.randn(2, 5, 8, 8), torch.randn(6, 4, 8, 8))
            rows = fused.flatten(2).transpose(1, 2)
            weights, columns = top_k_softmax(rows[0] @ rows[1].T, 5)
            readout(rows[2:], weights, columns).square().sum().backward()
        assert all(p.grad is not None and p.grad.any() for p in fusion.parameters())


@given(st.integers(0, 4), st.integers(1, 9))
def test_soft_aggregation_is_that_of_stored_predictions(objects, seed):
    """The networks' (torch) and that of reading masks (numpy)."""
    planes = np.random.default_rng(seed).random((objects, 4, 5), dtype=np.float32)
    planes.reshape(-1)[:3] = (0, 1, 0.5)[: planes.size]
    answer = ops.aggregate(torch.from_numpy(planes))
    np.testing.assert_allclose(answer.numpy(), expansion.aggregate(planes), rtol=1e-4, atol=1e-4)


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([4, 16]))
def test_padding_is_undone(height, width, multiple):
    x = torch.arange(height * width, dtype=torch.float32).view(1, 1, height, width)
    padded, window = ops.pad_to_multiple(x, multiple, -1.0)
    assert padded.shape[2] % multiple == padded.shape[3] % multiple == 0
    assert padded.shape[2] - height < multiple
    assert torch.equal(ops.unpad(padded, window), x)
    assert (padded == -1).sum() == padded.numel() - x.numel()
    top, left, *_ = window
    assert top == (padded.shape[2] - height) // 2
    assert left == (padded.shape[3] - width) // 2


def test_others_is_the_sum_of_the_others():
    masks = torch.rand(3, 4, 5)
    expected = torch.stack([masks[1] + masks[2], masks[0] + masks[2], masks[0] + masks[1]])
    torch.testing.assert_close(ops.others(masks), expected)
    torch.testing.assert_close(ops.others(masks, clamp=True), expected.clamp(0, 1))
    assert not ops.others(masks[:1]).any()


@pytest.mark.parametrize(
    ("size", "short", "expected"),
    [((480, 854), 480, (480, 854)), ((1080, 1920), 480, (480, 853)), ((854, 480), 240, (427, 240))],
)
def test_the_short_side_decides(size, short, expected):
    assert ops.short_side_size(*size, short) == expected


def test_resizing_keeps_what_has_the_size():
    x = torch.rand(1, 2, 5, 6)
    assert ops.resize(x, (5, 6), antialias=True) is x
    small = ops.resize(x, (3, 4), antialias=True)
    torch.testing.assert_close(
        small, F.interpolate(x, (3, 4), mode="bilinear", antialias=True, align_corners=False)
    )


@pytest.mark.parametrize("depth", [10, 18, 26])
def test_fused_resnets_are_the_same_networks(depth):
    torch.manual_seed(depth)
    network = ResNet(depth, stages=4, width=64).eval()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.2, 0.2)
            nn.init.uniform_(part.running_var, 0.5, 2)
    quick = fold_batch_norm(copy.deepcopy(network).to(memory_format=torch.channels_last))
    fused.fuse_blocks(quick)
    assert not any(isinstance(part, (BasicBlock, Bottleneck)) for part in quick.modules())
    sizes = [
        (1, 3, 64, 96),
        (2, 3, 33, 47),
        *((1, 3, 32 + n, 32) for n in range(4)),
        (1, 3, 64, 96),
    ]
    for size in sizes:  # more than are kept
        x = torch.randn(size).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            maps = zip(quick(x), network(x), strict=True)
            for one, other in maps:
                torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * other.abs().max())


@pytest.mark.skipif(not fused.available(), reason="this build of torch has no oneDNN")
@pytest.mark.parametrize("depth", [10, 26])
def test_blocked_resnets_are_the_same_networks(depth):
    network = fold_batch_norm(ResNet(depth, width=16))
    quick = Blocked(copy.deepcopy(network))
    for size in ((1, 3, 64, 96), (2, 3, 33, 47)):
        images = torch.randn(size)
        with torch.inference_mode():
            for one, other in zip(quick(images), network(images), strict=True):
                assert one.is_contiguous()
                torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "target"), [((3, 5), (6, 10)), ((4, 7), (9, 7)), ((1, 1), (2, 2))]
)
def test_bicubic_is_a_product_along_each_side(size, target):
    maps = torch.randn(2, 6, *size)
    torch.testing.assert_close(separate_bicubic(maps, target), bicubic(maps, target))
