"""Mix Transformer, the encoder of SegFormer (Xie et al. 2021, section 3.1).

Four stages at strides 4, 8, 16 and 32. Each embeds overlapping patches, runs blocks of
spatial-reduction attention and a feed-forward part with a depth-wise convolution, and ends
in a layer norm whose output is the stage's feature map. Layer norms use eps 1e-5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDES = (4, 2, 2, 2)
PATCHES = (7, 3, 3, 3)


@dataclass(frozen=True)
class SegformerConfig:
    """Sizes of a Mix Transformer; the defaults are those of MiT-B1.

    widths       channels per stage; the first is the width of one attention head, so each
                 must be a multiple of it (1, 2, 5 and 8 heads in MiT)
    depths       blocks per stage
    reductions   keys and values are pooled by this factor along both axes
    expansion    hidden channels of the feed-forward part per input channel
    """

    widths: tuple[int, int, int, int] = (64, 128, 320, 512)
    depths: tuple[int, int, int, int] = (2, 2, 2, 2)
    reductions: tuple[int, int, int, int] = (8, 4, 2, 1)
    expansion: int = 4


class Segformer(nn.Module):
    """``(B, 3, H, W)`` normalised images to the maps at strides 4, 8, 16 and 32."""

    def __init__(self, config: SegformerConfig):
        super().__init__()
        self.stages = nn.ModuleList(SegformerStage(config, stage) for stage in range(4))

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = []
        for stage in self.stages:
            images = stage(images)
            maps.append(images)
        return maps


class SegformerStage(nn.Module):
    """Patch embedding, blocks, layer norm: ``(B, C_in, H, W)`` to ``(B, C, H/s, W/s)``.

    stage   0 to 3
    """

    def __init__(self, config: SegformerConfig, stage: int):
        super().__init__()
        channels_in = config.widths[stage - 1] if stage else 3
        channels, patch = config.widths[stage], PATCHES[stage]
        heads, reduction = channels // config.widths[0], config.reductions[stage]
        self.embed = nn.Conv2d(channels_in, channels, patch, STRIDES[stage], patch // 2)
        self.embed_norm = nn.LayerNorm(channels)
        self.blocks = nn.ModuleList(
            Block(channels, heads, reduction, config.expansion) for _ in range(config.depths[stage])
        )
        self.norm = nn.LayerNorm(channels)

    def forward(self, images: Tensor) -> Tensor:
        grid = self.embed(images)
        size = grid.shape[2:]
        tokens = self.embed_norm(to_tokens(grid))
        for block in self.blocks:
            tokens = block(tokens, size)
        return to_grid(self.norm(tokens), size)


class Block(nn.Module):
    """Attention and feed-forward part, each on the normalised tokens with a residual."""

    def __init__(self, channels: int, heads: int, reduction: int, expansion: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attention = PooledAttention(channels, heads, reduction)
        self.norm2 = nn.LayerNorm(channels)
        self.feed_forward = MixFeedForward(channels, expansion)

    def forward(self, tokens: Tensor, size: torch.Size) -> Tensor:
        tokens = tokens + self.attention(self.norm1(tokens), size)
        return tokens + self.feed_forward(self.norm2(tokens), size)


class PooledAttention(nn.Module):
    """Multi-head attention to keys and values pooled by a strided convolution."""

    def __init__(self, channels: int, heads: int, reduction: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        self.pool: nn.Conv2d | None = None
        if reduction > 1:
            self.pool = nn.Conv2d(channels, channels, reduction, reduction)
            self.pool_norm = nn.LayerNorm(channels)

    def forward(self, tokens: Tensor, size: torch.Size) -> Tensor:
        source = tokens
        if self.pool is not None:
            source = self.pool_norm(to_tokens(self.pool(to_grid(tokens, size))))
        query, key, value = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, x in ((self.query, tokens), (self.key, source), (self.value, source))
        )
        read = F.scaled_dot_product_attention(query, key, value)
        return self.out(read.transpose(1, 2).flatten(2))


class MixFeedForward(nn.Module):
    """Linear, depth-wise 3x3 convolution, GELU, linear."""

    def __init__(self, channels: int, expansion: int):
        super().__init__()
        hidden = channels * expansion
        self.expand = nn.Linear(channels, hidden)
        self.mix = nn.Conv2d(hidden, hidden, 3, 1, 1, groups=hidden)
        self.contract = nn.Linear(hidden, channels)

    def forward(self, tokens: Tensor, size: torch.Size) -> Tensor:
        mixed = self.mix(to_grid(self.expand(tokens), size))
        return self.contract(F.gelu(to_tokens(mixed)))


def segformer_config_of(state: Mapping[str, Tensor], prefix: str = "") -> SegformerConfig:
    """The sizes behind a `Segformer`'s state dict under ``prefix``; `KeyError` if it is none."""
    widths, depths, reductions = [], [], []
    for stage in range(4):
        root = f"{prefix}stages.{stage}"
        widths.append(state[f"{root}.embed.weight"].shape[0])
        depths.append(0)
        while f"{root}.blocks.{depths[-1]}.norm1.weight" in state:
            depths[-1] += 1
        pool = state.get(f"{root}.blocks.0.attention.pool.weight")
        reductions.append(1 if pool is None else pool.shape[-1])
    expand = state[f"{prefix}stages.0.blocks.0.feed_forward.expand.weight"]
    return SegformerConfig(
        tuple(widths),  # type: ignore[arg-type]
        tuple(depths),  # type: ignore[arg-type]
        tuple(reductions),  # type: ignore[arg-type]
        expand.shape[0] // widths[0],
    )


def to_tokens(grid: Tensor) -> Tensor:
    """``(B, C, H, W)`` to ``(B, H * W, C)``; free for a channels-last map."""
    return grid.flatten(2).transpose(1, 2)


def to_grid(tokens: Tensor, size: torch.Size) -> Tensor:
    """``(B, H * W, C)`` to ``(B, C, H, W)``, channels last and without a copy."""
    return tokens.transpose(1, 2).unflatten(2, size)


OFFICIAL_NAMES = (
    ("stages.#.embed.~", "patch_embeddings.#.proj.~"),
    ("stages.#.embed_norm.~", "patch_embeddings.#.layer_norm.~"),
    ("stages.#.norm.~", "layer_norm.#.~"),
    ("stages.#.blocks.#.norm1.~", "block.#.#.layer_norm_1.~"),
    ("stages.#.blocks.#.attention.query.~", "block.#.#.attention.self.query.~"),
    ("stages.#.blocks.#.attention.key.~", "block.#.#.attention.self.key.~"),
    ("stages.#.blocks.#.attention.value.~", "block.#.#.attention.self.value.~"),
    ("stages.#.blocks.#.attention.pool.~", "block.#.#.attention.self.sr.~"),
    ("stages.#.blocks.#.attention.pool_norm.~", "block.#.#.attention.self.layer_norm.~"),
    ("stages.#.blocks.#.attention.out.~", "block.#.#.attention.output.dense.~"),
    ("stages.#.blocks.#.norm2.~", "block.#.#.layer_norm_2.~"),
    ("stages.#.blocks.#.feed_forward.expand.~", "block.#.#.mlp.dense1.~"),
    ("stages.#.blocks.#.feed_forward.mix.~", "block.#.#.mlp.dwconv.dwconv.~"),
    ("stages.#.blocks.#.feed_forward.contract.~", "block.#.#.mlp.dense2.~"),
)
"""The project's names and those of SegFormer's encoder in ``transformers`` 4.30, as templates
of `adapters.networks.naming.Naming`. Release 5 of that package renamed its own."""
