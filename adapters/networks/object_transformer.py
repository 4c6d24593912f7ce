"""Object queries that read pixels and write back to them (Cutie, Cheng et al. 2024, section 3.2).

Every object has a few queries, made from learned embeddings and from what the object
memory says of it. In each block they read the object's pixel features, the first half of
them only foreground, the second half only background, and the pixels then read the queries.
What is foreground is decided between all objects of one call, so objects that are processed
together influence each other.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapters.networks.affinity import tokens
from adapters.networks.blocks import ChannelAttentionBlock
from adapters.networks.ops import aggregate

POSITION_SCALE = 32.0
POSITION_TEMPERATURE = 128.0
AREA_EPS = 1e-4


class SinePositions(nn.Module):
    """Sine and cosine of the pixel position, normalised by the size of the map.

    dim channels: the first half tells x, the second half y; sines and cosines alternate.
    """

    frequencies: Tensor

    def __init__(self, dim: int):
        super().__init__()
        per_axis = dim // 2
        exponents = torch.arange(0, per_axis, 2).float() / per_axis
        self.register_buffer("frequencies", 1.0 / POSITION_TEMPERATURE**exponents)

    def forward(self, height: int, width: int) -> Tensor:
        """``(height * width, dim)``."""
        down = self._axis(height)[:, None].expand(-1, width, -1)
        across = self._axis(width)[None].expand(height, -1, -1)
        return torch.cat([across, down], dim=-1).flatten(0, 1)

    def _axis(self, length: int) -> Tensor:
        steps = torch.arange(length, device=self.frequencies.device, dtype=self.frequencies.dtype)
        angles = (steps / (steps[-1] + 1e-6) * POSITION_SCALE)[:, None] * self.frequencies
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


class Attention(nn.Module):
    """Multi-head attention; queries and keys may carry positions that values do not."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.inputs = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)

    def forward(
        self, queries: Tensor, keys: Tensor, values: Tensor, allowed: Tensor | None = None
    ) -> Tensor:
        """``(B, Q, C)`` from queries ``(B, Q, C)``, keys and values ``(B, P, C)``.

        allowed   ``(B, Q, P) bool``, False where a query may not look; None: everywhere
        """
        weights = self.inputs.weight.chunk(3)
        biases = self.inputs.bias.chunk(3)
        q, k, v = (
            self._split(F.linear(x, weight, bias))
            for x, weight, bias in zip((queries, keys, values), weights, biases, strict=True)
        )
        mask = None if allowed is None else allowed[:, None]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.output(mixed.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Two layers around a ReLU, added to their input (normalised first)."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.expand = nn.Linear(dim, hidden)
        self.reduce = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.reduce(F.relu(self.expand(self.norm(x))))


class QueryBlock(nn.Module):
    """Queries read pixels, then each other; pixels read queries, then their neighbours."""

    def __init__(self, dim: int, heads: int, hidden: int):
        super().__init__()
        self.pixel_norm = nn.LayerNorm(dim)
        self.read_pixels = Attention(dim, heads)
        self.query_norm = nn.LayerNorm(dim)
        self.read_each_other = Attention(dim, heads)
        self.feed_forward = FeedForward(dim, hidden)
        self.read_queries = Attention(dim, heads)
        self.pixel_block = ChannelAttentionBlock(dim)

    def forward(
        self,
        queries: Tensor,
        pixels: Tensor,
        query_positions: Tensor,
        pixel_positions: Tensor,
        allowed: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Queries ``(G, Q, C)`` and pixels ``(G, C, h, w)`` of G objects, both updated.

        query_positions ``(G, Q, C)``, pixel_positions ``(G, h * w, C)``,
        allowed ``(G, Q, h * w) bool``
        """
        height, width = pixels.shape[-2:]
        flat = tokens(pixels)
        placed = flat + pixel_positions
        # The residual of an attention is its normalised input, not the input itself.
        x = self.pixel_norm(queries)
        x = x + self.read_pixels(x + query_positions, placed, flat, allowed)
        x = self.query_norm(x)
        positioned = x + query_positions
        x = x + self.read_each_other(positioned, positioned, x)
        x = self.feed_forward(x)
        flat = flat + self.read_queries(placed, x + query_positions, x)
        pixels = flat.transpose(1, 2).unflatten(2, (height, width))
        return x, self.pixel_block(pixels)


class ObjectTransformer(nn.Module):
    """Refines the readout of each object with the object memory."""

    def __init__(self, dim: int, *, blocks: int, heads: int, queries: int, hidden: int):
        super().__init__()
        self.queries = queries
        self.query_start = nn.Parameter(torch.randn(queries, dim))
        self.query_position = nn.Parameter(torch.randn(queries, dim))
        self.memory_to_start = nn.Linear(dim, dim)
        self.memory_to_position = nn.Linear(dim, dim)
        self.pixel_start = nn.Conv2d(dim, dim, 1)
        self.pixel_position = nn.Conv2d(dim, dim, 1)
        self.positions = SinePositions(dim)
        self.blocks = nn.ModuleList(QueryBlock(dim, heads, hidden) for _ in range(blocks))
        self.mask_heads = nn.ModuleList(nn.Conv2d(dim, 1, 1) for _ in range(blocks + 1))

    def forward(
        self,
        readout: Tensor,
        object_memory: Tensor,
        selector: Tensor | None = None,
        *,
        last_head: bool = False,
    ) -> tuple[Tensor, list[Tensor]]:
        """Refined readout ``(B * N, C, h, w)`` and each head's mask logits ``(B, N, h, w)``.

        readout         ``(B * N, C, h, w)``
        object_memory   ``(B, N, Q, C + 1)`` sums over pixels and frames, and their areas last
        selector        ``(B, N, 1, 1)`` 1 for objects, 0 for padding; None: all are objects
        last_head       also the mask of the last block's output, which only a loss needs
        """
        group = object_memory.shape[:2]
        height, width = readout.shape[-2:]
        memory = object_memory.flatten(0, 1)
        content = memory[..., :-1] / (memory[..., -1:] + AREA_EPS)
        queries = self.query_start + self.memory_to_start(content)
        query_positions = self.query_position + self.memory_to_position(content)
        places = self.positions(height, width)
        pixel_positions = places + tokens(self.pixel_position(readout))
        pixels = self.pixel_start(readout)

        masks: list[Tensor] = []
        for head, block in zip(self.mask_heads, self.blocks, strict=False):
            masks.append(head(F.relu(pixels)).view(*group, height, width))
            allowed = attention_area(masks[-1], self.queries, selector)
            queries, pixels = block(queries, pixels, query_positions, pixel_positions, allowed)
        if last_head:
            masks.append(self.mask_heads[-1](F.relu(pixels)).view(*group, height, width))
        return pixels, masks


def attention_area(logits: Tensor, queries: int, selector: Tensor | None = None) -> Tensor:
    """Where each query may look: ``(B * N, queries, h * w) bool`` from logits ``(B, N, h, w)``.

    A pixel belongs to an object that no other object and not the background beats, so a tie
    belongs to all that share it. The first half of the queries sees what belongs to the
    object, the second half the rest; a query that would see nothing sees everything.
    """
    probabilities = logits.detach().float().sigmoid()
    if selector is not None:
        probabilities = probabilities * selector
    odds = aggregate(probabilities, 1)
    inside = (odds[:, 1:] >= odds.amax(dim=1, keepdim=True)).flatten(2).flatten(0, 1)
    halves = torch.stack([inside, ~inside], dim=1)
    halves = halves | ~halves.any(dim=-1, keepdim=True)
    return halves.repeat_interleave(queries // 2, dim=1)


class ObjectSummarizer(nn.Module):
    """Sums up an object's value features, weighted, inside and outside of its mask."""

    def __init__(self, value_dim: int, dim: int, summaries: int):
        super().__init__()
        self.summaries = summaries
        self.positions = SinePositions(dim)
        self.input = nn.Linear(value_dim, dim)
        self.features = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))
        self.weights = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, summaries))

    def forward(self, masks: Tensor, values: Tensor) -> Tensor:
        """``(G, Q, C + 1)``: the weighted sum of features, and the sum of the weights last.

        masks    ``(G, h, w)`` in [0, 1], averaged down to the size of the values
        values   ``(G, V, h, w)``
        """
        height, width = values.shape[-2:]
        inside = masks.flatten(1)
        area = torch.stack([inside, 1 - inside], dim=-1)
        area = area.repeat_interleave(self.summaries // 2, dim=-1)
        pixels = self.input(tokens(values)) + self.positions(height, width)
        with torch.autocast(pixels.device.type, enabled=False):
            pixels = pixels.float()
            weights = self.weights(pixels).sigmoid() * area
            sums = weights.transpose(1, 2) @ self.features(pixels)
            return torch.cat([sums, weights.sum(dim=1).unsqueeze(-1)], dim=-1)


OFFICIAL_NAMES = (
    ("object_transformer.query_start", "object_transformer.query_init.weight"),
    ("object_transformer.query_position", "object_transformer.query_emb.weight"),
    ("object_transformer.memory_to_start.~", "object_transformer.summary_to_query_init.~"),
    ("object_transformer.memory_to_position.~", "object_transformer.summary_to_query_emb.~"),
    ("object_transformer.pixel_start.~", "object_transformer.pixel_init_proj.~"),
    ("object_transformer.pixel_position.~", "object_transformer.pixel_emb_proj.~"),
    ("object_transformer.positions.frequencies", "object_transformer.spatial_pe.inv_freq"),
    ("object_transformer.mask_heads.#.~", "object_transformer.mask_pred.#.1.~"),
    *(
        (f"object_transformer.blocks.#.{ours}", f"object_transformer.blocks.#.{official}")
        for ours, official in (
            ("read_pixels.inputs.~", "read_from_pixel.cross_attn.in_proj_~"),
            ("read_pixels.output.~", "read_from_pixel.cross_attn.out_proj.~"),
            ("pixel_norm.~", "read_from_pixel.norm.~"),
            ("read_each_other.inputs.~", "self_attn.self_attn.in_proj_~"),
            ("read_each_other.output.~", "self_attn.self_attn.out_proj.~"),
            ("query_norm.~", "self_attn.norm.~"),
            ("feed_forward.expand.~", "ffn.linear1.~"),
            ("feed_forward.reduce.~", "ffn.linear2.~"),
            ("feed_forward.norm.~", "ffn.norm.~"),
            ("read_queries.inputs.~", "read_from_query.cross_attn.in_proj_~"),
            ("read_queries.output.~", "read_from_query.cross_attn.out_proj.~"),
            ("pixel_block.attention.~", "pixel_ffn.conv.conv.~"),
            ("pixel_block.~", "pixel_ffn.conv.~"),
        )
    ),
    ("object_summarizer.positions.frequencies", "object_summarizer.pos_enc.inv_freq"),
    ("object_summarizer.input.~", "object_summarizer.input_proj.~"),
    ("object_summarizer.features.~", "object_summarizer.feature_pred.~"),
    ("object_summarizer.weights.~", "object_summarizer.weights_pred.~"),
)
"""The project's names and those of the published checkpoints of Cutie and LiVOS."""
