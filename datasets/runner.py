"""Running a job's work: claim it, keep its row alive and truthful, end it in words."""

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from django.db import DatabaseError, connections
from django.utils import timezone

from datasets.importers.problems import ImportRefused, printable
from datasets.models import Job, JobStatus

log = logging.getLogger("touchstone.jobs")

HEARTBEAT_SECONDS = 1.0


class JobCancelled(Exception):
    """The row was cancelled, or taken over by another worker, while the work ran."""


class Heartbeat(threading.Thread):
    """Writes progress to the job's row each second, on a connection of its own, and notices a cancellation.

    The work's own connection sits in one long transaction, from which nobody could read progress.
    """

    def __init__(self, job: Job, listener: Callable[[int, int, str], None] | None = None) -> None:
        super().__init__(name=f"heartbeat of {job}", daemon=True)
        self.job, self.listener = job, listener
        self.done, self.total, self.stage = 0, 0, ""
        self.is_cancelled = False
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self.join()

    def progress(self, done: int, total: int, stage: str = "") -> None:
        """Called by the work, often: remembers only. Raises JobCancelled where the work should stop."""
        self.done, self.total = done, total
        self.stage = stage or self.stage
        if self.is_cancelled:
            raise JobCancelled
        if self.listener:
            self.listener(done, total, self.stage)

    def run(self) -> None:
        try:
            while not self._ended.wait(HEARTBEAT_SECONDS):
                self._beat()
        except DatabaseError as error:
            # Without a heart beat the row is taken for forgotten and tried again: nothing is lost by stopping here.
            log.warning("%s: %s", self.name, error)
        finally:
            connections.close_all()

    def _beat(self) -> None:
        rows = type(self.job)._default_manager.filter(pk=self.job.pk)
        mine = rows.filter(status=JobStatus.RUNNING, attempts=self.job.attempts)
        alive = mine.update(
            heartbeat_at=timezone.now(), progress_done=self.done, progress_total=self.total, stage=self.stage[:120]
        )
        self.is_cancelled = not alive and rows.exists()


Work = Callable[[Heartbeat], None]


def run_job(job: Job, work: Work, listener: Callable[[int, int, str], None] | None = None) -> bool:
    """Claim the job and do its work. False where it was not ours to do: claimed, ended or cancelled by others.

    The work ends the row itself (`Job.finish`), in the same transaction as its data; here end only the failures.
    """
    if not job.claim():
        return False
    started = time.monotonic()
    try:
        with Heartbeat(job, listener) as heartbeat:
            work(heartbeat)
    except JobCancelled:
        log.info("%s was cancelled", job)
    except ImportRefused as refusal:
        told = {"message": refusal.message, "where": refusal.where, "remedy": refusal.remedy}
        job.finish(JobStatus.FAILED, error=refusal.in_words(), report=job.report | {"refusal": told})
    except Exception as error:
        log.exception("%s failed", job)
        job.finish(
            JobStatus.FAILED,
            error=f"Touchstone itself failed here ({type(error).__name__}: {printable(str(error))}). Nothing was stored. "
            "The log of the worker says more; please report it with the file's kind and the steps.",
        )
    job.refresh_from_db()
    log.info("%s: %s after %.1f s", job, job.status, time.monotonic() - started)
    return True
