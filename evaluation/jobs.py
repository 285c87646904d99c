"""Asking for large comparisons: find what is known, else make the row and ring the bell."""

from accounts.models import User
from evaluation import tasks
from evaluation.large import state_of
from evaluation.models import Comparison
from predictions.models import PredictionRun


def comparison_of(
    user: User, baseline: PredictionRun, candidate: PredictionRun, confidence: float, set_version: int | None
) -> Comparison:
    """The row of this comparison as both runs are now; a new one is queued."""
    job, is_new = Comparison.objects.get_or_create(
        baseline=baseline,
        candidate=candidate,
        state=state_of(baseline, candidate, confidence, set_version),
        defaults={"confidence": confidence, "set_version_id": set_version, "created_by": user},
    )
    if is_new:
        tasks.run_comparison.delay_on_commit(job.pk)
    return job


def retry(job: Comparison) -> None:
    """Try a failed one again."""
    if not job.is_active and job.pairing is None and job.requeue():
        tasks.run_comparison.delay_on_commit(job.pk)
