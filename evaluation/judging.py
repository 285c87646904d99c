"""The work of a test run: read, judge, write."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from django.db import connection, transaction
from psycopg.types.json import Jsonb

from datasets.bulk import locked_keys, without_row_triggers
from datasets.importers.problems import ImportRefused
from datasets.models import JobStatus, Sample
from datasets.runner import Heartbeat, JobCancelled
from evaluation import stored_matches
from evaluation.metrics import JUDGES
from evaluation.metrics.columns import Floats, Ints, Predictions, Truth
from evaluation.metrics.objects import KINDS, some
from evaluation.metrics.outcome import Outcome, Slices
from evaluation.metrics.slicing import slices_of
from evaluation.models import TestImageResult, TestMatches, TestRun
from evaluation.reading import Stage, read_labels, read_predictions, read_stage, read_truth
from evaluation.rules import RulesRefused, label_protocol, object_protocol
from evaluation.skeletons import UNMEASURED_SIGMA, point_names, sigmas_of, skeletons_of, unmeasured
from evaluation.test_runs import take_predictions
from inference.models import InferenceResult
from predictions.models import PredictionRun

# The columns of an image's outcome as they are copied, and their types.
FIELDS = {
    "test_run_id": "int8", "sample_id": "int8", "true_categories": "int4[]", "predicted_categories": "int4[]", "errors": "int2[]",
    "is_correct": "bool", "confidence": "float8", "top": "jsonb", "iou": "float8", "oks": "float8", "true_positives": "int4",
    "false_positives": "int4", "false_negatives": "int4", "f1": "float8", "loss": "float8", "inference_ms": "float8",
}  # fmt: skip
STEPS = 4
MOST_NAMED = 8  # classes in a warning


@dataclass(frozen=True)
class Material:
    """All that a test run reads. `rules` are those of its protocol, with what only the dataset could tell."""

    stage: Stage
    arguments: dict[str, Any]
    times: Floats
    warnings: list[str]
    rules: dict[str, Any]


def work_on(test_run: TestRun, heartbeat: Heartbeat) -> None:
    """Raises ImportRefused where there is nothing to judge, JobCancelled where somebody ended it."""
    heartbeat.progress(0, STEPS, "Reading")
    run = take_predictions(test_run)
    with snapshot():
        material = read(test_run, run)
    heartbeat.progress(1, STEPS, f"Judging {len(material.stage.samples):,} images")
    outcome = JUDGES[test_run.task_type](material.stage.scene, **material.arguments)
    warnings = [*material.warnings, *_unknown_classes(run, material.stage), *outcome.warnings]
    outcome = replace(outcome, warnings=warnings)
    heartbeat.progress(2, STEPS, "Writing")
    write(test_run, material, outcome)


@contextmanager
def snapshot() -> Iterator[None]:
    """Everything is read as of one moment, also while somebody imports."""
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


# --- Reading -----------------------------------------------------------------------------------------------------------
def read(test_run: TestRun, run: PredictionRun) -> Material:
    rules = test_run.protocol
    tagged = _tagged_samples(test_run)
    stage = read_stage(test_run.dataset, test_run.split, None if tagged is None else list(tagged), rules["class_mapping"])
    if not len(stage.samples):
        raise ImportRefused("There are no images to test on.", remedy="Import ground truth, then try again.")
    times = _times(test_run, run, stage)
    if test_run.task_type in KINDS:
        stage, told = with_skeletons(test_run, stage)
        truth, predictions = object_columns(test_run, run, stage)
        arguments = {
            "truth": truth, "predictions": predictions, "image_ids": stage.samples, "protocol": object_protocol(rules),
            "slices": _slices(stage, tagged, truth.images[~truth.crowds]),
        }  # fmt: skip
        return Material(stage, arguments, times, _told_of_objects(test_run, stage, truth, predictions, told), rules | told)
    stage, columns, several = read_labels(stage, test_run.dataset, run, rules["class_mapping"])
    arguments = {
        "columns": columns,
        "image_ids": stage.samples,
        "several": several,
        "protocol": label_protocol(rules),
        "slices": _slices(stage, tagged),
    }
    return Material(stage, arguments, times, [], rules)


def _tagged_samples(test_run: TestRun) -> dict[int, list[str]] | None:
    """Of a curated set the samples with their tags; None where the whole split counts."""
    if test_run.set_version is None:
        return None
    items = test_run.set_version.items.filter(sample__dataset=test_run.dataset_id)
    if test_run.split_id:
        items = items.filter(sample__split=test_run.split_id)
    return dict(items.values_list("sample", "tags"))


def _slices(stage: Stage, tagged: dict[int, list[str]] | None, object_images: Ints | None = None) -> Slices:
    tags: dict[str, list[int]] = {}
    for place, key in enumerate(stage.samples.tolist() if tagged else []):
        for tag in (tagged or {}).get(key, []):
            tags.setdefault(tag, []).append(place)
    return slices_of(stage.scene, stage.splits, object_images, tags)


def with_skeletons(test_run: TestRun, stage: Stage) -> tuple[Stage, dict[str, Any]]:
    """The stage with the points of poses, and the rule that their sigmas come to; as it is for other tasks."""
    if test_run.task_type != "pose":
        return stage, {}
    try:
        points = point_names(test_run.dataset, test_run.protocol["class_mapping"])
        sigmas = sigmas_of(points, test_run.protocol["sigmas"])
    except RulesRefused as refused:
        raise ImportRefused(str(refused), remedy=f"Make a new test run with another rule `{refused.field}`.") from None
    if not points:
        raise ImportRefused("The ground truth has no keypoints.", remedy="Test it as detection instead.")
    skeletons = skeletons_of(stage.scene.category_names, points, sigmas)
    return replace(stage, scene=replace(stage.scene, skeletons=skeletons)), {"sigmas": sigmas}


def object_columns(test_run: TestRun, run: PredictionRun, stage: Stage) -> tuple[Truth, Predictions]:
    masks = test_run.task_type == "segmentation"
    truth = read_truth(stage, test_run.dataset, test_run.split, masks=masks)
    least = test_run.protocol["least_confidence"]
    return truth, read_predictions(stage, run, masks=masks, least_confidence=least)


def _told_of_objects(
    test_run: TestRun, stage: Stage, truth: Truth, predictions: Predictions, rules: dict[str, Any]
) -> list[str]:
    if test_run.task_type == "segmentation":
        return _without_masks(truth, predictions)
    if test_run.task_type == "pose":
        return [*_unmeasured(stage, truth, rules["sigmas"]), *_without_points(predictions)]
    return []


def _unmeasured(stage: Stage, truth: Truth, sigmas: dict[str, list[float]]) -> list[str]:
    present = {stage.scene.category_names[place] for place in np.unique(truth.categories).tolist()}
    names = [name for name in unmeasured(sigmas) if name in present]
    if not names:
        return []
    return [
        f"Nobody has told how exactly people place the keypoints of {some(names)}: all have the sigma {UNMEASURED_SIGMA:.4f}. "
        "OKS of other sigmas is another figure; the rule `sigmas` sets them, by class."
    ]


def _without_points(predictions: Predictions) -> list[str]:
    assert predictions.keypoints is not None
    missing = int((~predictions.keypoints.any(axis=(1, 2))).sum())
    if not missing:
        return []
    return [
        f"{missing:,} predictions do not have as many keypoints as their class: they count as points at the image's corner."
    ]


def _without_masks(truth: Truth, predictions: Predictions) -> list[str]:
    found = []
    for what, masks in (("objects", truth.masks), ("predictions", predictions.masks)):
        missing = sum(mask is None for mask in masks or [])
        if missing:
            found.append(f"{missing:,} {what} have no mask; they overlap nothing.")
    return found


def _unknown_classes(run: PredictionRun, stage: Stage) -> list[str]:
    """Of what a checkpoint predicted: classes of the truth that it has no name for, which nobody could tell from plain misses."""
    names = run.generation_params.get("class_names")
    if not isinstance(names, list) or "inference_job" not in run.generation_params:
        return []
    known = {*names, *run.generation_params.get("class_mapping", {}).values()}
    unknown = [name for name in stage.scene.category_names if name not in known]
    if not unknown:
        return []
    shown = ", ".join(unknown[:MOST_NAMED]) + (", …" if len(unknown) > MOST_NAMED else "")
    return [
        f"The checkpoint has no class called {shown}, so nothing of {'it' if len(unknown) == 1 else 'them'} could be found. "
        "Where it has another name for one, say so when the checkpoint is run."
    ]


def _times(test_run: TestRun, run: PredictionRun, stage: Stage) -> Floats:
    """ms of inference of each image, NaN where nobody knows."""
    times = np.full(len(stage.samples), np.nan)
    job = test_run.inference_id or run.generation_params.get("inference_job")
    if not isinstance(job, int):
        return times
    rows = InferenceResult.objects.filter(job=job, job__run=run, inference_ms__isnull=False)
    known = dict(rows.values_list("sample", "inference_ms"))
    return np.array([known.get(key, np.nan) for key in stage.samples.tolist()])


# --- Writing -----------------------------------------------------------------------------------------------------------
def write(test_run: TestRun, material: Material, outcome: Outcome) -> None:
    """All or nothing. Raises JobCancelled, or ImportRefused where images went while it ran."""
    with transaction.atomic():
        rows = TestRun.objects.select_for_update(no_key=True).filter(pk=test_run.pk)
        if not rows.filter(status=JobStatus.RUNNING, attempts=test_run.attempts).exists():
            raise JobCancelled
        samples = material.stage.samples.tolist()
        if len(locked_keys(Sample.objects.filter(pk__in=samples), "pk")) < len(samples):
            raise ImportRefused("Images were removed while this ran.", remedy="Try again: it will see what is there now.")
        TestImageResult.objects.filter(test_run=test_run)._raw_delete(connection.alias)
        TestMatches.objects.filter(test_run=test_run)._raw_delete(connection.alias)
        _copy_images(test_run.pk, samples, outcome, material.times)
        if outcome.table is not None:
            stored_matches.keep(test_run, outcome.table)
        if not test_run.finish(JobStatus.COMPLETED, **_fields(material, outcome)):
            raise JobCancelled


def _fields(material: Material, outcome: Outcome) -> dict[str, Any]:
    known = material.times[~np.isnan(material.times)]
    return {
        "progress_done": STEPS,
        "progress_total": STEPS,
        "primary_metric_name": outcome.primary,
        "primary_metric_value": outcome.metrics[outcome.primary],
        "overall_loss": outcome.loss,
        "protocol": material.rules,
        "metrics": outcome.metrics,
        "intervals": outcome.intervals,
        "replicates": outcome.replicates,
        "undefined": outcome.undefined,
        "warnings": outcome.warnings,
        "per_class_metrics": outcome.per_class,
        "confusion_matrix": outcome.confusion.tolist(),
        "class_names": list(material.stage.scene.category_names),
        "curves": outcome.curves,
        "slices": outcome.slices,
        "reconciliation": {},
        "total_images": len(material.stage.samples),
        "correct_images": int(outcome.images.is_correct.sum()),
        "inference_time_ms": float(known.mean()) if known.size else None,
    }


def _copy_images(key: int, samples: list[int], outcome: Outcome, times: Floats) -> None:
    images = outcome.images
    tops = [None if top is None else Jsonb(top) for top in images.top] if images.top is not None else [None] * len(samples)
    columns = [
        [key] * len(samples), samples, images.true_categories, images.predicted_categories, images.errors,
        images.is_correct.tolist(), _plain(images.confidence), tops, _plain(images.iou), _plain(images.oks),
        images.true_positives.tolist(), images.false_positives.tolist(), images.false_negatives.tolist(),
        _plain(images.f1), _plain(images.loss), _plain(times),
    ]  # fmt: skip
    statement = f"COPY {TestImageResult._meta.db_table} ({', '.join(FIELDS)}) FROM STDIN (FORMAT BINARY)"
    with without_row_triggers(), connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(list(FIELDS.values()))
        for row in zip(*columns, strict=True):
            copy.write_row(row)


def _plain(values: Floats) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]  # NaN alone differs from itself
