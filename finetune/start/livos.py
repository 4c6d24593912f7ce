"""A start for LiVOS's keys: clusters of the keys of a Cutie.

Cutie's keys tell things apart by their distance, LiVOS's are a softmax over channels. With a
channel for each of K cluster centres ``c_j`` of keys ``k``, the shares

    key_j = softmax_j(-|k - c_j|^2 / T) = softmax_j((2 k . c_j - |c_j|^2) / T)

are near where keys are near, and since ``k`` is a convolution, so is what the softmax sees: a
single one, or with ``key_rank`` of LiVOS's sizes ``k`` itself and a product with the centres.
Learnt from nothing, LiVOS's keys end as hard assignments to few channels
(docs/lab/2026-11-29-small-networks.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor, nn

from adapters.networks.affinity import tokens
from adapters.networks.livos import OPEN, LiVOS
from adapters.networks.ops import normalise
from finetune.data.batches import ClipBatch

SAMPLED_CLIPS = 32
"""The keys that are clustered come from this many training clips."""
MOST_KEYS = 60_000
"""At most this many of these keys are clustered."""
KMEANS_ROUNDS = 10
"""Rounds of k-means, which starts from keys drawn at random."""
SOFTNESS = 1.5
"""T, in units of the mean square distance of keys from their centres. If it is larger, neighbouring
clusters blend; if it is smaller, a key tells only the number of its cluster."""
KEY_WEIGHTS = ("key_reduction.", "key_projection.key.")
"""The beginnings of the names of the weights that make keys."""


class KeyClusters(NamedTuple):
    """Cluster centres ``(K, C)`` of keys, and T."""

    places: Tensor
    softness: float


@torch.no_grad()
def start_keys(
    network: LiVOS, cutie: Mapping[str, Tensor], clips: Callable[[int], ClipBatch], seed: int
) -> None:
    """Start the keys as clusters and the gates as open, in place.

    cutie   weights `KEY_WEIGHTS`, in the project's names, for images as ``network`` encodes them;
            with as many channels of keys as the network's ``key_rank``, if it has one
    clips   clip by number, one to a batch
    seed    of the clustering
    """
    training = network.training
    network.eval()
    reduction = {n: cutie[f"key_reduction.{n}"] for n in ("weight", "bias")}
    network.key_reduction.load_state_dict(reduction)
    weight, bias = (cutie[f"key_projection.key.{n}"].float() for n in ("weight", "bias"))

    def keys_of(images: Tensor) -> Tensor:
        *_, coarse = network.image_encoder(normalise(images))
        reduced = network.key_reduction(coarse)
        return tokens(nn.functional.conv2d(reduced, weight, bias, padding=1)).flatten(0, 1)

    keys = torch.cat([keys_of(clips(number).frames[0]) for number in range(SAMPLED_CLIPS)])
    centres = cluster_keys(keys, network.config.key_dim, seed)
    scaled = 2 / centres.softness * centres.places
    nearness = -centres.places.square().sum(1) / centres.softness
    projection, clusters = network.key_projection, network.key_clusters
    if clusters is None:
        weight, bias = torch.einsum("jc,cdhw->jdhw", scaled, weight), scaled @ bias + nearness
    else:
        clusters.load_state_dict({"weight": scaled[:, :, None, None], "bias": nearness})
    projection.load_state_dict({"weight": weight, "bias": bias})
    assert network.gate_projection.bias is not None
    network.gate_projection.weight.zero_()
    network.gate_projection.bias.fill_(OPEN)
    network.train(training)


def cluster_keys(keys: Tensor, count: int, seed: int) -> KeyClusters:
    """Make ``count`` clusters of keys ``(M, C)``, of which at most `MOST_KEYS` are used."""
    rng = np.random.default_rng(seed)
    rows = keys.double().numpy()
    rows = rows[rng.permutation(len(rows))[:MOST_KEYS]]
    places, nearest = kmeans2(
        rows, count, iter=KMEANS_ROUNDS, minit="points", seed=rng, missing="warn"
    )
    within = np.square(rows - places[nearest]).sum(1).mean()
    return KeyClusters(torch.tensor(places, dtype=keys.dtype), float(SOFTNESS * within))
