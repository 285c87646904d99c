"""Runs on images held against the validators of curated sets: an outcome for each item whose image the run covers.

An import does it for its own run, in its own transaction: the work grows with the items of the sets, not with the results
file, and so no reader meets a run without its outcomes, and no lost message leaves one behind.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models import Max, QuerySet

from datasets.models import Annotation, Dataset
from predictions import validators
from predictions.models import (
    ImageOutcome,
    PredictedObject,
    PredictionRun,
    PredictionSetItem,
    PredictionSetVersion,
    RunStatus,
    SetKind,
)
from predictions.validators import ImageClaim, SeenObject, validate

BATCH = 500
BOX = ("x", "y", "width", "height")
Seen = dict[int | None, list[SeenObject]]


@transaction.atomic
def check_images(run: PredictionRun, version: PredictionSetVersion) -> int:
    """Hold a completed run against a version's items; what was found before is replaced. Returns how many outcomes there are.

    Items whose image is gone or outside the run's dataset and split, and items without validators, have none.
    """
    run = PredictionRun.objects.select_for_update(no_key=True).get(pk=run.pk)
    ImageOutcome.objects.filter(run=run, item__version=version)._raw_delete(connection.alias)
    if run.status != RunStatus.COMPLETED or run.dataset_id is None:
        return 0
    common = validators.applying(version.validators, validators.IMAGE)
    items = [item for item in _items(run, version) if common or item.validators]
    for start in range(0, len(items), BATCH):
        _check_batch(run, version, items[start : start + BATCH], common)
    return len(items)


def _items(run: PredictionRun, version: PredictionSetVersion) -> "QuerySet[PredictionSetItem]":
    items = PredictionSetItem.objects.filter(version=version, sample__dataset=run.dataset_id)
    if run.split_id is not None:
        items = items.filter(sample__split=run.split_id)
    return items.only("sample_id", "validators").order_by("pk")


def _check_batch(
    run: PredictionRun, version: PredictionSetVersion, items: Sequence[PredictionSetItem], common: list[Any]
) -> None:
    samples = [item.sample_id for item in items]
    predicted = _predicted(run, samples)
    true = _true(samples)
    outcomes = []
    for item in items:
        claim = ImageClaim(tuple(predicted[item.sample_id]), tuple(true[item.sample_id]))
        passed, results = validate([*common, *item.validators], claim, version.pass_threshold)
        outcomes.append(ImageOutcome(run=run, item=item, passed=passed, validations=results))
    ImageOutcome.objects.bulk_create(outcomes)


def _predicted(run: PredictionRun, samples: Iterable[int | None]) -> Seen:
    rows = PredictedObject.objects.filter(run=run, sample__in=samples).order_by("pk")
    return _by_sample(rows.values_list("sample_id", "category__name", "score", *BOX))


def _true(samples: Iterable[int | None]) -> Seen:
    """What is there, but for crowd regions, which nobody has to find one by one."""
    rows = Annotation.objects.filter(sample__in=samples, is_crowd=False).order_by("pk")
    found = rows.values_list("sample_id", "category__name", *BOX)
    return _by_sample((sample, name, 1.0, *box) for sample, name, *box in found)


def _by_sample(rows: Iterable[tuple[Any, ...]]) -> Seen:
    seen: Seen = defaultdict(list)
    for sample, name, confidence, *box in rows:
        seen[sample].append(SeenObject(name, None if None in box else tuple(box), confidence))
    return seen


def check_run(run: PredictionRun) -> int:
    """Hold a run that has just been completed against every curated set that asks about its images, in its latest version."""
    return sum(check_images(run, version) for version in latest_versions(run))


def latest_versions(run: PredictionRun) -> list[PredictionSetVersion]:
    """The latest published version of each curated set of the project that has items on the run's dataset."""
    published = PredictionSetVersion.objects.exclude(content_hash="").filter(
        prediction_set__kind=SetKind.CURATED, prediction_set__project=run.project_id
    )
    latest = (
        published.order_by().values("prediction_set").annotate(latest=Max("number")).values_list("prediction_set", "latest")
    )
    numbers = dict(latest)
    asking = published.filter(
        pk__in=PredictionSetItem.objects.filter(sample__dataset=run.dataset_id).values("version"), number__in=numbers.values()
    )
    return [version for version in asking if version.number == numbers[version.prediction_set_id]]


@transaction.atomic
def check_published(version: PredictionSetVersion) -> int:
    """Hold every completed run on the images of a version that has just been published against it.

    The datasets are locked as an import locks its own when it completes: a run that becomes visible meanwhile is met here or
    meets the version there.
    """
    asked = PredictionSetItem.objects.filter(version=version).exclude(sample=None)
    keys = sorted(set(asked.order_by().values_list("sample__dataset", flat=True)))
    list(Dataset.objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk").values_list("pk"))
    runs = PredictionRun.objects.completed().filter(dataset__in=keys, project=version.prediction_set.project_id)
    return sum(check_images(run, version) for run in runs.order_by("pk"))
