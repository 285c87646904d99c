"""A test run at one confidence as its pages tell it: counts, classes, the confusion matrix, errors."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.metrics.columns import Ints
from evaluation.metrics.match_table import Counts, Curve, MatchTable, curves
from evaluation.metrics.matches import ErrorType
from evaluation.models import TestRun
from evaluation.stored_matches import confidence_of, tables


@dataclass(frozen=True)
class Figures:
    """Counts at a confidence and what follows from them; None where it is not defined."""

    name: str
    place: int | None
    true_positives: int
    false_positives: int
    missed: int
    precision: float | None
    recall: float | None
    f1: float | None
    best_confidence: float | None = None
    best_f1: float | None = None

    @property
    def objects(self) -> int:
        return self.true_positives + self.missed


@dataclass(frozen=True)
class Point:
    """A test run at a confidence. `best` is where F1 of all classes together is largest; None where there is none."""

    test_run: TestRun
    table: MatchTable
    confidence: float
    best: float | None

    @property
    def class_count(self) -> int:
        return len(self.test_run.class_names)

    @property
    def total(self) -> Figures:
        return _figures("All classes", None, self.table.counts(self.confidence, self.class_count).total(), 0)

    def classes(self) -> list[Figures]:
        """Every class, with its own best confidence."""
        counts = self.table.counts(self.confidence, self.class_count)
        bests = best_by_class(self.test_run, self.table)
        return [
            _figures(name, place, counts, place, best)
            for place, (name, best) in enumerate(zip(self.test_run.class_names, bests, strict=True))
        ]

    def errors(self) -> dict[ErrorType, int]:
        return self.table.error_counts(self.confidence)

    def confusion(self) -> Ints:
        return self.table.confusion(self.confidence, self.class_count)


def point_at(test_run: TestRun, confidence: float | None = None) -> Point:
    """At the confidence asked for, else at the one that the run's figures stand under."""
    return Point(test_run, tables.get(test_run), confidence_of(test_run, confidence), _best_of(test_run))


def _best_of(test_run: TestRun) -> float | None:
    """Where F1 of all classes together is best: it is always among the points that are drawn."""
    drawn = test_run.curves.get("confidence") or {"f1": []}
    return float(drawn["confidence"][int(np.argmax(drawn["f1"]))]) if drawn["f1"] else None


def best_by_class(test_run: TestRun, table: MatchTable) -> list[tuple[float | None, float | None]]:
    """Of each class the confidence of its best F1, and that F1; None where the class has no object or no prediction."""
    known = test_run.per_class_metrics
    if known and "best_confidence" in known[0]:
        return [(each["best_confidence"], each["best_f1"]) for each in known]
    return [_best(found) for found in curves(table, len(test_run.class_names))]


def _best(found: Curve) -> tuple[float | None, float | None]:
    return (None, None) if found.best is None else (float(found.confidences[found.best]), float(found.f1[found.best]))


def _figures(
    name: str, place: int | None, counts: Counts, at: int, best: tuple[float | None, float | None] = (None, None)
) -> Figures:
    precision, recall, f1 = (_defined(values[at]) for values in (counts.precision, counts.recall, counts.f1))
    found, wrong, missed = (int(values[at]) for values in (counts.true_positives, counts.false_positives, counts.missed))
    return Figures(name, place, found, wrong, missed, precision, recall, f1, *best)


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


# --- The confusion matrix ------------------------------------------------------------------------------------------------------
BACKGROUND = "background"
LEVELS = 9
ORDERS = {"confused": "Most confused first", "name": "By name", "file": "As in the dataset"}


@dataclass(frozen=True)
class Cell:
    count: int
    share: float
    predicted: int
    column: str
    is_diagonal: bool

    @property
    def level(self) -> int:
        """How dark it is: 0 for none, then by its share of the row."""
        return 0 if not self.count else 1 + min(LEVELS - 1, int(self.share * LEVELS))


@dataclass(frozen=True)
class Row:
    name: str
    true: int
    total: int
    cells: list[Cell]


@dataclass(frozen=True)
class Matrix:
    """The classes that occur, as truth (rows) or as prediction (columns), background last."""

    columns: list[str]
    rows: list[Row]
    left_out: int


def matrix_of(point: Point, order: str) -> Matrix:
    counts, names = point.confusion(), [*point.test_run.class_names, BACKGROUND]
    last = len(names) - 1
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    occurs = [place for place in range(last) if counts[place].any() or counts[:, place].any()]
    if order == "name":
        occurs.sort(key=lambda place: names[place].casefold())
    elif order == "confused":
        # Taken for another class says more of two classes than missed or made up.
        mistaken = wrong[:last, :last].sum(axis=1) + wrong[:last, :last].sum(axis=0)
        occurs.sort(key=lambda place: (-int(mistaken[place]), place))
    shown = [*occurs, last]
    totals = counts.sum(axis=1)
    rows = [
        Row(
            names[true],
            true,
            int(totals[true]),
            [
                Cell(int(counts[true, taken]), counts[true, taken] / max(1, totals[true]), taken, names[taken], true == taken)
                for taken in shown
            ],
        )
        for true in shown
    ]
    return Matrix([names[place] for place in shown], rows, last - len(occurs))


def worst_confusions(point: Point, most: int = 8) -> list[dict[str, Any]]:
    """Pairs of classes that are taken for each other most often."""
    counts, names = point.confusion()[:-1, :-1].copy(), point.test_run.class_names
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:most]
    pairs = [divmod(int(place), max(1, len(names))) for place in order]
    return [
        {"true": true, "predicted": taken, "names": (names[true], names[taken]), "count": int(counts[true, taken])}
        for true, taken in pairs
        if counts[true, taken]
    ]
