"""Scores of masks against labels, under every protocol."""

from selection.evaluate.command import evaluate
from selection.evaluate.inputs import EvaluationScope

__all__ = ["EvaluationScope", "evaluate"]
