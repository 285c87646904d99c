"""What judging leaves behind."""

from evaluation.models.comparisons import Comparison
from evaluation.models.test_runs import TestImageResult, TestMatches, TestRun

__all__ = ["Comparison", "TestImageResult", "TestMatches", "TestRun"]
