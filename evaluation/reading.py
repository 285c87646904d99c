"""Truth and predictions from the database as columns: COPY in binary, which numpy reads as it comes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from datasets.models import Dataset, Split
from evaluation.copying import copied_rows, copy_columns
from evaluation.metrics.columns import Floats, Ints, LabelColumns, Predictions, Scene, Skeletons, Truth
from predictions.models import PredictionRun

# Columns of objects as they are read: three keys, six numbers.
OBJECT = [np.int64] * 3 + [np.float64] * 6


@dataclass(frozen=True)
class Stage:
    """What a test run looks at: the scene, the keys of its images by position and their splits, and the dataset's categories.

    `categories` are keys, `places` their positions among the scene's, which differ from their order where names are mapped.
    """

    scene: Scene
    samples: Ints
    splits: Sequence[str]
    categories: Ints
    places: Ints

    def image_positions(self, keys: Ints) -> Ints:
        return _positions(self.samples, keys)

    def category_positions(self, keys: Ints) -> Ints:
        return self.places[_positions(self.categories, keys)]


def read_stage(
    dataset: Dataset,
    split: Split | None = None,
    samples: Sequence[int] | None = None,
    mapping: Mapping[str, str] | None = None,
) -> Stage:
    """All images of the split (or of the dataset, or those given), in order of their ids, and the dataset's categories.

    `mapping` gives categories another name; those of one name become one. Where all ids are numbers they count as numbers, as COCO's tools have it: equal scores are told apart by that order.
    """
    rows = _images(dataset, split, samples)
    if rows and all(row[1].isdecimal() for row in rows):
        rows.sort(key=lambda row: int(row[1]))
    keys, names, places = _categories(dataset, mapping or {})
    sizes = np.array([[row[2] or 0, row[3] or 0] for row in rows], np.int64).reshape(-1, 2)
    return Stage(Scene(sizes, names), np.array([row[0] for row in rows], np.int64), [row[4] for row in rows], keys, places)


def _categories(dataset: Dataset, mapping: Mapping[str, str]) -> tuple[Ints, list[str], Ints]:
    """Keys, the names that are left, and which of them is each key's."""
    rows = list(dataset.categories.order_by("position", "pk").values_list("pk", "name"))
    keys = np.array([key for key, _ in rows], np.int64)
    if not mapping:
        return keys, [name for _, name in rows], np.arange(len(rows))
    mapped = [mapping.get(name, name) for _, name in rows]
    names = list(dict.fromkeys(mapped))
    return keys, names, np.array([names.index(name) for name in mapped], np.int64)


def _images(dataset: Dataset, split: Split | None, samples: Sequence[int] | None) -> list[Any]:
    found = dataset.samples.filter(split=split) if split else dataset.samples.all()
    if samples is not None:
        found = found.filter(pk__in=samples)
    return list(found.order_by("pk").values_list("pk", "external_id", "width", "height", "split__name"))


def read_truth(stage: Stage, dataset: Dataset, split: Split | None = None, *, masks: bool = False) -> Truth:
    """The ground truth of the stage's images; with keypoints where its scene has skeletons.

    An object without an area has that of its box. Objects without a box are whole-image labels and not read.
    """
    within = split.pk if split else None
    columns = copy_columns(
        "SELECT a.id, a.sample_id, a.category_id, a.x, a.y, a.width, a.height,"
        " coalesce(a.area, a.width * a.height), a.is_crowd::int::float8"
        " FROM datasets_annotation a JOIN datasets_sample s ON s.id = a.sample_id"
        " WHERE s.dataset_id = %s AND (%s::bigint IS NULL OR s.split_id = %s) AND a.width IS NOT NULL",
        [dataset.pk, within, within],
        OBJECT,
    )
    kept = _kept(stage, columns)
    ids, categories = kept[0], stage.category_positions(kept[2])
    return Truth(
        ids=ids,
        images=stage.image_positions(kept[1]),
        categories=categories,
        boxes=_boxes(kept, 3),
        areas=kept[3],
        crowds=kept[4] > 0,
        masks=_masks("datasets_annotation", ids) if masks else None,
        keypoints=_keypoints("datasets_annotation", ids, categories, stage.scene.skeletons),
    )


def read_predictions(stage: Stage, run: PredictionRun, *, masks: bool = False, least_confidence: float = 0.0) -> Predictions:
    """What the run claims of the stage's images, in file order; with keypoints where its scene has skeletons."""
    columns = copy_columns(
        "SELECT id, sample_id, category_id, score, x, y, width, height, coalesce(area, width * height)"
        " FROM predictions_predictedobject WHERE run_id = %s AND width IS NOT NULL AND score >= %s",
        [run.pk, least_confidence],
        OBJECT,
    )
    kept = _kept(stage, columns)
    ids, categories = kept[0], stage.category_positions(kept[2])
    return Predictions(
        ids=ids,
        images=stage.image_positions(kept[1]),
        categories=categories,
        scores=kept[3],
        boxes=_boxes(kept, 4),
        masks=_masks("predictions_predictedobject", ids) if masks else None,
        keypoints=_keypoints("predictions_predictedobject", ids, categories, stage.scene.skeletons),
        areas=kept[4],
    )


def read_labels(
    stage: Stage, dataset: Dataset, run: PredictionRun, mapping: Mapping[str, str]
) -> tuple[Stage, LabelColumns, int]:
    """Whole-image labels; the stage with the classes that the model knows and the dataset lacks; images with several true classes.

    The first true class of the file counts. The model's first choice is its surest label, or of the probabilities the largest.
    """
    truth, several = _true_labels(stage, dataset)
    predicted, confidence = _first_choices(stage, run)
    stage, probabilities = _probabilities(stage, run, mapping)
    if probabilities is not None:
        unnamed = (predicted < 0) & (probabilities.sum(axis=1) > 0)
        predicted[unnamed] = probabilities[unnamed].argmax(axis=1)
        confidence[unnamed] = probabilities[unnamed].max(axis=1)
    return stage, LabelColumns(truth, predicted, confidence, probabilities), several


