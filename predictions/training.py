"""Training jobs: making and finding them, and what their processes report."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.http import Http404
from django.utils import timezone

from accounts.access import require_role
from accounts.models import Project, Role, User
from predictions.models import Checkpoint, PredictionRun, TextPrediction, TrainingJob, TrainingStatus
from predictions.models.training import MISSED_KEPT


class JobConflict(Exception):
    """A request that does not fit the jobs there are; `remedy` says how to mend it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


def get_job(user: User, pk: int, needed: Role = Role.VIEWER) -> TrainingJob:
    """The job with its project. Raises Http404 for strangers, PermissionDenied for lesser members."""
    job = TrainingJob.objects.visible_to(user).select_related("project", "owner").filter(pk=pk).first()
    return _with_role(user, job, needed)


def find_job(user: User, job_id: str, needed: Role = Role.VIEWER, project: str = "") -> TrainingJob:
    """The job of that name among those the user may see. Raises JobConflict where several projects have one."""
    jobs = TrainingJob.objects.visible_to(user).select_related("project", "owner").filter(job_id=job_id)
    if project:
        jobs = jobs.filter(project__slug=project)
    found = list(jobs[:10])
    if len(found) > 1:
        slugs = ", ".join(sorted(job.project.slug for job in found))
        raise JobConflict(
            f"Several projects have a job '{job_id}': {slugs}.", f"Add ?project={found[0].project.slug} to the address."
        )
    return _with_role(user, found[0] if found else None, needed)


def _with_role(user: User, job: TrainingJob | None, needed: Role) -> TrainingJob:
    if job is None:
        raise Http404
    if needed != Role.VIEWER:  # seeing it is being at least a viewer
        require_role(user, job.project, needed)
    return job


def create_job(project: Project, owner: User, **fields: Any) -> TrainingJob:
    """A job; its `job_id` is made where none is given. Raises ValidationError by field, JobConflict for an id in use."""
    job_id = fields.pop("job_id", "") or f"job-{secrets.token_hex(4)}"
    name = fields.pop("name", "") or job_id
    job = TrainingJob(project=project, owner=owner, job_id=job_id, name=name, **fields)
    job.full_clean(validate_constraints=False)
    try:
        with transaction.atomic():
            job.save()
    except IntegrityError:
        raise JobConflict(
            f"The project {project.name} has a training job '{job_id}' already.", "Use that job, or choose another job_id."
        ) from None
    return job


def first_contact(user: User, job_id: str, project: Project, **fields: Any) -> TrainingJob:
    """The project's job of that id, made where it is not there yet."""
    require_role(user, project, Role.EDITOR)
    job = TrainingJob.objects.filter(project=project, job_id=job_id).first() if job_id else None
    if job is None:
        try:
            job = create_job(project, user, job_id=job_id, **fields)
        except JobConflict:  # two processes made it at once
            job = TrainingJob.objects.get(project=project, job_id=job_id)
    return job


def start(job: TrainingJob, attempt: int, environment: Mapping[str, Any], framework: str = "") -> TrainingJob:
    """A process begins to train. The attempt is the one it names, or the next where that has been used by another start."""
    with transaction.atomic():
        job = TrainingJob.objects.select_for_update(no_key=True).select_related("project").get(pk=job.pk)
        now = timezone.now()
        job.attempt = max(job.attempt + 1, attempt)
        job.status, job.message, job.finished_at = TrainingStatus.RUNNING, "", None
        job.started_at, job.last_seen_at = job.started_at or now, now
        job.environment = dict(environment) or job.environment
        job.framework = framework[:60] or job.framework
        job.save()
    return job


def note_progress(job: TrainingJob, told: Mapping[str, Any]) -> TrainingJob:
    """What a process reports of itself; `told` has been checked."""
    with transaction.atomic():
        job = TrainingJob.objects.select_for_update(no_key=True).get(pk=job.pk)
        job.last_seen_at = timezone.now()
        for name in ("epoch", "step", "total_steps"):
            value = told.get(name)
            if value is not None:
                setattr(job, name, value if name == "total_steps" else max(value, getattr(job, name) or 0))
        if told.get("missed"):
            _note_missed(job, told["missed"])
        if told.get("overhead"):
            job.overhead = told["overhead"]
        if told.get("status"):
            set_status(job, told["status"], told.get("message", ""))
        job.save()
    return job


def _note_missed(job: TrainingJob, missed: Mapping[str, Any]) -> None:
    """Once each: a report may be sent twice."""
    if missed not in job.missed:
        job.missed = [*job.missed, missed][-MISSED_KEPT:]
        job.missed_count += 1


def set_status(job: TrainingJob, status: str, message: str = "") -> None:
    """On the instance; the caller saves."""
    job.status, job.message = status, message
    job.finished_at = timezone.now() if job.has_ended else None
    if status == TrainingStatus.RUNNING and job.started_at is None:
        job.started_at = timezone.now()


# What other apps do about a saved model state; they enter it when they are ready.
WHEN_SAVED: list[Callable[[Checkpoint], object]] = []


def note_checkpoint(job: TrainingJob, path: str, epoch: float, step: int, metrics: Mapping[str, Any]) -> Checkpoint:
    """A model state was saved; the runs of that step get its path."""
    values = {"project": job.project, "epoch": epoch, "metrics": dict(metrics)}
    checkpoint = Checkpoint.objects.update_or_create(job=job, step=step, path=path, defaults=values)[0]
    PredictionRun.objects.filter(job=job, step=step, is_current=True).update(checkpoint=path)
    TrainingJob.objects.filter(pk=job.pk).update(last_seen_at=timezone.now())
    for do in WHEN_SAVED:
        do(checkpoint)
    return checkpoint


@transaction.atomic
def delete_job(job: TrainingJob) -> int:
    """The job with its runs and answers; returns the number of answers, which go in one statement. What refers to the runs
    goes with them.
    """
    deleted = TextPrediction.objects.filter(run__job=job)._raw_delete(connection.alias)
    job.delete()
    return int(deleted)


def field_errors(error: ValidationError) -> dict[str, list[str]]:
    return error.message_dict if hasattr(error, "error_dict") else {"config": error.messages}
