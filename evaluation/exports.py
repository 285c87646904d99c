"""Test runs as files: images as CSV, JSON or Parquet, predictions as COCO results, errors as CSV. Streamed, row by row."""

import csv
import io
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

from django.db.models import QuerySet

from datasets.models import Category, Sample
from evaluation.models import TestImageResult, TestRun
from evaluation.shown_objects import error_name, predicted_objects, samples, true_objects
from evaluation.stored_matches import Found, confidence_of, gallery, tables
from predictions.models import PredictedObject

ROWS = 2_000
IMAGE_FIELDS = {
    "image_id": str, "file_name": str, "split": str, "true_labels": list, "predicted_labels": list, "confidence": float,
    "is_correct": bool, "errors": list, "true_positives": int, "false_positives": int, "false_negatives": int, "f1": float,
    "iou": float, "oks": float, "loss": float, "inference_time_ms": float,
}  # fmt: skip
ERROR_FIELDS = [
    "image_id", "file_name", "outcome", "error", "true_label", "predicted_label", "confidence", "x", "y", "width", "height",
]  # fmt: skip


def images(test_run: TestRun) -> Iterator[dict[str, Any]]:
    """A flat row for each image, in order of the file."""
    names = test_run.class_names
    for row in _results(test_run).iterator(chunk_size=ROWS):
        yield {
            "image_id": row.sample.external_id, "file_name": row.sample.file_name, "split": row.sample.split.name,
            "true_labels": [names[place] for place in row.true_categories],
            "predicted_labels": [names[place] for place in row.predicted_categories], "confidence": row.confidence,
            "is_correct": row.is_correct, "errors": [error_name(value) for value in row.errors],
            "true_positives": row.true_positives, "false_positives": row.false_positives, "false_negatives": row.false_negatives,
            "f1": row.f1, "iou": row.iou, "oks": row.oks, "loss": row.loss, "inference_time_ms": row.inference_ms,
        }  # fmt: skip


def _results(test_run: TestRun) -> "QuerySet[TestImageResult]":
    return TestImageResult.objects.filter(test_run=test_run).select_related("sample__split").order_by("pk")


def as_csv(test_run: TestRun) -> Iterator[str]:
    return _csv(list(IMAGE_FIELDS), images(test_run))


def as_json(test_run: TestRun) -> Iterator[str]:
    """The figures, then the images."""
    head = {"test_run": test_run.pk, "name": test_run.name, "protocol": test_run.protocol, "metrics": test_run.metrics,
            "intervals": test_run.intervals, "undefined": test_run.undefined, "warnings": test_run.warnings,
            "class_names": test_run.class_names, "per_class_metrics": test_run.per_class_metrics,
            "confusion_matrix": test_run.confusion_matrix}  # fmt: skip
    yield json.dumps(head)[:-1] + ', "images": '
    yield from _json_list(images(test_run))
    yield "}\n"


def as_coco(test_run: TestRun) -> Iterator[str]:
    """What the run claims of the test run's images, as COCO results with the dataset's own ids."""
    yield from _json_list(_coco_rows(test_run))
    yield "\n"


def _coco_rows(test_run: TestRun) -> Iterator[dict[str, Any]]:
    categories = {
        key: _own_id(name) for key, name in Category.objects.filter(dataset=test_run.dataset).values_list("pk", "external_id")
    }
    shown = TestImageResult.objects.filter(test_run=test_run).values("sample")
    ids = {key: _own_id(name) for key, name in Sample.objects.filter(pk__in=shown).values_list("pk", "external_id")}
    rows = PredictedObject.objects.filter(run=test_run.prediction_run_id).order_by("pk")
    for row in rows.iterator(chunk_size=ROWS):
        if row.sample_id not in ids:
            continue
        told: dict[str, Any] = {"image_id": ids[row.sample_id], "category_id": categories[row.category_id], "score": row.score}
        if row.x is not None:
            told["bbox"] = [row.x, row.y, row.width, row.height]
        if row.segmentation is not None:
            told["segmentation"] = row.segmentation
        if row.keypoints is not None:
            told["keypoints"] = row.keypoints
        yield told


def _own_id(external_id: str) -> int | str:
    """A number where the file had one; zero-padded ids are text."""
    return int(external_id) if external_id.isdecimal() and str(int(external_id)) == external_id else external_id


