"""Losses of mask propagation, each a mean over the valid values, in float32.

Exclusive masks are the N + 1 log-odds of `adapters.networks.ops.aggregate`, background first.
``valid`` leaves padding out. If nothing is left, a loss and its gradients are 0. An object that is
away has an empty mask, which every loss takes.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from finetune.workers import shared_count


def mean_over(values: Tensor, valid: Tensor, weights: Tensor | None = None) -> Tensor:
    """The mean of ``values`` where ``valid`` (of the same shape) is true; 0 where it never is.

    weights   of the values in [0, 1], of the same shape; the divisor stays how many are valid

    With several workers, each returns its share; the average of the shares is the mean over all of
    them.
    """
    chosen = torch.where(valid, values, torch.zeros_like(values))
    if weights is not None:
        chosen = chosen * weights
    return chosen.sum() / shared_count(valid.sum())


def cross_entropy(
    odds: Tensor, labels: Tensor, hardest: float = 1.0, weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy over background and objects, optionally of the hardest pixels only.

    odds      ``(F, N + 1, H, W)`` of F frames; the rows of padded objects hold very low odds
    labels    ``(F, H, W) int64`` in 0..N
    hardest   share of each frame's pixels that counts, those with the largest loss
              (bootstrapped cross-entropy: Wu et al. 2016; the share falls as training goes on)
    weights   ``(F, N + 1)`` in [0, 1] of the pixels of background and objects
    """
    loss = F.cross_entropy(odds, labels, reduction="none").flatten(1)
    if weights is not None:
        loss = loss * weights.gather(1, labels.flatten(1))
    if hardest < 1:
        loss = loss.topk(max(int(loss.shape[1] * hardest), 1), dim=1, sorted=False).values
    return loss.mean()


def hardest_share(done: float, start: float, end: float, least: float) -> float:
    """The share of pixels that counts: 1 up to ``start``, ``least`` from ``end`` on, linear."""
    if done <= start:
        return 1.0
    return max(1 - (1 - least) * (done - start) / max(end - start, 1e-6), least)


def dice(
    probabilities: Tensor,
    masks: Tensor,
    valid: Tensor,
    absent: float = 1.0,
    weights: Tensor | None = None,
) -> Tensor:
    """``1 - (2 |p m| + 1) / (|p| + |m| + 1)`` (Milletari et al. 2016), the mean over objects.

    probabilities, masks   ``(..., H, W)`` in [0, 1]
    valid                  ``(...) bool``
    absent                 weight of empty masks, of which a single wrong pixel costs nearly as
                           much as all
    weights                ``(...)`` of the masks in [0, 1]
    """
    sizes = masks.sum((-2, -1))
    shared = (probabilities * masks).sum((-2, -1))
    loss = 1 - (2 * shared + 1) / (probabilities.sum((-2, -1)) + sizes + 1)
    if absent != 1:
        there = torch.where(sizes > 0, 1.0, absent)
        weights = there if weights is None else weights * there
    return mean_over(loss, valid, weights)


def focal(
    logits: Tensor,
    masks: Tensor,
    valid: Tensor,
    weights: Tensor | None = None,
    gamma: float = 2.0,
    alpha: float = 0.25,
) -> Tensor:
    """Sigmoid focal loss (Lin et al. 2017, Eq. 5), the mean over the pixels of objects.

    logits, masks   ``(..., H, W)``; masks in [0, 1]
    valid           ``(...) bool``
    weights         ``(...)`` of the masks in [0, 1]
    alpha           weight of the foreground; the background has ``1 - alpha``
    """
    plain = F.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    probabilities = logits.sigmoid()
    right = probabilities * masks + (1 - probabilities) * (1 - masks)
    share = alpha * masks + (1 - alpha) * (1 - masks)
    return mean_over((share * (1 - right) ** gamma * plain).mean((-2, -1)), valid, weights)


def hard_iou(probabilities: Tensor, masks: Tensor) -> Tensor:
    """IoU ``(...)`` of masks thresholded at 0.5; two empty masks have IoU 1. No gradient."""
    with torch.no_grad():
        predicted, true = probabilities > 0.5, masks > 0.5
        union = (predicted | true).sum((-2, -1))
        shared = (predicted & true).sum((-2, -1))
        return torch.where(union > 0, shared / union.clamp(min=1), torch.ones_like(union))


def mask_iou(
    predicted_iou: Tensor,
    probabilities: Tensor,
    masks: Tensor,
    valid: Tensor,
    weights: Tensor | None = None,
) -> Tensor:
    """L1 distance between the IoU that a network predicts for its mask and the true one (SAM 2).

    predicted_iou, valid, weights   ``(...)``
    """
    true = hard_iou(probabilities, masks).to(predicted_iou)
    return mean_over((predicted_iou - true).abs(), valid, weights)


def object_score(
    scores: Tensor, present: Tensor, valid: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Binary cross-entropy of "the object is visible"; ``scores`` are logits ``(...)``."""
    loss = F.binary_cross_entropy_with_logits(scores, present.to(scores), reduction="none")
    return mean_over(loss, valid, weights)


def spread(usage: Tensor) -> Tensor:
    """``log K`` minus the entropy of how often K channels are used, as a mean over clips.

    usage   ``(B, K)`` shares that add up to 1
    """
    entropy = -(usage * usage.clamp(min=1e-8).log()).sum(1)
    return (math.log(usage.shape[1]) - entropy).mean()


def feature_similarity(
    query: Tensor, memory: Tensor, query_masks: Tensor, memory_masks: Tensor, valid: Tensor
) -> Tensor:
    """One minus the cosine between an object's mean feature in the query and in the memory.

    MASSeg names a similarity of memory and query features as a loss and gives no formula. This is
    the simplest reading: the appearance of an object should not drift.

    query, memory               ``(G, C, h, w)``
    query_masks, memory_masks   ``(G, N, h, w)`` weights in [0, 1]
    valid                       ``(G, N) bool``; objects without pixels in either are left out
    """
    both = (query_masks.sum((-2, -1)) > 0) & (memory_masks.sum((-2, -1)) > 0)
    ours = torch.einsum("gchw,gnhw->gnc", query, query_masks)
    theirs = torch.einsum("gchw,gnhw->gnc", memory, memory_masks)
    # An object without pixels has a zero sum: epsilon keeps its gradient finite.
    return mean_over(1 - F.cosine_similarity(ours, theirs, dim=-1, eps=1e-6), valid & both)
