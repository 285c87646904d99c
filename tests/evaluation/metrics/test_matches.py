"""Matches: the same as one prediction after the other would make, and tables whose sums are right."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from evaluation.metrics.columns import Predictions, Scene, Truth
from evaluation.metrics.match_table import MatchTable, curve, curves
from evaluation.metrics.matches import ErrorType, match
from evaluation.metrics.overlaps import box_overlaps
from tests.evaluation.metrics.cases import reference, scenes

Case = tuple[Scene, Truth, Predictions]


def table_of(case: Case) -> MatchTable:
    scene, truth, predictions = case
    return MatchTable.of(np.arange(scene.image_count), truth, predictions, match(scene, truth, predictions, "bbox"), "bbox")


@given(case=scenes())
@settings(max_examples=80, deadline=None)
def test_matches_are_those_of_pycocotools(case: Case) -> None:
    """Its matches at IoU 0.5 over all areas; it never sees more than a hundred, nor do these scenes hold more."""
    scene, truth, predictions = case
    found = match(scene, truth, predictions, "bbox")
    expected = reference(scene, truth, predictions, "bbox")
    matched, ignored = {}, set()
    for cell in expected.evalImgs:
        if cell is None or cell["aRng"] != [0, 1e10]:
            continue
        for number, claim in enumerate(cell["dtIds"]):
            if cell["dtIgnore"][0][number]:
                ignored.add(claim - 1)
            elif cell["dtMatches"][0][number]:
                matched[claim - 1] = int(cell["dtMatches"][0][number]) - 1
    assert {int(place): int(found.object_of[place]) for place in np.flatnonzero(found.object_of >= 0)} == matched
    assert set(np.flatnonzero(found.ignored).tolist()) == ignored


@given(case=scenes())
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("confidence", [0.0, 0.5])
def test_a_confusion_matrix_adds_up(case: Case, confidence: float) -> None:
    """Rows are the truth, columns the predictions above the confidence; crowds and what met them are left out."""
    scene, truth, _ = case
    classes = len(scene.category_names)
    table = table_of(case)
    matrix = table.confusion(confidence, classes)
    above = (table.scores >= confidence) & ~table.ignored
    assert matrix[:classes].sum(axis=1).tolist() == np.bincount(truth.categories[~truth.crowds], minlength=classes).tolist()
    assert (
        matrix[:, :classes].sum(axis=0).tolist() == np.bincount(table.prediction_categories[above], minlength=classes).tolist()
    )


@given(case=scenes())
@settings(max_examples=60, deadline=None)
def test_the_matches_above_a_confidence_are_those_of_the_predictions_there(case: Case) -> None:
    scene, truth, predictions = case
    kept = predictions.scores >= 0.4
    fewer = Predictions(*(getattr(predictions, name)[kept] for name in ("ids", "images", "categories", "scores", "boxes")))
    whole, part = table_of(case), table_of((scene, truth, fewer))
    classes = len(scene.category_names)
    assert (whole.confusion(0.4, classes) == part.confusion(0.0, classes)).all()
    counts, others = whole.counts(0.4, classes), part.counts(0.0, classes)
    assert counts.true_positives.tolist() == others.true_positives.tolist()
    assert counts.false_positives.tolist() == others.false_positives.tolist()
    assert whole.error_counts(0.4) == part.error_counts(0.0)


@given(case=scenes())
@settings(max_examples=60, deadline=None)
def test_errors_are_told_apart_as_the_paper_has_it(case: Case) -> None:
    """One prediction after the other, straight from the definitions of TIDE (Bolya et al. 2020)."""
    scene, truth, predictions = case
    found = match(scene, truth, predictions, "bbox")
    for place in range(len(predictions)):
        expected = definition(truth, predictions, found, place)
        assert found.errors[place] == expected


def definition(truth: Truth, predictions: Predictions, found: Any, place: int) -> ErrorType:
    if found.object_of[place] >= 0 or found.ignored[place]:
        return ErrorType.NONE
    mine = np.flatnonzero((truth.images == predictions.images[place]) & ~truth.crowds)
    overlaps = box_overlaps(truth, predictions, mine, np.full(len(mine), place))
    same = truth.categories[mine] == predictions.categories[place]
    of_same, of_other = max(overlaps[same], default=0.0), max(overlaps[~same], default=0.0)
    if 0.1 <= of_same < 0.5:
        return ErrorType.LOCALISATION
    if of_other >= 0.5:
        return ErrorType.CLASSIFICATION
    if of_same >= 0.5:
        return ErrorType.DUPLICATE
    return ErrorType.BACKGROUND if max(of_same, of_other) < 0.1 else ErrorType.BOTH


@given(case=scenes())
@settings(max_examples=40, deadline=None)
def test_curves_are_counted_not_interpolated(case: Case) -> None:
    scene = case[0]
    table = table_of(case)
    found = curve(table)
    for confidence, precision, recall in zip(found.confidences, found.precision, found.recall, strict=True):
        counts = table.counts(confidence, len(scene.category_names)).total()
        if counts.true_positives[0] + counts.false_positives[0]:
            assert precision == pytest.approx(counts.precision[0])
        assert recall == pytest.approx(counts.recall[0])


@given(case=scenes())
@settings(max_examples=20, deadline=None)
def test_a_table_survives_being_stored(case: Case) -> None:
    table = table_of(case)
    back = MatchTable.from_bytes(table.to_bytes())
    assert_equal(back, table)
    for confidence in (0.0, 0.5, 1.0):
        classes = len(case[0].category_names)
        assert (back.confusion(confidence, classes) == table.confusion(confidence, classes)).all()
        assert back.error_counts(confidence) == table.error_counts(confidence)


@given(case=scenes())
@settings(max_examples=5, deadline=None)
def test_tables_that_were_stored_as_archives_are_still_read(case: Case) -> None:
    table = table_of(case)
    np.savez(stream := io.BytesIO(), **vars(table))
    assert_equal(MatchTable.from_bytes(stream.getvalue()), table)


def assert_equal(one: MatchTable, other: MatchTable) -> None:
    for name, values in vars(one).items():
        assert values.dtype.kind == getattr(other, name).dtype.kind and (values == getattr(other, name)).all(), name


@given(case=scenes())
@settings(max_examples=20, deadline=None)
def test_curves_of_categories_are_those_of_their_rows(case: Case) -> None:
    scene = case[0]
    found = curves(table_of(case), len(scene.category_names))
    for place, of_category in enumerate(found):
        mine = [columns.of_categories(np.array([place])) for columns in case[1:]]
        alone = curve(table_of((scene, mine[0], mine[1])))
        assert all((getattr(of_category, name) == values).all() for name, values in vars(alone).items())
