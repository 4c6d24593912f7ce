"""Networks unrolled over training clips as at inference, differentiable through time."""

from finetune.unroll.base import Predictions
from finetune.unroll.registry import unroll

__all__ = ["Predictions", "unroll"]
