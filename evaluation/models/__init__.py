"""What judging leaves behind."""

from evaluation.models.comparisons import Comparison

__all__ = ["Comparison"]