def _true_labels(stage: Stage, dataset: Dataset) -> tuple[Ints, int]:
    columns = copy_columns(
        "SELECT a.id, a.sample_id, a.category_id FROM datasets_annotation a JOIN datasets_sample s ON s.id = a.sample_id"
        " WHERE s.dataset_id = %s AND a.width IS NULL",
        [dataset.pk],
        OBJECT[:3],
    )
    _, samples, keys = _kept(stage, columns)
    images, categories = stage.image_positions(samples), stage.category_positions(keys)
    truth = np.full(len(stage.samples), -1)
    # In order of the file: written backwards, the first stays.
    truth[images[::-1]] = categories[::-1]
    others = np.unique(images[truth[images] != categories])
    return truth, len(others)


def _first_choices(stage: Stage, run: PredictionRun) -> tuple[Ints, Floats]:
    columns = copy_columns(
        "SELECT id, sample_id, category_id, score FROM predictions_predictedobject WHERE run_id = %s AND width IS NULL",
        [run.pk],
        OBJECT[:4],
    )
    _, samples, keys, scores = _kept(stage, columns)
    images, categories = stage.image_positions(samples), stage.category_positions(keys)
    predicted, confidence = np.full(len(stage.samples), -1), np.zeros(len(stage.samples))
    rising = np.argsort(scores, kind="stable")
    predicted[images[rising]], confidence[images[rising]] = categories[rising], scores[rising]
    return predicted, confidence


def _probabilities(stage: Stage, run: PredictionRun, mapping: Mapping[str, str]) -> tuple[Stage, Floats | None]:
    """[images, classes], nought where an image has none; None where the run has none, or does not say of which classes."""
    named = [mapping.get(name, name) for name in run.generation_params.get("class_names", [])]
    samples, values = _copied_arrays(
        "SELECT sample_id, probabilities FROM predictions_predictedlabel WHERE run_id = %s AND cardinality(probabilities) = %s",
        [run.pk, len(named)],
        len(named),
    )
    inside = np.isin(samples, stage.samples)
    if not inside.any():
        return stage, None
    known = stage.scene.category_names
    names = [*known, *(name for name in dict.fromkeys(named) if name not in known)]
    found = np.zeros((len(stage.samples), len(names)))
    rows = stage.image_positions(samples[inside])
    for column, name in enumerate(named):
        found[rows, names.index(name)] += values[inside, column]
    return replace(stage, scene=replace(stage.scene, category_names=names)), found


def _positions(keys: Ints, wanted: Ints) -> Ints:
    order = np.argsort(keys, kind="stable")
    return np.asarray(order[np.searchsorted(keys, wanted, sorter=order)])


def _kept(stage: Stage, columns: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Rows of the stage's images, in order of their keys. Takes the columns out of the list: they may be hundreds of megabytes."""
    keys, inside = columns[0], np.isin(columns[1], stage.samples)
    if inside.all() and (keys[1:] > keys[:-1]).all():
        return columns
    order = np.argsort(keys, kind="stable")
    order = order[inside[order]]
    return [columns.pop(0)[order] for _ in range(len(columns))]


def _boxes(columns: list[NDArray[Any]], first: int) -> Floats:
    """Four columns as one table, which takes their place in memory."""
    found = np.column_stack(columns[first : first + 4])
    del columns[first : first + 4]
    return found


def _copied_arrays(query: str, parameters: Sequence[Any], length: int) -> tuple[Ints, Floats]:
    """A bigint and a float8[] of this length in each row: keys, and values [rows, length]."""
    element = np.dtype([("size", ">i4"), ("value", ">f8")])
    fields: list[Any] = [("count", ">i2"), ("length0", ">i4"), ("value0", ">i8"), ("length1", ">i4"), ("head", "V20")]
    row = np.dtype([*fields, ("value1", element, (length,))])
    keys, values = [np.empty(0, np.int64)], [np.empty((0, length))]
    for rows in copied_rows(query, parameters, row):
        keys.append(rows["value0"].astype(np.int64))
        values.append(rows["value1"]["value"].astype(np.float64))
    return np.concatenate(keys), np.concatenate(values)


def _masks(table: str, ids: Ints) -> list[Any]:
    """Each row's segmentation, None where it has none."""
    rows = _rows(f"SELECT id, segmentation FROM {table} WHERE id = ANY(%s) AND segmentation IS NOT NULL", ids)  # noqa: S608 - our names
    found = {key: json.loads(segmentation) for key, segmentation in rows}
    return [found.get(key) for key in ids.tolist()]


def _keypoints(table: str, ids: Ints, categories: Ints, skeletons: Skeletons | None) -> Floats | None:
    """[rows, points, 3]; nought where a row has none or another number of them than its category."""
    if skeletons is None:
        return None
    values = np.zeros((len(ids), skeletons.sigmas.shape[1], 3))
    rows = zip(ids.tolist(), skeletons.counts[categories].tolist(), strict=True)
    places = {key: (number, points) for number, (key, points) in enumerate(rows)}
    for key, flat in _rows(f"SELECT id, keypoints FROM {table} WHERE id = ANY(%s) AND keypoints IS NOT NULL", ids):  # noqa: S608 - our names
        number, points = places[key]
        if len(flat) == points * 3:
            values[number, :points] = np.reshape(flat, (points, 3))
    return values


def _rows(query: str, ids: Ints) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, [ids.tolist()])
        return list(cursor.fetchall())
