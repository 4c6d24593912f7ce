"""Scores of masks against labels, under every protocol."""

from selection.evaluate.command import evaluate

__all__ = ["evaluate"]
