"""Jobs whose message or worker was lost are rung again: nothing is lost, nothing is done twice."""

import logging
from collections.abc import Callable

from django.utils import timezone
from django.utils.module_loading import import_string

from datasets.models import Job, JobStatus

log = logging.getLogger("touchstone.jobs")

# Each kind of job and its bell, the path of a task: the apps enter theirs when they are ready.
BELLS: dict[type[Job], str] = {}


def ring_forgotten() -> int:
    """Ring for every forgotten job; returns how many. A job whose worker died too often fails, in words."""
    return sum(_ring(table, import_string(bell).delay) for table, bell in BELLS.items())


def _ring(table: type[Job], bell: Callable[[int], object]) -> int:
    jobs = table._default_manager.forgotten()
    jobs.filter(status=JobStatus.RUNNING, attempts__gte=table.most_attempts).update(
        status=JobStatus.FAILED,
        finished_at=timezone.now(),
        error=f"The worker was lost {table.most_attempts} times while it ran this. Nothing was stored. Is there memory enough?",
    )
    found = list(jobs.values_list("pk", "status"))
    for key, status in found:
        # The condition is asked again in the update: a heart that beats after all keeps its job.
        jobs.filter(pk=key).update(status=JobStatus.PENDING, queued_at=timezone.now(), progress_done=0)
        log.warning("%s %s was forgotten (%s): ringing again", table._meta.verbose_name, key, status)
        bell(key)
    return len(found)
