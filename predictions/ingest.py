"""What a trainer's POST does: answers of a model state become rows of a run, scored, and counted in the run's totals.

Idempotent on (job, set, item, epoch, step, attempt): what is sent again is updated in place. A later attempt at the same epoch
and step takes the place of the earlier one, whose rows stay.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.utils import timezone

from datasets.bulk import without_row_triggers
from predictions import prediction_sets, scoring, validators
from predictions.answers import Answer, parse_answer
from predictions.models import (
    PredictionRun,
    PredictionSetVersion,
    RunOrigin,
    RunStatus,
    TextPrediction,
    TrainingJob,
    TrainingStatus,
)
from predictions.prediction_sets import NewItem
from predictions.scoring import UNSCORED, Scores
from predictions.totals import Totals, bleu_statistics
from predictions.validators import Budget, Claim, validate

MOST_ROWS = 1_000
NO_VALIDATORS: list[Any] = []


@dataclass(frozen=True)
class Firing:
    """Where in a training the answers were given."""

    epoch: float
    step: int
    attempt: int
    prediction_set: str = ""
    checkpoint: str = ""
    generation_params: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Ingested:
    stored: int = 0
    updated: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def reject(self, index: int, reason: str) -> None:
        self.rejected.append({"index": index, "reason": reason})


class KnownItem(NamedTuple):
    """What ingest needs of an item; a model instance for each would cost as much as its scores."""

    pk: int
    key: str
    prompt: str | None
    references: list[str]
    validators: list[Any]
    weight: float


@dataclass
class Row:
    """An answer with the item it belongs to, its scores and BLEU statistics."""

    answer: Answer
    item: KnownItem
    scores: Scores = UNSCORED
    bleu: Sequence[int] = ()
    passed: bool | None = None
    validations: list[dict[str, Any]] | None = None

    @property
    def references(self) -> list[str]:
        """Those it came with; else the item's."""
        return self.item.references if self.answer.references is None else self.answer.references


def ingest(job: TrainingJob, firing: Firing, predictions: Sequence[Any]) -> Ingested:
    """Store a call's answers: good rows are stored, bad ones refused with their reasons. All of it or nothing on errors."""
    result = Ingested()
    answers = []
    for index, given in enumerate(predictions):
        parsed = parse_answer(index, given)
        if isinstance(parsed, str):
            result.reject(index, parsed)
        else:
            answers.append(parsed)
    with transaction.atomic():
        if answers:
            version = prediction_sets.version_for_answers(job, firing.prediction_set)
            run, is_new = _locked_run(job, firing, version)
            _store(run, version, _matched(run, version, answers, result), result)
            if is_new:
                _supersede(run, version)
        _note_firing(job, firing)
    result.rejected.sort(key=lambda refusal: refusal["index"])
    return result


def _locked_run(job: TrainingJob, firing: Firing, version: PredictionSetVersion) -> tuple[PredictionRun, bool]:
    """The run of this firing, made where it is the first call of it, and locked: calls of one run take turns."""
    key = {"job": job, "set_version": version, "epoch": firing.epoch, "step": firing.step, "attempt": firing.attempt}
    fresh = {
        "project": job.project,
        "name": f"{job.job_id} · epoch {firing.epoch:g} · step {firing.step}"[:120],
        "origin": RunOrigin.TRAINING,
        "status": RunStatus.COMPLETED,
        "score_version": scoring.VERSION,
        "validator_version": validators.VERSION,
        "checkpoint": firing.checkpoint,
        "generation_params": dict(firing.generation_params),
        "created_by": job.owner,
    }
    run, is_new = PredictionRun.objects.get_or_create(**key, defaults=fresh)
    run = PredictionRun.objects.select_for_update(no_key=True).get(pk=run.pk)
    run.job = job
    if firing.checkpoint and run.checkpoint != firing.checkpoint:
        run.checkpoint = firing.checkpoint
    if firing.generation_params:
        run.generation_params = dict(firing.generation_params)
    return run, is_new


def _supersede(run: PredictionRun, version: PredictionSetVersion) -> None:
    """The latest attempt at an epoch and step is the one that counts; the others stay, and are found by their attempt.

    Late in the transaction: calls of other firings of the job wait for its lock.
    """
    TrainingJob.objects.select_for_update(no_key=True).values_list("pk").get(pk=run.job_id)
    rivals = PredictionRun.objects.filter(job=run.job_id, epoch=run.epoch, step=run.step).order_by("-attempt", "-pk")
    of_set = rivals.filter(set_version__prediction_set=version.prediction_set_id)
    latest, *others = of_set.values_list("pk", flat=True)
    if others:
        PredictionRun.objects.filter(pk__in=others).update(is_current=False)
        PredictionRun.objects.filter(pk=latest).update(is_current=True)


