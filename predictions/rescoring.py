"""Recomputing a history when the definitions of scores or the validators have changed."""

from collections.abc import Iterator

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from predictions import scoring, validators
from predictions.ingest import common_validators
from predictions.models import PredictionRun, TextPrediction
from predictions.scoring import Scores
from predictions.totals import Totals, bleu_statistics
from predictions.validators import Claim, validate

BATCH = 2_000
UPDATE = (
    "UPDATE predictions_textprediction AS t SET {sets} FROM unnest(%s::bigint[], {arrays}) AS n(id, {names}) WHERE t.id = n.id"
)
WHOLE = ("char_edits", "reference_length")


def outdated(runs: "QuerySet[PredictionRun]") -> "QuerySet[PredictionRun]":
    """Those whose scores or outcomes were made under other definitions than today's."""
    current = Q(score_version=scoring.VERSION, validator_version=validators.VERSION)
    return runs.exclude(job=None).exclude(current)


def rescore(run: PredictionRun) -> int:
    """Score every answer of the run anew, and its totals with them, in one transaction; returns the number of answers."""
    with transaction.atomic():
        locked = PredictionRun.objects.select_for_update(no_key=True, of=("self",))
        run = locked.select_related("job", "set_version").get(pk=run.pk)
        totals = Totals()
        for batch in _batches(run):
            _rescore_batch(run, batch, totals)
        run.totals, run.prediction_count = totals.as_json(), totals.rows
        run.score_version, run.validator_version = scoring.VERSION, validators.VERSION
        run.save(update_fields=["totals", "prediction_count", "score_version", "validator_version"])
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
    _revalidate(run, batch, scored)
    rows = [(scores, row.custom_scores, row.passed) for row, scores in zip(batch, scored, strict=True)]
    totals.add_rows(rows, [row.item.weight for row in batch])
    totals.add_bleu(bleu_statistics(pairs))
    _write_scores([row.pk for row in batch], scored)


def _revalidate(run: PredictionRun, batch: list[TextPrediction], scored: list[Scores]) -> None:
    common, version = common_validators(run, run.set_version), run.set_version
    changed = []
    for row, scores in zip(batch, scored, strict=True):
        asked = [*common, *row.item.validators]
        if not asked and row.validations is None:
            continue
        changed.append(row)
        claim = Claim(row.prediction, scores, row.custom_scores or {}, row.latency_ms, row.finish_reason)
        row.passed, found = validate(asked, claim, version.pass_threshold if version else None)
        row.validations = found or None
    TextPrediction.objects.bulk_update(changed, ["passed", "validations"])


def _write_scores(pks: list[int], scored: list[Scores]) -> None:
    names = scoring.FIELDS
    statement = UPDATE.format(
        sets=", ".join(f"{name} = n.{name}" for name in names),
        arrays=", ".join(f"%s::{'integer' if name in WHOLE else 'float8'}[]" for name in names),
        names=", ".join(names),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [pks, *([getattr(scores, name) for scores in scored] for name in names)])
