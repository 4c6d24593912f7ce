"""Losses against their definitions, their gradients, and absent objects."""

import pytest
import torch
from torch.autograd import gradcheck

from adapters.networks.ops import aggregate
from finetune import losses
from finetune.objective import total_loss
from finetune.training_options import LossOptions
from finetune.unroll.base import Predictions


def uniform(*shape, seed=0, low=0.05, high=0.95):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=torch.float64) * (high - low) + low


MASKS = (uniform(2, 2, 4, 5, seed=9) > 0.6).double()
VALID = torch.tensor([[True, True], [True, False]])


def test_dice_is_its_definition():
    soft = uniform(2, 2, 4, 5)
    expected = []
    for clip, position in [(0, 0), (0, 1), (1, 0)]:
        p, m = soft[clip, position], MASKS[clip, position]
        expected.append(1 - (2 * (p * m).sum() + 1) / (p.sum() + m.sum() + 1))
    assert losses.dice(soft, MASKS, VALID).item() == pytest.approx(
        torch.stack(expected).mean().item()
    )


def test_dice_may_count_absent_objects_less():
    soft, masks = uniform(2, 2, 4, 5), MASKS.clone()
    masks[0, 1] = 0
    plain = [
        losses.dice(soft[i, j], masks[i, j], torch.tensor(True))
        for i, j in ((0, 0), (0, 1), (1, 0))
    ]
    found = losses.dice(soft, masks, VALID, absent=0.1)
    assert found.item() == pytest.approx(((plain[0] + 0.1 * plain[1] + plain[2]) / 3).item())
    soft.requires_grad_()
    assert gradcheck(lambda x: losses.dice(x, masks, VALID, absent=0.1), soft)
    (nothing,) = torch.autograd.grad(losses.dice(soft, masks, VALID, absent=0.0), soft)
    assert not nothing[0, 1].any()
    assert nothing[0, 0].all()


def test_focal_is_its_definition():
    logits = uniform(2, 2, 4, 5, low=-3, high=3)
    p = logits.sigmoid()
    foreground = -0.25 * (1 - p) ** 2 * p.log()
    background = -0.75 * p**2 * (1 - p).log()
    plain = torch.where(MASKS > 0, foreground, background).mean((-2, -1))
    expected = plain[VALID].mean().item()
    assert losses.focal(logits, MASKS, VALID).item() == pytest.approx(expected)


def test_cross_entropy_of_the_hardest_pixels():
    odds = uniform(1, 3, 2, 5, low=-2, high=2)
    labels = torch.tensor([[[0, 1, 2, 0, 1], [2, 2, 1, 0, 0]]])
    picked = odds.log_softmax(1).gather(1, labels[:, None]).neg().flatten()
    assert losses.cross_entropy(odds, labels).item() == pytest.approx(picked.mean().item())
    hardest = picked.sort(descending=True).values[:3].mean().item()
    assert losses.cross_entropy(odds, labels, 0.3).item() == pytest.approx(hardest)
    shares = [losses.hardest_share(done, 0.2, 0.6, 0.15) for done in (0, 0.2, 0.4, 0.6, 1)]
    assert shares == pytest.approx([1, 1, 0.575, 0.15, 0.15])


def test_iou_score_and_similarity():
    soft = MASKS.clone()
    soft[0, 0, :2] = 1 - soft[0, 0, :2]
    union = ((soft > 0.5) | (MASKS > 0.5))[0, 0].sum()
    true = ((soft > 0.5) & (MASKS > 0.5))[0, 0].sum() / union
    predicted = torch.full((2, 2), 0.7, dtype=torch.float64)
    expected = (abs(0.7 - true.item()) + 0.3 + 0.3) / 3
    assert losses.mask_iou(predicted, soft, MASKS, VALID).item() == pytest.approx(expected)

    sure = torch.tensor([[100.0, -100.0], [100.0, 0.0]])
    present = torch.tensor([[True, False], [True, True]])
    assert losses.object_score(sure, present, VALID).item() == pytest.approx(0, abs=1e-6)
    assert losses.object_score(-sure, present, VALID).item() == pytest.approx(100)

    features = uniform(2, 3, 4, 5)
    same = losses.feature_similarity(features, features, MASKS, MASKS, VALID)
    assert same.item() == pytest.approx(0, abs=1e-9)
    opposite = losses.feature_similarity(features, -features, MASKS, MASKS, VALID)
    assert opposite.item() == pytest.approx(2)


CASES = {
    "cross_entropy": (
        lambda x: losses.cross_entropy(x, torch.tensor([[[0, 1, 2]]])),
        uniform(1, 3, 1, 3, low=-2, high=2),
    ),
    "dice": (lambda x: losses.dice(x, MASKS, VALID), uniform(2, 2, 4, 5)),
    "focal": (lambda x: losses.focal(x, MASKS, VALID), uniform(2, 2, 4, 5, low=-2, high=2)),
    "mask_iou": (lambda x: losses.mask_iou(x, MASKS, MASKS, VALID), uniform(2, 2)),
    "object_score": (
        lambda x: losses.object_score(x, MASKS.amax((-2, -1)), VALID),
        uniform(2, 2, low=-2, high=2),
    ),
    "similarity": (
        lambda x: losses.feature_similarity(x, uniform(2, 3, 4, 5, seed=3), MASKS, MASKS, VALID),
        uniform(2, 3, 4, 5),
    ),
    "aggregated": (
        lambda x: losses.dice(aggregate64(x).softmax(1)[:, 1:], MASKS, VALID),
        uniform(2, 2, 4, 5),
    ),
}


