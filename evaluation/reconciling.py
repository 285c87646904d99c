"""The same predictions under other protocols, and which of their rules moved the number. Made when first asked for, then kept."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from datasets.models import JobStatus
from evaluation.judging import object_columns, snapshot, with_skeletons
from evaluation.metrics.objects import KINDS
from evaluation.metrics.protocols import PROTOCOLS, reconcile
from evaluation.models import TestRun
from evaluation.reading import read_stage
from predictions.models import PredictionRun

# Longer than this nobody works on one: the worker was lost.
LOST_AFTER = timedelta(minutes=15)
# Up to so many predictions it takes about a second.
MOST_AT_ONCE = 20_000


class NotReconcilable(Exception):
    """There are no other protocols, or no figures yet."""

    remedy = "Protocols differ for detection, segmentation and pose alone, once the test run is completed."


def check(test_run: TestRun) -> None:
    if test_run.task_type not in KINDS:
        raise NotReconcilable("Classification has one protocol.")
    if test_run.status != JobStatus.COMPLETED or test_run.prediction_run_id is None:
        raise NotReconcilable("This test run is not completed.")


def kept(test_run: TestRun) -> dict[str, Any] | None:
    """What was found for this attempt; None where it is still to be made."""
    found = test_run.reconciliation
    return found if found.get("attempt") == test_run.attempts and "protocols" in found else None


def is_small(test_run: TestRun) -> bool:
    return bool(test_run.prediction_run and test_run.prediction_run.prediction_count <= MOST_AT_ONCE)


def claim(test_run: TestRun) -> bool:
    """Whether nobody else is at it; from now on we are."""
    asked = test_run.reconciliation.get("asked_at")
    is_ours = asked and test_run.reconciliation.get("attempt") == test_run.attempts
    if is_ours and timezone.now() - datetime.fromisoformat(asked) < LOST_AFTER:
        return False
    mine = {"attempt": test_run.attempts, "asked_at": timezone.now().isoformat()}
    rows = TestRun.objects.filter(pk=test_run.pk, reconciliation=test_run.reconciliation)
    return bool(rows.update(reconciliation=mine))


def make(test_run: TestRun) -> dict[str, Any]:
    """From COCO's figure to that of each other protocol, rule by rule; kept on the row."""
    run = PredictionRun.objects.get(pk=test_run.prediction_run_id)
    with snapshot():
        samples = None
        if test_run.set_version is not None:
            samples = list(test_run.set_version.items.exclude(sample=None).values_list("sample", flat=True))
        stage = read_stage(test_run.dataset, test_run.split, samples, test_run.protocol["class_mapping"])
        stage, _ = with_skeletons(test_run, stage)
        truth, predictions = object_columns(test_run, run, stage)
    start, *others = PROTOCOLS.values()
    found = {}
    for other in others:
        steps = reconcile(stage.scene, truth, predictions, KINDS[test_run.task_type], start, other)
        found[other.name] = {"label": other.label, "value": steps[-1].value, "steps": [asdict(step) for step in steps]}
    told = {"attempt": test_run.attempts, "start": start.name, "protocols": found}
    TestRun.objects.filter(pk=test_run.pk, attempts=test_run.attempts).update(reconciliation=told)
    return told