def _matched(run: PredictionRun, version: PredictionSetVersion, answers: Sequence[Answer], result: Ingested) -> list[Row]:
    """Each answer with its item; answers to what the set does not ask are refused."""
    items = _items(version, {answer.key for answer in answers})
    placed = _places_in_run(run, items)
    taken: dict[str, Answer] = {}
    missing: dict[str, NewItem] = {}
    for answer in answers:
        key = _key_for(answer, taken, placed)
        reason = _reason_against(answer, key, taken, items, version)
        if reason:
            result.reject(answer.index, reason)
            continue
        taken[key] = answer
        if key not in items:
            missing[key] = NewItem(key, answer.sample_index, answer.prompt, answer.messages, answer.references or [])
    if missing:
        prediction_sets.add_items(version, list(missing.values()))
        items |= _items(version, missing.keys())
    return [Row(answer, items[key]) for key, answer in taken.items()]


def _items(version: PredictionSetVersion, keys: Collection[str]) -> dict[str, KnownItem]:
    """The version's items by key, locked against removal until the answers that point to them are committed."""
    with connection.cursor() as cursor:
        cursor.execute(
            'SELECT id, key, prompt, "references", validators, weight FROM predictions_predictionsetitem'
            " WHERE version_id = %s AND key = ANY(%s) FOR KEY SHARE",
            [version.pk, list(keys)],
        )
        return {
            key: KnownItem(pk, key, prompt, references, NO_VALIDATORS if own == "[]" else json.loads(own), weight)
            for pk, key, prompt, references, own, weight in cursor.fetchall()
        }


def _places_in_run(run: PredictionRun, items: Mapping[str, KnownItem]) -> dict[str, int]:
    """The sample index under which each key has been answered in this run."""
    if not run.prediction_count:
        return {}
    by_pk = {item.pk: key for key, item in items.items()}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT item_id, sample_index FROM predictions_textprediction WHERE run_id = %s AND item_id = ANY(%s)",
            [run.pk, list(by_pk)],
        )
        return {by_pk[item]: index for item, index in cursor.fetchall()}


def _key_for(answer: Answer, taken: Mapping[str, Answer], placed: Mapping[str, int]) -> str:
    """The key of the question. The same prompt at two places of one firing is two questions, unless the trainer says its key."""
    if answer.has_own_key:
        return answer.key
    elsewhere = taken[answer.key].sample_index if answer.key in taken else placed.get(answer.key)
    return answer.key if elsewhere in (None, answer.sample_index) else f"{answer.key}-{answer.sample_index}"


def _reason_against(
    answer: Answer,
    key: str,
    taken: Mapping[str, Answer],
    items: Mapping[str, KnownItem],
    version: PredictionSetVersion,
) -> str | None:
    if key in taken:
        return f"The same question as in row {taken[key].index} of this call. Send each item once."
    item = items.get(key)
    if item is None and not version.is_open:
        return f"{version} holds no item {key!r}. Register the set anew, or name another set."
    if item is None and answer.prompt is None and answer.messages is None:
        return f"item_key {key!r} is new here; send its prompt or messages with it."
    if item is not None and answer.prompt is not None and item.prompt is not None and answer.prompt != item.prompt:
        return f"item_key {key!r} stands for another prompt. Give every prompt a key of its own, or leave item_key out."
    return None


def _store(run: PredictionRun, version: PredictionSetVersion, rows: list[Row], result: Ingested) -> None:
    before = _rows_before(run, rows)
    _score(rows)
    _validate(rows, common_validators(run, version), version.pass_threshold)
    # The run is locked, so that what is not there now cannot come between: plain rows go in by COPY.
    (_upsert if before else _copy)(run, rows)
    result.updated += len(before)
    result.stored += len(rows) - len(before)
    totals = Totals.from_json(run.totals) if run.totals else Totals()
    if before:
        totals = _corrected(run, totals, before)
    totals.add_bleu(row.bleu for row in rows)
    if not before:
        totals.add_rows([(row.scores, row.answer.scores, row.passed) for row in rows], [row.item.weight for row in rows])
    run.totals = totals.as_json()
    run.prediction_count = totals.rows
    run.save(update_fields=["totals", "prediction_count", "checkpoint", "generation_params"])


def _score(rows: list[Row]) -> None:
    """Scores and BLEU statistics of the rows."""
    for row, statistics in zip(rows, bleu_statistics((row.answer.prediction, row.references) for row in rows), strict=True):
        row.scores = scoring.score(row.answer.prediction, row.references)
        row.bleu = statistics


def common_validators(run: PredictionRun, version: PredictionSetVersion | None) -> list[Any]:
    """What every answer of a run must satisfy: what the set asks for, and what the job's panel does."""
    asked = [*(version.validators if version else ()), *(run.job.panel.validators if run.job else ())]
    return validators.applying(asked, validators.TEXT)


def _validate(rows: list[Row], common: list[Any], pass_threshold: float | None) -> None:
    """The common validators and those of its item, for each row; the rows of a call share the time for it."""
    budget = Budget()
    for row in rows:
        if common or row.item.validators:
            answer = row.answer
            claim = Claim(answer.prediction, row.scores, answer.scores, answer.latency_ms, answer.finish_reason)
            row.passed, row.validations = validate([*common, *row.item.validators], claim, pass_threshold, budget)


