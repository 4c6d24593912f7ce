"""The start of a SAM 2 network that is trained from nothing.

From the package's own random weights a small network first learns to predict nothing, then to
repeat masks where they were, and only much later to read memory by appearance. The image features
are nearly the same all over a frame, and nothing tells yet what a mask in memory means.
Here it starts as matching: features are whitened over a few synthetic frames; they enter memory
as they are, and queries and keys are projected alike. One channel, `OBJECT`, carries the given
mask through memory, memory attention and the mask decoder to the logits. All of it is trained
further; no layer is added or fixed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adapters.networks.ops import area_downsample, normalise
from adapters.sam2.config import Sam2Config
from adapters.sam2.model import STOCK_BIAS, STOCK_SCALE
from mose.synthetic import make_clip

OBJECT, ALWAYS = 0, 1
"""Channels: where the object is, and (in the last features alone) a constant."""
VISIBLE = 3.0
"""Object score of an untrained network, so that its masks reach its memory."""
FRAMES = 16
"""This many synthetic frames set the scale of a new network's features."""
FLOOR = 0.1
"""Share of the mean variance: much weaker directions are noise and are not scaled to 1."""
RIDGE = 1e-2
SHARPNESS = 1.2
"""Sharpness of matching: if it is larger, memory is read from fewer places."""
READ = 3.0
"""Weight of the object's channel after memory attention; that of the others is 1."""
QUIET = 0.3
"""Factor on random weights that would otherwise dominate the wired ones."""


@torch.no_grad()
def start_matching(model: Any, config: Sam2Config) -> None:
    """Start a fresh network as matching by appearance, in place; draws from torch's seed."""
    if not config.resnet:
        model.image_encoder.trunk.pos_embed.normal_(std=0.02)
        model.image_encoder.trunk.pos_embed_window.normal_(std=0.02)
    images, masks = _examples(config.image_size)
    _whiten(model, images)
    _prepare_memory(model, masks)
    for layer in model.memory_attention.layers:
        _prepare_attention(layer, model.memory_encoder.out_proj, len(model.memory_attention.layers))
    _prepare_decoder(model)


def _examples(side: int) -> tuple[Tensor, Tensor]:
    """Synthetic frames ``(F, 3, side, side)``, normalised, and masks ``(F, 1, side, side)``."""
    clips = [make_clip(seed, 1, side, side, 1) for seed in range(FRAMES)]
    frames = torch.from_numpy(np.concatenate([clip.frames for clip in clips]))
    masks = torch.from_numpy(np.concatenate([clip.labels for clip in clips]) > 0)
    return normalise(frames.permute(0, 3, 1, 2).float() / 255), masks[:, None].float()


def _whiten(model: Any, images: Tensor) -> None:
    """Coarse features without correlations, fine ones with zero mean and unit deviation."""
    neck, decoder = model.image_encoder.neck, model.sam_mask_decoder
    mean, whitening = _whitening(model.forward_image(images)["backbone_fpn"][-1])
    whitening[OBJECT] = 0
    # With Hiera, stride 16 is the sum of two projections, of strides 16 and 32.
    *coarser, coarse = neck.convs[:-2]
    _then(coarse.conv, whitening, mean)
    for also in coarser:
        _then(also.conv, whitening, torch.zeros_like(mean))
    *fine, _ = model.forward_image(images)["backbone_fpn"]
    for convolution, made in zip((decoder.conv_s0, decoder.conv_s1), fine, strict=True):
        scales = 1 / made.std((0, 2, 3)).clamp(min=1e-6)
        scales[OBJECT] = 0
        _then(convolution, torch.diag(scales), made.mean((0, 2, 3)))
    decoder.conv_s0.weight[ALWAYS] = 0
    decoder.conv_s0.bias[ALWAYS] = 0