def aggregate64(x):
    background = torch.prod(1 - x, 1, keepdim=True)
    joint = torch.cat([background, x], 1)
    reference = torch.log(joint / (1 - joint))
    assert torch.allclose(aggregate(x, 1).double(), reference, atol=1e-4)
    return reference


@pytest.mark.parametrize("name", CASES)
def test_gradients(name):
    function, start = CASES[name]
    assert gradcheck(function, start.requires_grad_())


def test_absent_and_padded_objects_give_no_nan():
    empty, nobody = torch.zeros(2, 2, 4, 5), torch.zeros(2, 2, dtype=torch.bool)
    x = uniform(2, 2, 4, 5).float().requires_grad_()
    features = uniform(2, 3, 4, 5).float().requires_grad_()
    for valid in (nobody, ~nobody):
        total = (
            losses.dice(x, empty, valid)
            + losses.focal(x, empty, valid)
            + losses.mask_iou(x.mean((-2, -1)), x, empty, valid)
            + losses.feature_similarity(features, features, empty, empty, valid)
        )
        assert total.isfinite()
        gradients = torch.autograd.grad(total, [x, features], allow_unused=True)
        assert all(g is None or g.isfinite().all() for g in gradients)
        if valid is nobody:
            assert total.item() == 0


ALL = LossOptions(cross_entropy=1, dice=1, focal=1, matching=1, auxiliary=1, object_score=1)


def weighted_loss(weights):
    """The loss of two objects with these weights, and the gradients of what is predicted."""
    generator = torch.Generator().manual_seed(5)
    odds = torch.randn(1, 1, 3, 32, 32, generator=generator, requires_grad=True)
    coarse = torch.rand(1, 1, 2, 2, 2, generator=generator).div(2).requires_grad_()
    score = torch.randn(1, 1, 2, generator=generator, requires_grad=True)
    masks = torch.zeros(1, 1, 2, 32, 32)
    masks[:, :, 0, :16], masks[:, :, 1, 16:] = 1, 1
    valid = torch.ones(1, 1, 2, dtype=torch.bool)
    rows = None if weights is None else torch.tensor(weights).reshape(1, 1, 2)
    predictions = Predictions(odds, masks, valid, (coarse,), coarse, score=score, weights=rows)
    loss, terms = total_loss(predictions, ALL, 0.0)
    loss.backward()
    return loss.item(), terms, odds.grad, score.grad


def test_masks_count_by_their_weights():
    plain, terms, _, _ = weighted_loss(None)
    assert weighted_loss([1.0, 1.0])[0] == pytest.approx(plain)
    half = weighted_loss([0.5, 0.5])
    assert half[0] == pytest.approx(plain / 2)
    assert all(half[1][name].item() == pytest.approx(terms[name].item() / 2) for name in terms)
    nothing, _, odds, score = weighted_loss([0.0, 0.0])
    assert nothing == 0
    assert not odds.any()
    assert not score.any()
    _, _, odds, score = weighted_loss([1.0, 0.0])
    assert score[0, 0].tolist()[1] == 0
    assert odds[0, 0, 1, :16].any()


def test_nothing_is_learnt_where_labels_are_to_be_ignored():
    """Neither value nor gradient of any loss depends on what is predicted there."""
    ignore = torch.zeros(1, 2, 32, 32, dtype=torch.bool)
    ignore[:, :, :16, :16] = True
    masks = torch.zeros(1, 2, 2, 32, 32)
    masks[:, :, 0, 16:, :16] = 1
    options = LossOptions(cross_entropy=1, dice=1, focal=1, matching=1, auxiliary=1, object_score=1)
    found = []
    for seed in (0, 1):
        generator = torch.Generator().manual_seed(5)
        odds = torch.randn(1, 2, 3, 32, 32, generator=generator)
        coarse = torch.rand(1, 2, 2, 2, 2, generator=generator) / 2
        score = torch.randn(1, 2, 2, generator=generator)
        odds[:, :, :, :16, :16] += 3 * seed
        coarse[..., 0, 0] += 0.1 * seed
        score[:, :, 1] += seed  # the second object is to be seen nowhere else
        for part in (odds, coarse, score):
            part.requires_grad_()
        valid = torch.ones(1, 2, 2, dtype=torch.bool)
        predictions = Predictions(odds, masks, valid, (coarse,), coarse, score=score)
        loss, _ = total_loss(predictions, options, 0.0, ignore)
        loss.backward()
        assert not odds.grad[:, :, :, :16, :16].any()
        assert odds.grad[:, :, :, 16:].any()
        assert not coarse.grad[..., 0, 0].any()
        assert not score.grad[:, :, 1].any()
        found.append(loss.item())
    assert found[0] == found[1]
