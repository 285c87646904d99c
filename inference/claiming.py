"""Which chunks a worker takes: by one statement, so that no two take the same, and those of a dead worker are taken anew."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, F, Max, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from datasets.models import JobStatus
from datasets.runner import Heartbeat
from inference.models import ChunkStatus, InferenceChunk, InferenceJob

STALE_AFTER = timedelta(seconds=30)
MAX_ATTEMPTS = 3
TAKE = """
UPDATE inference_inferencechunk SET status = 'running', attempts = attempts + 1, heartbeat_at = %(now)s, done_count = 0
WHERE id IN (
    SELECT chunk.id FROM inference_inferencechunk AS chunk JOIN inference_inferencejob AS job ON job.id = chunk.job_id
    WHERE job.id = %(job)s AND job.status = 'running' AND job.attempts = %(job_attempts)s
      AND (chunk.status = 'pending' OR (chunk.status = 'running' AND chunk.heartbeat_at < %(stale)s))
      AND (chunk.attempts = 0) = %(fresh)s
    ORDER BY chunk.first LIMIT %(most)s FOR UPDATE OF chunk SKIP LOCKED
)
RETURNING id, first, last, attempts
"""


@dataclass(frozen=True)
class Claim:
    """Chunks of a job that are this worker's until its heart stops: more come, and those that are stored go."""

    job: InferenceJob
    chunks: list[InferenceChunk]

    @property
    def positions(self) -> list[int]:
        return positions_of(self.chunks)

    @property
    def is_second_try(self) -> bool:
        return any(chunk.attempts > 1 for chunk in self.chunks)


def positions_of(chunks: Iterable[InferenceChunk]) -> list[int]:
    return [position for chunk in chunks for position in range(chunk.first, chunk.last + 1)]


def take(job: InferenceJob, most: int) -> Claim | None:
    """The next chunks of a running job, or None where nobody need do anything now.

    Those that a worker was lost with come last and one by one, so that neighbours are not blamed for an image that kills.
    """
    chunks = take_fresh(job, most) or _taken(job, 1, fresh=False)
    return Claim(job, chunks) if chunks else None


def take_fresh(job: InferenceJob, most: int) -> list[InferenceChunk]:
    """The next chunks that nobody has tried yet; empty where there are none, or the job has ended."""
    return _taken(job, most, fresh=True)


def _taken(job: InferenceJob, most: int, *, fresh: bool) -> list[InferenceChunk]:
    now = timezone.now()
    values: dict[str, Any] = {
        "now": now,
        "stale": now - STALE_AFTER,
        "job": job.pk,
        "job_attempts": job.attempts,
        "most": most,
        "fresh": fresh,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(TAKE, values)
        rows = sorted(cursor.fetchall(), key=lambda row: row[1])
    return [InferenceChunk(id=key, job=job, first=first, last=last, attempts=tries) for key, first, last, tries in rows]


def has_more(job: InferenceJob) -> bool:
    """Whether there are chunks that `take` would give."""
    lost = Q(status=ChunkStatus.RUNNING, heartbeat_at__lt=timezone.now() - STALE_AFTER)
    return job.chunks.filter(Q(status=ChunkStatus.PENDING) | lost).exists()


def others_wait(job: InferenceJob) -> bool:
    """Whether another job has something for a worker to do, such as a single image for which somebody waits."""
    pending = InferenceChunk.objects.filter(job=OuterRef("pk"), status=ChunkStatus.PENDING)
    others = InferenceJob.objects.active().exclude(pk=job.pk)
    return others.filter(Q(status=JobStatus.PENDING) | Exists(pending)).exists()


def workers_lost(job: InferenceJob) -> int:
    """How many have died with the same chunk of this job, of which none is completed; 0 once one is."""
    if job.chunks.filter(status=ChunkStatus.COMPLETED).exists():
        return 0
    lost = job.chunks.filter(status=ChunkStatus.RUNNING, heartbeat_at__lt=timezone.now() - STALE_AFTER)
    return int(lost.aggregate(n=Max("attempts", default=0))["n"])


class ClaimHeartbeat(Heartbeat):
    """Keeps the claim and its job alive, and the job's progress as far as all its workers are."""

    def __init__(self, claim: Claim) -> None:
        super().__init__(claim.job)
        self.claim = claim

    def _beat(self) -> None:
        """Statement by statement: whoever stores answers locks the job and then its chunks, and must not meet us half way."""
        now = timezone.now()
        chunks = list(self.claim.chunks)  # the work adds and removes some meanwhile
        running = InferenceChunk.objects.filter(job=self.job, status=ChunkStatus.RUNNING)
        for chunk in chunks[:1]:
            running.filter(pk=chunk.pk, attempts=chunk.attempts).update(heartbeat_at=now, done_count=self.done)
        running.filter(pk__in=[chunk.pk for chunk in chunks[1:]]).update(heartbeat_at=now)
        jobs = InferenceJob.objects.filter(pk=self.job.pk, status=JobStatus.RUNNING, attempts=self.job.attempts)
        mine = jobs.update(heartbeat_at=now, progress_done=F("done_count") + F("failed_count") + _under_way(), stage="")
        is_lost = not mine or self._is_taken(chunks)
        self.is_cancelled = is_lost and InferenceJob.objects.filter(pk=self.job.pk).exists()

    def _is_taken(self, chunks: list[InferenceChunk]) -> bool:
        """Whether another worker has one of them. Those that are stored by now, or at this moment, are still ours."""
        ours = dict(InferenceChunk.objects.filter(pk__in=[chunk.pk for chunk in chunks]).values_list("pk", "attempts"))
        return any(ours.get(chunk.pk) != chunk.attempts for chunk in chunks)


def _under_way() -> Any:
    running = InferenceChunk.objects.filter(job=OuterRef("pk"), status=ChunkStatus.RUNNING).order_by()
    return Coalesce(Subquery(running.values("job").annotate(n=Sum("done_count")).values("n")), 0)
