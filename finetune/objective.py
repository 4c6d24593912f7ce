"""The total loss of a recipe over what an unrolled network predicts."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from adapters.networks.ops import aggregate, area_downsample
from finetune import losses
from finetune.training_options import LossOptions
from finetune.unroll.base import Predictions
from mose import InputError

SURE = 30.0
"""Log-odds of the background where labels are to be ignored: its loss there is 0 in float32."""


def total_loss(
    predictions: Predictions, options: LossOptions, done: float, ignore: Tensor | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum and the unweighted terms that have a weight.

    done     share of the schedule that is over, in [0, 1]
    ignore   ``(B, F, H, W) bool``: where the labels do not say what is there. Every loss takes the
             prediction for right there, so that nothing is learnt; whether an object of which
             nothing else is to be seen is there is not asked either
    """
    valid = predictions.valid.flatten(0, 1)
    seen = torch.ones_like(valid)
    if ignore is not None:
        unknown = ignore.flatten(0, 1).flatten(1).any(1, keepdim=True)
        seen = ~unknown | (predictions.masks.flatten(0, 1).amax((-2, -1)) > 0)
        predictions = _without(predictions, ignore)
    masks = predictions.masks.flatten(0, 1)
    odds = predictions.odds.flatten(0, 1)
    # Of the log-odds of exclusive masks, a softmax makes probabilities that add up to 1.
    soft = odds.softmax(1)[:, 1:]
    start, end = options.hardening
    share = losses.hardest_share(done, start, end, options.hardest)
    labels = as_labels(masks)
    weights = None if predictions.weights is None else predictions.weights.flatten(0, 1)
    rows = None if weights is None else _with_background(weights, valid)
    terms: dict[str, Tensor] = {}
    if options.cross_entropy:
        terms["cross_entropy"] = losses.cross_entropy(odds, labels, share, rows)
    if options.dice:
        terms["dice"] = losses.dice(soft, masks, valid, options.absent, weights)
    if options.focal:
        terms["focal"] = losses.focal(odds[:, 1:], masks, valid, weights)
    if options.mask_iou:
        predicted = _needed(predictions.iou, "mask_iou").flatten(0, 1)
        terms["mask_iou"] = losses.mask_iou(predicted, soft, masks, valid, weights)
    if options.object_score:
        scores, there = _needed(predictions.score, "object_score"), masks.amax((-2, -1)) > 0
        terms["object_score"] = losses.object_score(
            scores.flatten(0, 1), there, valid & seen, weights
        )
    if options.similarity:
        terms["similarity"] = _similarity(predictions)
    if options.auxiliary:
        if not predictions.aux:
            raise _absent("auxiliary")
        small = area_downsample(masks, masks.shape[-1] // predictions.aux[0].shape[-1])
        terms["auxiliary"] = torch.stack(
            [_auxiliary(a, small, predictions, options.absent) for a in predictions.aux]
        ).mean()
    if options.matching:
        matched = _needed(predictions.matched, "matching")
        small = area_downsample(masks, masks.shape[-1] // matched.shape[-1])
        terms["matching"] = _matching(matched, small, predictions, options.absent)
    if options.spread:
        terms["spread"] = losses.spread(_needed(predictions.usage, "spread"))
    weighted = [getattr(options, name) * value for name, value in terms.items()]
    if not weighted:
        raise InputError("every weight of the recipe's loss is 0: give one of them a weight")
    return torch.stack(weighted).sum(), terms


def _without(predictions: Predictions, ignore: Tensor) -> Predictions:
    """Predictions that are those of the background where the labels do not say what is there."""
    background = torch.full_like(predictions.odds, -SURE)
    background[:, :, 0] = SURE
    hidden = ignore[:, :, None]

    def small(planes: Tensor) -> Tensor:
        share = area_downsample(hidden.float().flatten(0, 1), hidden.shape[-1] // planes.shape[-1])
        return share.unflatten(0, hidden.shape[:2]) > 0

    matched = predictions.matched
    return dataclasses.replace(
        predictions,
        odds=torch.where(hidden, background, predictions.odds),
        masks=predictions.masks.masked_fill(hidden, 0),
        aux=tuple(a.masked_fill(small(a), -SURE) for a in predictions.aux),
        matched=None if matched is None else matched.masked_fill(small(matched), 0),
    )


def as_labels(masks: Tensor) -> Tensor:
    """``(F, H, W) int64`` positions + 1 of exclusive masks ``(F, N, H, W)``, 0 background."""
    best, position = masks.max(1)
    return torch.where(best > 0.5, position + 1, 0)


def _with_background(weights: Tensor, valid: Tensor) -> Tensor:
    """``(F, N + 1)`` weights of the pixels of background and objects. Where an object may be
    elsewhere, background is as little sure: it has the objects' mean weight."""
    known = weights * valid
    mean = known.sum(1, keepdim=True) / valid.sum(1, keepdim=True).clamp(min=1)
    return torch.cat([mean, known], 1)


def _auxiliary(logits: Tensor, masks: Tensor, of: Predictions, absent: float) -> Tensor:
    """Cross-entropy and Dice of ``(B, F, N, h, w)`` logits, with soft masks at their size."""
    chances = logits.float().sigmoid() * of.valid[..., None, None]
    odds = aggregate(chances.flatten(0, 1), 1)
    return _small_losses(odds, odds.softmax(1)[:, 1:], masks, of, absent)


def _matching(matched: Tensor, masks: Tensor, of: Predictions, absent: float) -> Tensor:
    """Cross-entropy and Dice of masks ``(B, F, N, h, w)`` that matching alone would give."""
    chances = (matched.float() * of.valid[..., None, None]).flatten(0, 1).clamp(0, 1)
    odds = torch.cat([1 - chances.sum(1, keepdim=True), chances], 1).clamp(min=1e-4).log()
    return _small_losses(odds, chances, masks, of, absent)


def _small_losses(
    odds: Tensor, chances: Tensor, masks: Tensor, of: Predictions, absent: float
) -> Tensor:
    """Of log-odds ``(F, N + 1, h, w)``, background first, of the objects' probabilities, and of
    soft masks ``(F, N, h, w)``."""
    valid = of.valid.flatten(0, 1)
    weights = None if of.weights is None else of.weights.flatten(0, 1)
    background = (1 - masks.sum(1, keepdim=True)).clamp(0, 1)
    share = torch.cat([background, masks], 1)
    if weights is not None:
        share = share * _with_background(weights, valid)[..., None, None]
    plain = -(share * odds.log_softmax(1)).sum(1).mean()
    return plain + losses.dice(chances, masks, valid, absent, weights)


def _similarity(predictions: Predictions) -> Tensor:
    query, memory = (
        _needed(predictions.query, "similarity"),
        _needed(predictions.memory, "similarity"),
    )
    given = _needed(predictions.given, "similarity")
    factor = given.shape[-1] // memory.shape[-1]
    frames = query.shape[1]
    return losses.feature_similarity(
        query.flatten(0, 1).float(),
        memory.repeat_interleave(frames, 0).float(),
        area_downsample(predictions.masks.flatten(0, 1), factor),
        area_downsample(given, factor).repeat_interleave(frames, 0),
        predictions.valid.flatten(0, 1),
    )


def _needed(value: Tensor | None, loss: str) -> Tensor:
    if value is None:
        raise _absent(loss)
    return value


def _absent(loss: str) -> InputError:
    return InputError(
        f"loss.{loss} has a weight, but this network does not predict it: set it to 0"
    )
