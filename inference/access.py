"""Fetching jobs, results, checkpoints and exports for somebody: what they may not see does not exist (404), a lesser role is told so (403)."""

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404

from accounts.access import require_role
from accounts.models import Project, Role, User
from inference.models import CheckpointExport, InferenceJob, InferenceResult
from predictions.models import Checkpoint


def get_job(user: User, pk: int, needed: Role = Role.VIEWER) -> InferenceJob:
    jobs = InferenceJob.objects.visible_to(user).select_related(
        "project", "checkpoint", "dataset", "split", "run", "created_by"
    )
    job: InferenceJob = get_object_or_404(jobs, pk=pk)
    if needed != Role.VIEWER:
        require_role(user, job.project, needed)
    return job


def get_result(user: User, pk: int) -> InferenceResult:
    """A result with its job and sample."""
    rows: QuerySet[InferenceResult] = InferenceResult.objects.filter(job__project__memberships__user=user)
    result: InferenceResult = get_object_or_404(rows.select_related("job__project", "job__checkpoint", "sample"), pk=pk)
    return result


def get_runnable(user: User, project: Project, pk: int | None) -> Checkpoint | None:
    """A checkpoint of the project that can be run; None where there is none of that id."""
    return Checkpoint.objects.visible_to(user).runnable().filter(project=project, pk=pk).first() if pk else None


def get_checkpoint(user: User, pk: int, needed: Role = Role.VIEWER) -> Checkpoint:
    """With its project, job and maker. Raises Http404 for strangers, PermissionDenied for lesser members."""
    visible = Checkpoint.objects.visible_to(user).select_related("project", "job", "created_by")
    checkpoint = get_object_or_404(visible, pk=pk)
    if needed != Role.VIEWER:
        require_role(user, checkpoint.project, needed)
    return checkpoint


def get_export(user: User, pk: int, needed: Role = Role.VIEWER) -> CheckpointExport:
    """With its checkpoint and project; answers as get_checkpoint does."""
    visible = CheckpointExport.objects.visible_to(user).select_related("checkpoint__project", "checkpoint__job")
    export: CheckpointExport = get_object_or_404(visible, pk=pk)
    if needed != Role.VIEWER:
        require_role(user, export.checkpoint.project, needed)
    return export
