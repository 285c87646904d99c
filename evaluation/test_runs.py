"""Test runs as somebody asks for them: checked, as rows; what a waiting one waits for; ending and deleting. No Celery here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from accounts.models import User
from datasets.importers.problems import ImportRefused
from datasets.models import Dataset, JobStatus, Split
from evaluation.models import TestImageResult, TestMatches, TestRun
from evaluation.rules import RulesRefused, rules_for
from evaluation.skeletons import point_names, sigmas_of
from inference.models import InferenceJob
from predictions.models import Checkpoint, PredictionRun, PredictionSetVersion, SetKind

# Of predictions that are made for a test run: average precision wants the unsure ones as well.
LEAST_CONFIDENCE = 0.001
WAITING = "Waiting for the checkpoint's predictions"


class TestRefused(Exception):
    """What cannot be tested: why, in which field, and how to mend it."""

    __test__ = False

    def __init__(self, message: str, field: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.message, self.field, self.remedy = message, field, remedy


class TestConflict(Exception):
    """The test run is in another state."""

    __test__ = False

    remedy = "Look at its state, then decide."


@dataclass(frozen=True)
class Asked:
    """How a prediction run is to be judged. Without a split: the run's own. `rules` replace those of the protocol."""

    name: str = ""
    split: Split | None = None
    set_version: PredictionSetVersion | None = None
    protocol: str = ""
    rules: Mapping[str, Any] | None = None
    task_type: str = ""


def make_from_run(user: User | None, run: PredictionRun, asked: Asked) -> TestRun:
    """The row of a new test run, pending. Raises TestRefused."""
    dataset = run.dataset
    if dataset is None:
        raise TestRefused("This run answered no dataset.", "prediction_run", "Choose a run that predicts a dataset's images.")
    split = asked.split or run.split
    _check_split(dataset, split)
    if run.split_id and split and run.split_id != split.pk:
        raise TestRefused(f"The run predicts the split {run.split}, not {split}.", "dataset_split")
    return _make(
        user, dataset, split, asked, prediction_run=run, training_job_id=run.job_id or _job_of(run),
        checkpoint_id=_checkpoint_of(run), name=asked.name or run.name,
    )  # fmt: skip


def make_from_checkpoint(
    user: User | None, checkpoint: Checkpoint, dataset: Dataset, split: Split, inference: InferenceJob, asked: Asked
) -> TestRun:
    """The row of a test run that waits for the predictions. Raises TestRefused."""
    _check_split(dataset, split)
    return _make(
        user, dataset, split, asked, inference=inference, checkpoint=checkpoint, training_job_id=checkpoint.job_id,
        name=asked.name or str(checkpoint)[:200], stage=WAITING,
    )  # fmt: skip


def _make(user: User | None, dataset: Dataset, split: Split | None, asked: Asked, **fields: Any) -> TestRun:
    task_type = asked.task_type or dataset.task_type
    if asked.set_version is not None:
        _check_set(dataset, asked.set_version)
    try:
        rules = rules_for(task_type, asked.protocol, asked.rules)
        if rules.get("sigmas"):
            sigmas_of(point_names(dataset, rules["class_mapping"]), rules["sigmas"])
    except RulesRefused as refused:
        raise TestRefused(str(refused), f"rules.{refused.field}" if refused.field != "protocol" else "protocol") from None
    return TestRun.objects.create(
        project_id=dataset.project_id, dataset=dataset, split=split, set_version=asked.set_version, task_type=task_type,
        protocol=rules, protocol_name=rules["name"], created_by=user, **fields,
    )  # fmt: skip


def _check_split(dataset: Dataset, split: Split | None) -> None:
    if split is not None and split.dataset_id != dataset.pk:
        raise TestRefused(f"{dataset} has no split of that name.", "dataset_split")
    if not (split.sample_count if split else dataset.samples.exists()):
        raise TestRefused("There are no images to test on.", "dataset_split", "Import ground truth first.")


def _check_set(dataset: Dataset, version: PredictionSetVersion) -> None:
    if version.prediction_set.kind != SetKind.CURATED or version.prediction_set.project_id != dataset.project_id:
        raise TestRefused("Only a curated set of the same project can be tested on.", "set_version")
    if not version.items.filter(sample__dataset=dataset).exists():
        raise TestRefused(f"That set holds no image of {dataset}.", "set_version")


def _checkpoint_of(run: PredictionRun) -> int | None:
    key = run.generation_params.get("checkpoint")
    wanted = key.get("id") if isinstance(key, dict) else None
    return Checkpoint.objects.filter(pk=wanted, project=run.project_id).values_list("pk", flat=True).first() if wanted else None


def _job_of(run: PredictionRun) -> int | None:
    return Checkpoint.objects.filter(pk=_checkpoint_of(run)).values_list("job_id", flat=True).first()


# --- Waiting -----------------------------------------------------------------------------------------------------------
def waiting() -> "QuerySet[TestRun]":
    """Pending test runs whose predictions have been made meanwhile, or will never be."""
    ended = [JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED]
    found = TestRun.objects.filter(status=JobStatus.PENDING, prediction_run=None)
    return found.filter(Q(inference__status__in=ended) | Q(inference=None))


def still_waits(test_run: TestRun) -> bool:
    """Whether it is too early to claim it."""
    return test_run.prediction_run_id is None and test_run.inference is not None and test_run.inference.is_active


def wait_for(test_run: TestRun, inference: InferenceJob) -> None:
    """For the predictions of this job in place of those of an earlier one."""
    TestRun.objects.filter(pk=test_run.pk).update(inference=inference, stage=WAITING)
    test_run.inference, test_run.stage = inference, WAITING


def take_predictions(test_run: TestRun) -> PredictionRun:
    """The run to be judged, which inference may have made only now. Raises ImportRefused where there will be none."""
    job = test_run.inference
    if test_run.prediction_run is None and job is not None and job.status == JobStatus.COMPLETED and job.run is not None:
        TestRun.objects.filter(pk=test_run.pk).update(prediction_run=job.run)
        test_run.prediction_run = job.run
    if test_run.prediction_run is None:
        reason = "was deleted" if job is None else f"{job.get_status_display().lower()}: {job.error}".rstrip(":. ")
        raise ImportRefused(
            f"The inference job that was to predict {reason}.",
            remedy="Make a new test run."
            if job is None
            else "Mend what it says, then try again: the checkpoint is asked anew.",
        )
    return test_run.prediction_run


# --- Ending ------------------------------------------------------------------------------------------------------------
def cancel(test_run: TestRun) -> None:
    if not test_run.cancel():
        raise TestConflict(f"This test run is {test_run.get_status_display().lower()}; there is nothing to cancel.")


def requeue(test_run: TestRun) -> None:
    """Try a failed or cancelled one again, as it was asked for."""
    if test_run.status not in (JobStatus.FAILED, JobStatus.CANCELLED) or not test_run.requeue():
        raise TestConflict(
            f"This test run is {test_run.get_status_display().lower()}; only failed and cancelled ones go again."
        )


@transaction.atomic
def delete(test_run: TestRun) -> None:
    """With all results; the predictions stay. Table by table: a test run may have a hundred thousand images."""
    test_run.cancel()
    for table in (TestImageResult, TestMatches):
        table.objects.filter(test_run=test_run)._raw_delete(connection.alias)
    test_run.delete()