def _whitening(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean ``(C,)`` and whitening ``(C, C)`` of ``(B, C, h, w)``; weak directions stay weak."""
    rows = features.transpose(0, 1).flatten(1)
    strengths, directions = torch.linalg.eigh(torch.cov(rows))
    gains = (strengths + FLOOR * strengths.mean()).rsqrt()
    gains = gains / (gains**2 * strengths).mean().sqrt()
    return rows.mean(1), directions @ torch.diag(gains) @ directions.T


def _then(convolution: nn.Conv2d, matrix: Tensor, mean: Tensor) -> None:
    """Change a 1 x 1 convolution so that it gives ``matrix @ (old output - mean)``."""
    assert convolution.bias is not None
    convolution.weight.copy_(torch.einsum("oi,ichw->ochw", matrix, convolution.weight))
    convolution.bias.copy_(matrix @ (convolution.bias - mean))


def _prepare_memory(model: Any, masks: Tensor) -> None:
    """Memory holds image features, projected, and in `OBJECT` the mask as -1 to 1."""
    encoder = model.memory_encoder
    for block in encoder.fuser.layers:
        block.gamma.fill_(0.1)
    nn.init.eye_(encoder.pix_feat_proj.weight[:, :, 0, 0])
    nn.init.zeros_(encoder.pix_feat_proj.bias)
    *layers, last = encoder.mask_downsampler.encoder
    features = nn.Sequential(*layers)(masks * STOCK_SCALE + STOCK_BIAS)
    rows = features.transpose(0, 1).flatten(1).T
    wanted = area_downsample(masks, 16).flatten() * 2 - 1
    rows = torch.cat([rows, torch.ones(len(rows), 1)], 1)
    products = rows.T @ rows / len(rows)
    solved = torch.linalg.solve(
        products + RIDGE * torch.eye(len(products)), rows.T @ wanted / len(rows)
    )
    made = last(features)
    _then(last, torch.diag(QUIET / made.std((0, 2, 3)).clamp(min=1e-6)), made.mean((0, 2, 3)))
    last.weight[OBJECT, :, 0, 0] = solved[:-1]
    last.bias[OBJECT] = solved[-1]
    stored = encoder.out_proj.weight[:, :, 0, 0]
    nn.init.orthogonal_(stored[1:, 1:])
    stored[OBJECT] = 0
    stored[:, OBJECT] = 0
    stored[OBJECT, OBJECT] = 1
    nn.init.zeros_(encoder.out_proj.bias)


def _prepare_attention(layer: Any, out: nn.Conv2d, layers: int) -> None:
    """Make queries and keys alike, and add what is read of the object's channel to it."""
    nn.init.zeros_(layer.self_attn.out_proj.weight)
    attention = layer.cross_attn_image
    nn.init.orthogonal_(attention.q_proj.weight, gain=SHARPNESS)
    attention.q_proj.weight[:, OBJECT] = 0
    attention.k_proj.weight.copy_(attention.q_proj.weight @ out.weight[:, :, 0, 0].T)
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        nn.init.zeros_(getattr(attention, name).bias)
    _wire(attention.v_proj, 1.0)
    _wire(attention.out_proj, READ / layers)
    layer.linear2.weight[OBJECT] = 0
    layer.linear2.bias[OBJECT] = 0


def _wire(linear: nn.Linear, gain: float) -> None:
    """Let `OBJECT` of the output be that of the input alone; the other channels are damped and
    independent of it."""
    linear.weight.mul_(QUIET)
    linear.weight[OBJECT] = 0
    linear.weight[:, OBJECT] = 0
    linear.weight[OBJECT, OBJECT] = gain


def _prepare_decoder(model: Any) -> None:
    """Make logits positive where the object's channel is, and negative elsewhere; all objects are
    visible."""
    decoder = model.sam_mask_decoder
    model.sam_prompt_encoder.no_mask_embed.weight[:, OBJECT] = 0
    for layer in decoder.transformer.layers:
        layer.cross_attn_image_to_token.out_proj.weight[OBJECT] = 0
        layer.cross_attn_image_to_token.out_proj.bias[OBJECT] = 0
    first, _, _, second, _ = decoder.output_upscaling
    for enlarge in (first, second):
        enlarge.weight[:, OBJECT] = 0
        enlarge.weight[OBJECT, OBJECT] = 1
        enlarge.bias[OBJECT] = 0
    second.weight[:, ALWAYS] = 0
    second.bias[ALWAYS] = 1
    for head in decoder.output_hypernetworks_mlps:
        last = head.layers[-1]
        last.weight.mul_(QUIET)
        last.bias.mul_(QUIET)
        last.bias[OBJECT] = 2
        last.bias[ALWAYS] = -2
    decoder.pred_obj_score_head.layers[-1].bias.fill_(VISIBLE)
