"""Reading answers: pages of a job's predictions, and one item across its epochs."""

from collections.abc import Iterable
from typing import Any

from django.db import connection
from django.db.models import Max, Q, QuerySet, Sum

from predictions import record
from predictions.models import PredictionRun, TextPrediction, TrainingJob

WITH_ITEM = ("run", "item")


def page(job: TrainingJob, *, epoch: float | None = None, offset: int = 0, limit: int = 50) -> list[TextPrediction]:
    """Answers in order of training and of sample index. Whole runs are skipped by their totals, so that no offset is slow."""
    runs = PredictionRun.objects.of_training(job)
    if epoch is not None:
        runs = runs.filter(epoch=epoch)
    found: list[TextPrediction] = []
    for pk, rows in runs.values_list("pk", "prediction_count"):
        if offset >= rows:
            offset -= rows
            continue
        texts = TextPrediction.objects.filter(run=pk).select_related(*WITH_ITEM).order_by("sample_index", "pk")
        found += texts[offset : offset + limit - len(found)]
        offset = 0
        if len(found) >= limit:
            break
    return found


def records(rows: Iterable[TextPrediction]) -> dict[int, dict[str, Any]]:
    """The records of the runs that these answers belong to, by the runs' ids."""
    runs = PredictionRun.objects.filter(pk__in={row.run_id for row in rows}).defer("totals")
    found = runs.select_related(*record.RECORDED)
    return {run.pk: record.as_dict(run) for run in found}


def total(job: TrainingJob, epoch: float | None = None) -> int:
    runs = PredictionRun.objects.of_training(job)
    if epoch is not None:
        runs = runs.filter(epoch=epoch)
    return int(runs.aggregate(n=Sum("prediction_count", default=0))["n"])


def epochs(job: TrainingJob) -> list[dict[str, Any]]:
    """Every epoch with answers: how many, and the latest step."""
    runs = PredictionRun.objects.filter(job=job, is_current=True, prediction_count__gt=0)
    grouped = runs.values("epoch").annotate(answers=Sum("prediction_count"), latest_step=Max("step")).order_by("epoch")
    return [
        {"epoch": epoch, "prediction_count": answers, "latest_step": step}
        for epoch, answers, step in grouped.values_list("epoch", "answers", "latest_step")
    ]


def of_sample(job: TrainingJob, sample_index: int) -> list[TextPrediction]:
    """The answers to what stood at this sample index, in order of training."""
    texts = TextPrediction.objects.filter(run__in=_current_runs(job), sample_index=sample_index)
    return list(texts.select_related(*WITH_ITEM).order_by("run__epoch", "run__step", "pk"))


def of_item(job: TrainingJob, key: str) -> list[TextPrediction]:
    """The answers to an item by its key, in order of training; versions of a set that share the item are one story."""
    texts = TextPrediction.objects.filter(run__in=_current_runs(job), item__key=key)
    return list(texts.select_related(*WITH_ITEM).order_by("run__epoch", "run__step", "pk"))


def failed(validator: str) -> Q:
    """Answers that a validator of this type failed, or of which it could not tell."""
    outcomes = [[{"type": validator, "outcome": outcome}] for outcome in ("fail", "error")]
    return Q(validations__contains=outcomes[0]) | Q(validations__contains=outcomes[1])


def failing_validators(run: PredictionRun) -> dict[str, int]:
    """How many answers of a run each type of validator failed, or could not tell; the most frequent first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT result->>'type' AS kind, count(DISTINCT text.id) AS answers FROM predictions_textprediction text,"
            " jsonb_array_elements(text.validations) result"
            " WHERE text.run_id = %s AND result->>'outcome' <> 'pass' GROUP BY kind ORDER BY answers DESC, kind",
            [run.pk],
        )
        return dict(cursor.fetchall())


def _current_runs(job: TrainingJob) -> "QuerySet[PredictionRun, int]":
    return PredictionRun.objects.filter(job=job, is_current=True).values_list("pk", flat=True)
