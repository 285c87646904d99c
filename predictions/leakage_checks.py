"""Leakage checks that run by themselves: which golden sets are due when questions are drawn, the work, and what to tell."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import User
from datasets.importers.problems import ImportRefused
from datasets.models import JobStatus
from datasets.runner import Heartbeat
from datasets.sources import server_path
from predictions.leakage import Leakage, check_questions, question_in
from predictions.models import LeakageCheck, PredictionSetItem, PredictionSetVersion, SetKind, TrainingJob
from predictions.rows import Question, RowsUnreadable, read_rows

STEP = 1000
WITH = ["version__prediction_set", "drawn__prediction_set"]


def due(drawn: PredictionSetVersion, user: User | None) -> list[LeakageCheck]:
    """Checks to be rung for: what was drawn against the newest version of each golden set that asks in words.

    Each pair is checked once; a check that failed is tried again.
    """
    checks = []
    for version in _newest_in_words(drawn):
        check, is_new = LeakageCheck.objects.get_or_create(version=version, drawn=drawn, defaults={"created_by": user})
        if is_new or (check.status == JobStatus.FAILED and check.requeue()):
            checks.append(check)
    return checks


def _newest_in_words(drawn: PredictionSetVersion) -> "QuerySet[PredictionSetVersion]":
    in_words = PredictionSetItem.objects.filter(Q(prompt__isnull=False) | Q(messages__isnull=False), version=OuterRef("pk"))
    golden = PredictionSetVersion.objects.exclude(content_hash="").filter(
        prediction_set__project=drawn.prediction_set.project_id, prediction_set__kind=SetKind.CURATED
    )
    newest = golden.order_by("prediction_set_id", "-number").distinct("prediction_set_id")
    return PredictionSetVersion.objects.filter(Exists(in_words), pk__in=newest.values("pk"))


def work_on(check: LeakageCheck, heartbeat: Heartbeat) -> None:
    """Look through the file where this server may read it, else through the rows that were drawn from it."""
    path = _file_of(check.drawn)
    try:
        found = None if path is None else _look(check, (question_in(row) for row in read_rows(path)), heartbeat)
    except RowsUnreadable:
        found = None
    whole_file = found is not None
    if found is None:
        found = _look(check, (_asked(item) for item in check.drawn.items.iterator()), heartbeat)
    check.finish(JobStatus.COMPLETED, leaked=found.leaked, whole_file=whole_file, report=found.as_dict())


def _file_of(drawn: PredictionSetVersion) -> Path | None:
    """The file that the questions were drawn from, where it lies inside the folders that this server may import from."""
    if not Path(drawn.source).is_absolute():
        return None
    try:
        path = server_path(drawn.source)
    except ImportRefused:
        return None
    return path if path.is_file() else None


def _look(check: LeakageCheck, questions: Iterable[Question | None], heartbeat: Heartbeat) -> Leakage:
    return check_questions(check.version, _counted(questions, heartbeat))


def _counted(questions: Iterable[Question | None], heartbeat: Heartbeat) -> Iterator[Question | None]:
    for number, question in enumerate(questions):
        if number % STEP == 0:
            heartbeat.progress(number, 0, "Looking through the training data")
        yield question


def _asked(item: PredictionSetItem) -> Question:
    return Question(item.prompt, item.messages, tuple(item.references))


def of_set(pk: int) -> "QuerySet[LeakageCheck]":
    """The checks of a set's versions, newest first, with all that a page says of them."""
    return LeakageCheck.objects.filter(version__prediction_set=pk).select_related(*WITH)


def leaks_of(job: TrainingJob) -> list[str]:
    """A sentence for each golden set whose questions stand in what the job has drawn from."""
    names: dict[str, Any] = job.registered_sets
    found = LeakageCheck.objects.filter(
        leaked__gt=0, drawn__prediction_set__project=job.project_id, drawn__prediction_set__name__in=list(names)
    )
    checks = found.select_related(*WITH).order_by("pk")
    said = "What a model scores on them says little."
    return [f"{check.in_words} {said}" for check in checks if names[check.drawn.prediction_set.name] == check.drawn.number]
