"""Fetching a test run for somebody: what they may not see does not exist (404), a lesser role is told so (403)."""

from django.shortcuts import get_object_or_404

from accounts.access import require_role
from accounts.models import Role, User
from evaluation.models import TestRun

WITH = (
    "project",
    "dataset",
    "split",
    "set_version__prediction_set",
    "prediction_run",
    "training_job",
    "checkpoint",
    "inference",
)
# What only its own page needs, and what nobody reads as it is.
HEAVY = ("per_class_metrics", "confusion_matrix", "curves", "slices", "replicates", "reconciliation")


def get_test_run(user: User, pk: int, needed: Role = Role.VIEWER) -> TestRun:
    """With its project and what it is about. Raises Http404 for strangers, PermissionDenied for lesser members."""
    rows = TestRun.objects.visible_to(user).select_related(*WITH, "created_by").defer("replicates", "reconciliation")
    test_run: TestRun = get_object_or_404(rows, pk=pk)
    if needed != Role.VIEWER:
        require_role(user, test_run.project, needed)
    return test_run


def get_for_matches(user: User, pk: int) -> TestRun:
    """Without what only its own page shows: a slider asks ten times a second. Raises Http404."""
    rows = TestRun.objects.visible_to(user).defer(*HEAVY, "intervals", "undefined", "warnings")
    found: TestRun = get_object_or_404(rows, pk=pk)
    return found