def _rows_before(run: PredictionRun, rows: list[Row]) -> list[TextPrediction]:
    """What is stored of these items already, and is about to be replaced."""
    if not run.prediction_count:
        return []
    found = TextPrediction.objects.filter(run=run, item__in=[row.item.pk for row in rows]).select_related("item")
    return list(found.only("prediction", "references", "item__references", "run_id"))


def _corrected(run: PredictionRun, totals: Totals, before: list[TextPrediction]) -> Totals:
    """After an update: sums of scores read anew from the rows, since a least value cannot be taken back; BLEU exactly."""
    corrected = recomputed_scores(run)
    corrected.bleu = totals.bleu
    replaced = ((row.prediction, row.item.references if row.references is None else row.references) for row in before)
    corrected.add_bleu(bleu_statistics(replaced), sign=-1)
    return corrected


def recomputed_scores(run: PredictionRun) -> Totals:
    """The totals but for BLEU, from the stored rows in one pass."""
    totals = Totals()
    columns = [*scoring.FIELDS, "custom_scores", "passed", "item__weight"]
    stored = list(TextPrediction.objects.filter(run=run).order_by().values_list(*columns))
    rows = [(Scores(*values), custom, passed) for *values, custom, passed, _ in stored]
    totals.add_rows(rows, [weight for *_, weight in stored])
    return totals


COLUMNS: dict[str, str] = {
    "item_id": "bigint",
    "sample_index": "integer",
    "prediction": "text",
    "rendered_prompt": "text",
    "references": "jsonb",
    "exact_match": "float8",
    "exact_match_norm": "float8",
    "char_error_rate": "float8",
    "char_edits": "integer",
    "reference_length": "integer",
    "length_ratio": "float8",
    "word_overlap": "float8",
    "token_f1": "float8",
    "chrf": "float8",
    "custom_scores": "jsonb",
    "passed": "boolean",
    "validations": "jsonb",
    "token_counts": "jsonb",
    "latency_ms": "float8",
    "finish_reason": "text",
    "metadata": "jsonb",
}


def _upsert_statement() -> str:
    names = ", ".join(f'"{name}"' for name in COLUMNS)
    arrays = ", ".join(f"%s::{kind}[]" for kind in COLUMNS.values())
    updates = ", ".join(f'"{name}" = EXCLUDED."{name}"' for name in COLUMNS if name != "item_id")
    return (
        f"INSERT INTO predictions_textprediction (run_id, {names}) SELECT %s, * FROM unnest({arrays})"  # noqa: S608 - our names
        f" ON CONFLICT (run_id, item_id) DO UPDATE SET {updates}"
    )


UPSERT = _upsert_statement()
QUOTED = ", ".join(f'"{name}"' for name in COLUMNS)
COPY = f"COPY predictions_textprediction (run_id, {QUOTED}) FROM STDIN"


def _copy(run: PredictionRun, rows: list[Row]) -> None:
    with without_row_triggers(), connection.cursor() as cursor, cursor.copy(COPY) as copying:
        for row in rows:
            copying.write_row((run.pk, *_values(row)))


def _upsert(run: PredictionRun, rows: list[Row]) -> None:
    """All rows in one statement, one array per column."""
    columns = zip(*(_values(row) for row in rows), strict=True)
    # The items are locked by _items, the run by _locked_run: what the foreign keys would check is so.
    with without_row_triggers(), connection.cursor() as cursor:
        cursor.execute(UPSERT, [run.pk, *(list(column) for column in columns)])


def _values(row: Row) -> tuple[Any, ...]:
    answer, scores = row.answer, row.scores
    differing = answer.references if answer.references not in (None, row.item.references) else None
    return (
        row.item.pk,
        answer.sample_index,
        answer.prediction,
        answer.rendered_prompt,
        _json(differing),
        scores.exact_match,
        scores.exact_match_norm,
        scores.char_error_rate,
        scores.char_edits,
        scores.reference_length,
        scores.length_ratio,
        scores.word_overlap,
        scores.token_f1,
        scores.chrf,
        _json(answer.scores or None),
        row.passed,
        _json(row.validations),
        _json(answer.token_counts or None),
        answer.latency_ms,
        answer.finish_reason,
        _json(answer.metadata or None),
    )


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def _note_firing(job: TrainingJob, firing: Firing) -> None:
    """The job is alive, and this far."""
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE predictions_trainingjob SET last_seen_at = %s, started_at = coalesce(started_at, %s),"
            " epoch = greatest(epoch, %s), step = greatest(step, %s), attempt = greatest(attempt, %s),"
            " firing_count = (SELECT count(*) FROM predictions_predictionrun WHERE job_id = %s AND is_current),"
            " status = CASE WHEN status = %s THEN %s ELSE status END WHERE id = %s",
            [
                now,
                now,
                firing.epoch,
                firing.step,
                firing.attempt,
                job.pk,
                TrainingStatus.PENDING,
                TrainingStatus.RUNNING,
                job.pk,
            ],
        )
