"""Recomputing a history when the definitions of scores or the validators have changed."""

from collections.abc import Iterator

from django.db import connection, transaction
from django.db.models import QuerySet

from predictions import scoring
from predictions.models import PredictionRun, TextPrediction
from predictions.scoring import Scores
from predictions.totals import Totals, bleu_statistics
from predictions.validators import validate

BATCH = 2_000
UPDATE = (
    "UPDATE predictions_textprediction AS t SET {sets} FROM unnest(%s::bigint[], {arrays}) AS n(id, {names}) WHERE t.id = n.id"
)
WHOLE = ("char_edits", "reference_length")


def outdated(runs: "QuerySet[PredictionRun]") -> "QuerySet[PredictionRun]":
    """Those whose scores were made under other definitions than today's."""
    return runs.exclude(job=None).exclude(score_version=scoring.VERSION)


def rescore(run: PredictionRun) -> int:
    """Score every answer of the run anew, and its totals with them, in one transaction; returns the number of answers."""
    with transaction.atomic():
        run = PredictionRun.objects.select_for_update(no_key=True, of=("self",)).select_related("job").get(pk=run.pk)
        totals = Totals()
        for batch in _batches(run):
            _rescore_batch(run, batch, totals)
        run.totals, run.prediction_count, run.score_version = totals.as_json(), totals.rows, scoring.VERSION
        run.save(update_fields=["totals", "prediction_count", "score_version"])
    return totals.rows


def _batches(run: PredictionRun) -> Iterator[list[TextPrediction]]:
    last = 0
    while True:
        rows = TextPrediction.objects.filter(run=run, pk__gt=last).select_related("item").order_by("pk")
        batch = list(rows[:BATCH])
        if not batch:
            return
        last = batch[-1].pk
        yield batch


def _rescore_batch(run: PredictionRun, batch: list[TextPrediction], totals: Totals) -> None:
    pairs = [(row.prediction, row.item.references if row.references is None else row.references) for row in batch]
    scored = [scoring.score(*pair) for pair in pairs]
    validators = run.job.panel.validators if run.job else []
    if validators:
        for row in batch:
            row.passed, row.validations = validate(validators, row.prediction)
    totals.add_rows([(scores, row.custom_scores, row.passed) for row, scores in zip(batch, scored, strict=True)])
    totals.add_bleu(bleu_statistics(pairs))
    _write_scores([row.pk for row in batch], scored)
    if validators:
        TextPrediction.objects.bulk_update(batch, ["passed", "validations"])


def _write_scores(pks: list[int], scored: list[Scores]) -> None:
    names = scoring.FIELDS
    statement = UPDATE.format(
        sets=", ".join(f"{name} = n.{name}" for name in names),
        arrays=", ".join(f"%s::{'integer' if name in WHOLE else 'float8'}[]" for name in names),
        names=", ".join(names),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [pks, *([getattr(scores, name) for scores in scored] for name in names)])
