"""The scores of a run, item by item, read in few queries: of a text run by item key, of images by sample.

A metric here is a score that every item has by itself, so that two runs can be held against each other item by item.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.db.models import Case, F, FloatField, QuerySet, Value, When
from django.db.models.functions import Cast, Coalesce

from datasets.models import Annotation, Sample
from evaluation.copying import copy_columns
from evaluation.matching import Objects, image_exact_match, image_f1
from evaluation.metrics.columns import Floats, Ints
from predictions.models import ImageOutcome, PredictedObject, PredictionRun, PredictionSetItem, TextPrediction
from predictions.scoring import DEFINITIONS, SCORE_NAMES

CUSTOM = "custom:"
# As the pages of images draw predictions unless told otherwise.
CONFIDENCE = 0.25


@dataclass(frozen=True)
class Metric:
    """A score as comparisons know it. `is_binary`: an item has it or not. `is_share`: it lies in 0..1, and differences are told
    in points. `most`: the greatest value there is.
    """

    name: str
    label: str
    meaning: str
    is_binary: bool = False
    lower_is_better: bool = False
    is_share: bool = True
    decimals: int = 3
    most: float = 1.0


TEXT_METRICS = {
    name: Metric(
        name,
        definition.label,
        definition.meaning,
        is_binary=name in ("exact_match", "exact_match_norm"),
        lower_is_better=definition.lower_is_better,
        is_share=name != "chrf",
        decimals=definition.decimals,
        most=100.0 if name == "chrf" else 1.0,
    )
    for name, definition in DEFINITIONS.items()
} | {
    # Neither more nor less is better: what counts is how near it comes to 1.
    "length_ratio": Metric(
        "length_ratio",
        "Length ratio, distance from 1",
        "How far the characters of the prediction / those of the reference are from 1.",
        lower_is_better=True,
        is_share=False,
        most=math.inf,
    )
}
PASSED = Metric("passed", "Passed", "Whether all validators of the item passed.", is_binary=True)
IMAGE_METRICS = {
    "exact_match": Metric("exact_match", "Exact match", "Whether the most confident label is the true one.", is_binary=True),
    "f1": Metric(
        "f1",
        "F1 of the image",
        "2 TP / (2 TP + FP + FN) of its boxes at IoU 0.5 and a confidence threshold, class by class, crowds left out; "
        "1 where nothing is there and nothing was said.",
    ),
}
METRICS = {"passed": PASSED} | TEXT_METRICS | {"f1": IMAGE_METRICS["f1"]}


def metric_of(name: str) -> Metric:
    """The definition; of a trainer's own score, of which more is taken to be better."""
    if name.startswith(CUSTOM):
        own = name.removeprefix(CUSTOM)
        return Metric(name, own, "A score that the trainer sent; higher is taken to be better.", is_share=False, most=math.inf)
    return METRICS[name]


@dataclass(frozen=True)
class Scores:
    """Of one run: keys of its items (item keys, or ids of samples), and by metric their values, NaN where not defined."""

    keys: Sequence[Any]
    values: Mapping[str, Floats]
    weights: Floats
    tags: Mapping[Any, list[str]] = field(default_factory=dict)


def scores_of(run: PredictionRun, confidence: float = CONFIDENCE, set_version: int | None = None) -> Scores:
    """Of a run of texts or of images; of images at this confidence, and only of those that a set's version holds, if given."""
    return text_scores(run) if run.dataset_id is None else image_scores(run, confidence, set_version)


