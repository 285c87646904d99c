"""Asking for test runs: make the row, ring the bell."""

from typing import Any

from django.db import transaction

from accounts.models import User
from datasets.models import Dataset, JobStatus, Split
from evaluation import reconciling, tasks, test_runs
from evaluation.models import TestRun
from evaluation.test_runs import Asked
from inference import jobs as inference_jobs
from predictions.models import Checkpoint, PredictionRun


def start_from_run(user: User, run: PredictionRun, asked: Asked) -> TestRun:
    test_run = test_runs.make_from_run(user, run, asked)
    tasks.run_test.delay_on_commit(test_run.pk)
    return test_run


def start_from_checkpoint(
    user: User, checkpoint: Checkpoint, dataset: Dataset, split: Split, asked: Asked, settings: dict[str, Any]
) -> TestRun:
    """Inference makes the predictions, unsure ones too unless told: average precision wants them. The test goes on by itself then."""
    settings = {"confidence": test_runs.LEAST_CONFIDENCE} | settings
    job = inference_jobs.start_dataset(user, checkpoint, dataset, split, settings, name=asked.name)
    return test_runs.make_from_checkpoint(user, checkpoint, dataset, split, job, asked)


def cancel(test_run: TestRun) -> None:
    """What only this test run waits for is cancelled with it."""
    test_runs.cancel(test_run)
    if test_run.prediction_run_id is None and test_run.inference is not None and test_run.inference.is_active:
        inference_jobs.cancel(test_run.inference)


@transaction.atomic
def retry(test_run: TestRun) -> None:
    """Once more, as it was asked for. Where the predictions were never made, the checkpoint is asked anew first."""
    test_runs.requeue(test_run)
    inference = test_run.inference
    if (
        test_run.prediction_run_id is None
        and inference is not None
        and inference.status in (JobStatus.FAILED, JobStatus.CANCELLED)
    ):
        test_runs.wait_for(test_run, inference_jobs.repeat(inference, inference.created_by))
    else:
        tasks.run_test.delay_on_commit(test_run.pk)


def reconciliation_of(test_run: TestRun) -> dict[str, Any] | None:
    """At once where it is kept or quickly made; else None, and a worker makes it. Raises NotReconcilable."""
    reconciling.check(test_run)
    found = reconciling.kept(test_run)
    if found is None and reconciling.is_small(test_run):
        found = reconciling.make(test_run)
    elif found is None and reconciling.claim(test_run):
        tasks.reconcile_test.delay_on_commit(test_run.pk)
    return found