def as_errors(test_run: TestRun) -> Iterator[str]:
    """Every wrong prediction and every object not found, at the confidence of the run's figures."""
    return _csv(ERROR_FIELDS, _errors(test_run))


def _errors(test_run: TestRun) -> Iterator[dict[str, Any]]:
    confidence = confidence_of(test_run, None)
    for outcome in ("fp", "fn"):
        found = gallery(test_run, outcome, confidence)
        for start in range(0, len(found), ROWS):
            yield from _error_rows(test_run, outcome, found.part(start, ROWS))


def _error_rows(test_run: TestRun, outcome: str, found: Found) -> Iterator[dict[str, Any]]:
    table, names = tables.get(test_run), test_run.class_names
    is_wrong = outcome == "fp"
    rows = found.predictions if is_wrong else found.objects
    keys = (table.prediction_ids if is_wrong else table.object_ids)[rows].tolist()
    shapes = (predicted_objects if is_wrong else true_objects)(keys, test_run)
    places = (table.prediction_images if is_wrong else table.object_images)[rows]
    known = samples(table.image_ids[places].tolist())
    for key, place, one, claim in zip(keys, places.tolist(), found.objects.tolist(), found.predictions.tolist(), strict=True):
        sample = known.get(int(table.image_ids[place]))
        box = shapes.get(key, {}).get("bbox") or [None] * 4
        yield {
            "image_id": sample.external_id if sample else "", "file_name": sample.file_name if sample else "", "outcome": outcome,
            "error": error_name(int(table.errors[claim])) if is_wrong else "missed",
            "true_label": names[table.object_categories[one]] if one >= 0 else None,
            "predicted_label": names[table.prediction_categories[claim]] if claim >= 0 else None,
            "confidence": float(table.scores[claim]) if claim >= 0 else None,
            **dict(zip(("x", "y", "width", "height"), box, strict=True)),
        }  # fmt: skip


def as_parquet(test_run: TestRun) -> Iterator[bytes]:
    """A Parquet file ends with its directory: it is written to a file first, a batch of rows at a time."""
    # A megabyte each, which no other page has use for.
    from arro3.core import DataType, Field, RecordBatch, RecordBatchReader, Schema
    from arro3.io import write_parquet

    kinds = {str: DataType.utf8(), float: DataType.float64(), int: DataType.int64(), bool: DataType.bool()}
    kinds[list] = DataType.list(Field("item", DataType.utf8(), nullable=True))
    schema = Schema([Field(name, kinds[kind], nullable=True) for name, kind in IMAGE_FIELDS.items()])
    batches = (
        RecordBatch.from_arrays(
            [_column([row[name] for row in rows], kinds[kind]) for name, kind in IMAGE_FIELDS.items()], schema=schema
        )
        for rows in _batches(images(test_run))
    )
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        write_parquet(RecordBatchReader.from_batches(schema, batches), file.name)
        file.seek(0)
        while block := file.read(1 << 16):
            yield block


def _column(values: list[Any], kind: Any) -> Any:
    from arro3.core import Array, DataType, list_array

    if not DataType.is_list(kind):
        return Array(values, kind)
    ends = [0, *accumulate(len(each) for each in values)]
    flat = [one for each in values for one in each]
    return list_array(Array(ends, DataType.int32()), Array(flat, DataType.utf8()), type=kind)


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _csv(fields: Sequence[str], rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    """Lists with semicolons between; what a spreadsheet would take for a formula is marked as text."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(fields)
    for row in rows:
        writer.writerow([_as_text(row[name]) for name in fields])
        yield _taken(stream)
    yield _taken(stream)


def _taken(stream: io.StringIO) -> str:
    text = stream.getvalue()
    stream.seek(0)
    stream.truncate()
    return text


def _as_text(value: Any) -> Any:
    if isinstance(value, list):
        value = "; ".join(map(str, value))
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _json_list(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    yield "["
    for number, row in enumerate(rows):
        yield f"{', ' if number else ''}{json.dumps(row)}"
    yield "]"


# By the name that the API gives them: content type, end of the file's name, what makes it.
FORMATS: dict[str, tuple[str, str, Callable[[TestRun], Iterator[Any]]]] = {
    "csv": ("text/csv", "images.csv", as_csv),
    "json": ("application/json", "images.json", as_json),
    "parquet": ("application/vnd.apache.parquet", "images.parquet", as_parquet),
    "coco": ("application/json", "coco-results.json", as_coco),
    "errors": ("text/csv", "errors.csv", as_errors),
}
