"""Reading the stored matches: an operating point, a confusion cell, galleries. Tables stay in memory between requests."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, fields
from threading import Lock
from typing import Any

import numpy as np
from django.db import connection
from psycopg import Cursor

from datasets.models import JobStatus
from evaluation.metrics.columns import Ints
from evaluation.metrics.match_table import Counts, MatchTable, curve, curves
from evaluation.metrics.matches import ErrorType
from evaluation.models import TestMatches, TestRun

BACKGROUND = -1
MOST_BYTES = 256_000_000


class NoMatches(Exception):
    """The test run is not completed."""

    remedy = "Wait until it is completed."


class Tables:
    """Those that were read last, up to so many bytes; the one just read always stays.

    By run and attempt: one that was made anew is another.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self.most, self._kept, self._lock = most, OrderedDict[tuple[int, int], MatchTable](), Lock()

    def get(self, test_run: TestRun) -> MatchTable:
        """Raises NoMatches."""
        check_completed(test_run)
        key = (test_run.pk, test_run.attempts)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        table = _read(test_run)
        with self._lock:
            self._kept[key] = table
            while len(self._kept) > 1 and sum(map(_size, self._kept.values())) > self.most:
                self._kept.popitem(last=False)
        return table


def keep(test_run: TestRun, table: MatchTable) -> None:
    """Written once; in binary, since as text tens of megabytes would be twice as many hexadecimal digits."""
    with _cursor() as cursor:
        statement = f'INSERT INTO {TestMatches._meta.db_table} (test_run_id, "table") VALUES (%s, %b)'  # noqa: S608 - our name
        cursor.execute(statement, [test_run.pk, table.to_bytes()])


def _read(test_run: TestRun) -> MatchTable:
    with _cursor() as cursor:
        query = f'SELECT "table" FROM {TestMatches._meta.db_table} WHERE test_run_id = %s'  # noqa: S608 - our name
        row = cursor.execute(query, [test_run.pk], binary=True).fetchone()
    if row is None:
        raise NoMatches("This test run has no matches yet.")
    return MatchTable.from_bytes(row[0])


def _cursor() -> "Cursor[Any]":
    """Of this connection, and in its transaction. Django's own puts values into the statement's text."""
    connection.ensure_connection()
    return Cursor(connection.connection)


def _size(table: MatchTable) -> int:
    return sum(getattr(table, field.name).nbytes for field in fields(table))


tables = Tables()


@dataclass(frozen=True)
class Found:
    """Pairs of rows of a table, -1 for nothing, in the order in which they are shown."""

    objects: Ints
    predictions: Ints

    def __len__(self) -> int:
        return len(self.objects)

    def part(self, offset: int, limit: int) -> "Found":
        return Found(self.objects[offset : offset + limit], self.predictions[offset : offset + limit])


def confidence_of(test_run: TestRun, asked: float | None) -> float:
    """The one asked for, else that under which the test run's own figures stand."""
    return float(test_run.metrics.get("confidence") or 0.0) if asked is None else asked


def operating_point(test_run: TestRun, confidence: float) -> dict[str, Any]:
    """Everything that moves with the confidence."""
    table, classes = tables.get(test_run), len(test_run.class_names)
    counts = table.counts(confidence, classes)
    whole = _counted(counts.total())
    return {
        "confidence": confidence,
        **{name: values[0] for name, values in whole.items()},
        "per_class": _by_class(test_run.class_names, _counted(counts)),
        "confusion_matrix": table.confusion(confidence, classes).tolist(),
        "errors": {kind.name.lower(): count for kind, count in table.error_counts(confidence).items()},
    }


def _counted(counts: Counts) -> dict[str, list[Any]]:
    shares = {"precision": counts.precision, "recall": counts.recall, "f1": counts.f1}
    return {
        "true_positives": counts.true_positives.tolist(),
        "false_positives": counts.false_positives.tolist(),
        "false_negatives": counts.missed.tolist(),
        **{name: [None if value != value else value for value in values.tolist()] for name, values in shares.items()},
    }


def _by_class(names: list[str], columns: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    return [{"name": name, **{key: values[place] for key, values in columns.items()}} for place, name in enumerate(names)]


def cell(test_run: TestRun, true: int, predicted: int, confidence: float) -> Found:
    """The objects and predictions of one cell of the confusion matrix, surest first; BACKGROUND is its last row or column."""
    table = tables.get(test_run)
    objects, predictions = table.confused(confidence)
    of_object = np.append(table.object_categories, BACKGROUND)[objects]
    of_prediction = np.append(table.prediction_categories, BACKGROUND)[predictions]
    inside = (of_object == true) & (of_prediction == predicted)
    objects, predictions = objects[inside], predictions[inside]
    order = np.lexsort((objects, predictions))
    return Found(objects[order], predictions[order])


def gallery(
    test_run: TestRun, outcome: str, confidence: float, category: int | None = None, error: ErrorType | None = None
) -> Found:
    """`tp`: right predictions with their objects; `fp`: wrong ones with the object that they mistake; `fn`: objects not found."""
    table = tables.get(test_run)
    if outcome == "fn":
        return _not_found(table, confidence, category, error)
    above = table.count_above(confidence)
    right = table.object_of[:above] >= 0
    chosen = right if outcome == "tp" else ~right & ~table.ignored[:above]
    if category is not None:
        chosen = chosen & (table.prediction_categories[:above] == category)
    if error is not None:
        chosen = chosen & (table.errors[:above] == error)
    predictions = np.flatnonzero(chosen)
    return Found((table.object_of if outcome == "tp" else table.nearest)[predictions], predictions)


def _not_found(table: MatchTable, confidence: float, category: int | None, error: ErrorType | None) -> Found:
    chosen = table.missed(confidence) if error == ErrorType.MISSED else ~table.found(confidence) & ~table.left_out
    if category is not None:
        chosen = chosen & (table.object_categories == category)
    objects = np.flatnonzero(chosen)
    return Found(objects, np.full(len(objects), -1))


def check_completed(test_run: TestRun) -> None:
    """Raises NoMatches."""
    if test_run.status != JobStatus.COMPLETED:
        raise NoMatches(f"This test run is {test_run.get_status_display().lower()}: there is nothing to be seen yet.")


def thresholds(test_run: TestRun) -> dict[str, Any]:
    """The confidence at which F1 is best, of all classes together and of each; None where a class has no object or no prediction."""
    table = tables.get(test_run)
    every = [curve(table), *curves(table, len(test_run.class_names))]
    told = [
        {"confidence": None, "f1": None}
        if one.best is None
        else {"confidence": float(one.confidences[one.best]), "f1": float(one.f1[one.best])}
        for one in every
    ]
    return {"test_run": test_run.pk, "all": told[0], "classes": dict(zip(test_run.class_names, told[1:], strict=True))}