# --- Texts ---------------------------------------------------------------------------------------------------------------------
def text_scores(run: PredictionRun) -> Scores:
    has_custom = bool(custom_names(run))
    columns = ["item__key", "item__weight", "passed", *SCORE_NAMES, *(["custom_scores"] if has_custom else [])]
    rows = TextPrediction.objects.filter(run=run).order_by("sample_index", "pk").values_list(*columns)
    found = dict(zip(columns, zip(*rows, strict=True), strict=True)) or dict.fromkeys(columns, ())
    values = {name: _floats(found[name]) for name in ("passed", *SCORE_NAMES)}
    values["length_ratio"] = np.abs(values["length_ratio"] - 1)
    for name in custom_names(run):
        values[CUSTOM + name] = _floats([(scores or {}).get(name) for scores in found["custom_scores"]])
    tagged = PredictionSetItem.objects.filter(version=run.set_version_id).exclude(tags=[])
    return Scores(
        found["item__key"],
        {name: column for name, column in values.items() if not np.isnan(column).all()},
        _floats(found["item__weight"]),
        dict(tagged.values_list("key", "tags")),
    )


def custom_names(run: PredictionRun) -> list[str]:
    """Scores that the trainer sent, in alphabetical order."""
    return sorted(set(run.totals.get("scores", {})) - set(SCORE_NAMES))


def _floats(column: Sequence[Any]) -> Floats:
    return np.array(column, dtype=np.float64)


# --- Images --------------------------------------------------------------------------------------------------------------------
def image_scores(run: PredictionRun, confidence: float, set_version: int | None) -> Scores:
    """Over all images that the run speaks of, also those in which it found nothing."""
    assert run.dataset is not None
    samples = Sample.objects.filter(dataset=run.dataset_id)
    samples = samples.filter(split=run.split_id) if run.split_id else samples
    items = PredictionSetItem.objects.filter(version=set_version).exclude(sample=None) if set_version else None
    if items is not None:
        samples = samples.filter(pk__in=items.values("sample"))
    images = np.array(samples.order_by("pk").values_list("pk", flat=True), np.int64)
    is_crowd = Case(When(is_crowd=True, then=1.0), default=0.0)
    truth = _objects(Annotation.objects.filter(sample__in=samples.order_by().values("pk")), is_crowd)
    said = _objects(PredictedObject.objects.filter(run=run, score__gte=confidence), F("score"))
    said = said.where(np.isin(said.images, images))
    if run.dataset.task_type == "classification":
        values = {"exact_match": image_exact_match(images, truth, said)}
    else:
        values = {"f1": image_f1(images, truth, said)}
    weights, tags = np.ones(len(images)), {}
    if items is not None:
        known = {sample: (weight, tags) for sample, weight, tags in items.values_list("sample", "weight", "tags")}
        weights = np.array([known[image][0] for image in images.tolist()], np.float64)
        tags = {image: tags for image, (_, tags) in known.items() if tags}
        values["passed"] = _outcomes(run, set_version, images)
    return Scores(
        images.tolist(), {name: column for name, column in values.items() if not np.isnan(column).all()}, weights, tags
    )


def _outcomes(run: PredictionRun, set_version: int | None, images: Ints) -> Floats:
    rows = ImageOutcome.objects.filter(run=run, item__version=set_version).order_by().values_list("item__sample", "passed")
    found = dict(rows)
    return np.array([found.get(image) for image in images.tolist()], dtype=np.float64)


def _objects(rows: "QuerySet[Any]", last: F | Case) -> Objects:
    """Their columns as arrays, in file order. Labels without a box have one of nothing."""
    table = read_columns(rows, "pk", "sample_id", "category_id", "x", "y", "width", "height", last)
    table = table[np.argsort(table[:, 0], kind="stable")]
    images, categories = table[:, 1].astype(np.int64), table[:, 2].astype(np.int64)
    return Objects(images, categories, np.nan_to_num(table[:, 3:7]), table[:, 7])


def read_columns(rows: "QuerySet[Any]", *columns: str | F | Case | Cast) -> Floats:
    """The columns of all rows as one table of numbers, NaN for NULL, in no order."""
    numbers = [Coalesce(Cast(column, FloatField()), Value(np.nan), output_field=FloatField()) for column in columns]
    sql, parameters = rows.order_by().values_list(*numbers).query.sql_with_params()
    return np.stack(copy_columns(sql, parameters, [np.float64] * len(columns)), axis=1)
