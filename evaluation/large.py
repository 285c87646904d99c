"""Comparisons that take longer than a page may: which those are, the work itself, and reading what it kept."""

from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.db.models import Max

from datasets.models import JobStatus
from datasets.runner import Heartbeat
from evaluation.comparison import Judgement, judge_all
from evaluation.models import Comparison
from evaluation.pairing import Pairing, pair, size_of
from evaluation.scores import metric_of
from predictions.models import ImageOutcome, PredictionRun

# Beyond either the reading and resampling of a comparison takes more than about a second.
MOST_ITEMS, MOST_OBJECTS = 10_000, 200_000


def is_large(baseline: PredictionRun, candidate: PredictionRun) -> bool:
    if baseline.dataset_id != candidate.dataset_id:
        return False  # nothing will be read
    objects = sum(run.prediction_count for run in (baseline, candidate) if run.dataset_id)
    return max(size_of(baseline), size_of(candidate)) > MOST_ITEMS or objects > MOST_OBJECTS


def state_of(baseline: PredictionRun, candidate: PredictionRun, confidence: float, set_version: int | None) -> str:
    """What a comparison of these depends on besides the two runs' keys."""
    parts = [f"{confidence:g}", str(set_version or "")]
    for run in (baseline, candidate):
        parts += [str(run.prediction_count), str(size_of(run)), run.score_version, run.validator_version]
    if set_version:
        outcomes = ImageOutcome.objects.filter(run__in=[baseline.pk, candidate.pk], item__version=set_version)
        parts.append(str(outcomes.aggregate(last=Max("pk"))["last"]))
    return "/".join(parts)


def work_on(job: Comparison, heartbeat: Heartbeat) -> None:
    """Read both runs, judge every metric over all items and over each tag, and keep it."""
    pairing = pair(
        job.baseline, job.candidate, confidence=job.confidence, set_version=job.set_version_id,
        step=lambda stage: heartbeat.progress(0, 0, stage),
    )  # fmt: skip
    found = judge_all(
        pairing, pairing.metrics, list(pairing.tags), [],
        lambda done, total: heartbeat.progress(done, total, "Resampling the items"),
    )  # fmt: skip
    judged = {tag: [_as_json(one) for one in those] for tag, those in found.items()}
    with transaction.atomic():
        if job.finish(JobStatus.COMPLETED, pairing=pairing.to_bytes(), report={"judged": judged}):
            older = Comparison.objects.filter(baseline=job.baseline_id, candidate=job.candidate_id, pk__lt=job.pk)
            older.exclude(status__in=[JobStatus.PENDING, JobStatus.RUNNING]).delete()


def kept(job: Comparison) -> tuple[Pairing, dict[str, list[Judgement]]]:
    """What a completed comparison found: the pairing, and the judgements of all metrics by tag ("" for all items)."""
    assert job.pairing is not None
    judged = {tag: [_from_json(one) for one in found] for tag, found in job.report["judged"].items()}
    return Pairing.from_bytes(bytes(job.pairing)), judged


def _as_json(one: Judgement) -> dict[str, Any]:
    return asdict(one) | {"metric": one.metric.name}


def _from_json(stored: dict[str, Any]) -> Judgement:
    intervals = {name: tuple(value) for name, value in stored.items() if name.endswith("interval") and value is not None}
    return Judgement(**stored | intervals | {"metric": metric_of(stored["metric"])})
