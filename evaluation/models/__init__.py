"""How right it was."""

from evaluation.models.test_runs import TestImageResult, TestMatches, TestRun

__all__ = ["TestImageResult", "TestMatches", "TestRun"]
