"""Items x runs: one score of every item in every run, where runs disagree, which items flip and which are never solved."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import Case, F, FloatField, Value, When
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from evaluation.metrics.columns import Floats, Ints
from evaluation.scores import CONFIDENCE, CUSTOM, read_columns, scores_of
from predictions.models import PredictionRun, PredictionSetItem, TextPrediction

# As predictions.trajectories.is_solved has it: the validators' word, else an exact match.
SOLVED = Case(
    When(passed=True, then=Value(1.0)),
    When(passed=False, then=Value(0.0)),
    When(exact_match=1.0, then=Value(1.0)),
    When(exact_match__lt=1.0, then=Value(0.0)),
    output_field=FloatField(),
)


@dataclass(frozen=True)
class Matrix:
    """`values` has a row per item and a column per run, NaN where a run has no value of an item."""

    keys: Sequence[Any]
    runs: Sequence[PredictionRun]
    values: Floats

    @property
    def disagreement(self) -> Floats:
        """Of each item, how far its runs lie apart (their variance); 0 where fewer than two have a value."""
        known = np.isfinite(self.values)
        counts, filled = known.sum(axis=1), np.where(known, self.values, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = filled.sum(axis=1) / counts
            spread: Floats = np.nan_to_num((filled**2).sum(axis=1) / counts - means**2)
        return spread

    def by_disagreement(self) -> Ints:
        """Positions of items, those first about which the runs disagree most; of equal ones those with the lower scores."""
        known = np.isfinite(self.values)
        totals = np.where(known, self.values, 0.0).sum(axis=1)
        return np.lexsort((np.arange(len(self.keys)), totals, -np.round(self.disagreement, 12))).astype(np.int64)

    @property
    def flips(self) -> Ints:
        """Of each item, how often it was solved and lost again from one run to the next that asked it; losing counts, and
        solving again, but not solving it first.
        """
        found = np.zeros(len(self.keys), np.int64)
        last, solved_once = np.zeros(len(self.keys), bool), np.zeros(len(self.keys), bool)
        for column in self.values.T:
            known, now = np.isfinite(column), column == 1
            found += known & solved_once & (now != last)
            last = np.where(known, now, last)
            solved_once |= known & now
        return found

    @property
    def never_solved(self) -> Ints:
        """Positions of items that were asked, and of which no run has solved one."""
        known = np.isfinite(self.values)
        return np.flatnonzero(known.any(axis=1) & ~((self.values == 1) & known).any(axis=1)).astype(np.int64)


def matrix_of(
    runs: Sequence[PredictionRun], metric: str, *, confidence: float = CONFIDENCE, set_version: int | None = None
) -> Matrix:
    """Of runs of texts, or of images of one dataset; runs of the other kind have no value of any item."""
    if not runs or runs[0].dataset_id is None:
        return _of_texts(runs, metric)
    columns = [scores_of(run, confidence, set_version) if run.dataset_id == runs[0].dataset_id else None for run in runs]
    keys = sorted({key for column in columns if column for key in column.keys})
    where = {key: place for place, key in enumerate(keys)}
    values = np.full((len(keys), len(runs)), np.nan)
    for number, column in enumerate(columns):
        if column and metric in column.values:
            values[[where[key] for key in column.keys], number] = column.values[metric]
    return Matrix(keys, runs, values)


def solved_matrix(runs: Sequence[PredictionRun]) -> Matrix:
    """1 where a run of texts has solved an item, 0 where not."""
    return _of_texts(runs, "solved")


def _of_texts(runs: Sequence[PredictionRun], metric: str) -> Matrix:
    """In one query for the scores, and one for the keys that versions of a set share."""
    if not runs:
        return Matrix([], [], np.empty((0, 0)))
    table = read_columns(
        TextPrediction.objects.filter(run__in=[run.pk for run in runs]), "run_id", "item_id", _expression(metric)
    )
    items = np.unique(table[:, 1].astype(np.int64))
    known = dict(PredictionSetItem.objects.filter(pk__in=items.tolist()).order_by().values_list("pk", "key"))
    keys = list(dict.fromkeys(known[item] for item in items.tolist()))
    where = {key: place for place, key in enumerate(keys)}
    rows = np.array([where[known[item]] for item in items.tolist()], np.int64)
    columns = {run.pk: number for number, run in enumerate(runs)}
    values = np.full((len(keys), len(runs)), np.nan)
    places = np.array([columns[run] for run in table[:, 0].astype(np.int64).tolist()], np.int64)
    values[rows[np.searchsorted(items, table[:, 1].astype(np.int64))], places] = table[:, 2]
    if metric == "length_ratio":
        values = np.abs(values - 1)
    return Matrix(keys, runs, values)


def _expression(metric: str) -> F | Case | Cast:
    if metric == "solved":
        return SOLVED
    if metric == "passed":
        return Case(When(passed=True, then=Value(1.0)), When(passed=False, then=Value(0.0)), output_field=FloatField())
    if metric.startswith(CUSTOM):
        return Cast(KeyTextTransform(metric.removeprefix(CUSTOM), "custom_scores"), FloatField())
    return F(metric)
