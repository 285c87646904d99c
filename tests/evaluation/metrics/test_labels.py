"""Labels judged: what an image without truth or prediction does, and tables that say the same as the figures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.metrics import JUDGES, labels
from evaluation.metrics.columns import LabelColumns, Scene
from evaluation.metrics.intervals import resampled_cells
from evaluation.metrics.matches import ErrorType

CLASSES = 3


def scene_of(images: int) -> Scene:
    return Scene(np.full((images, 2), 100), ["cat", "dog", "fox"])


@st.composite
def columns(draw) -> LabelColumns:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    images = draw(st.integers(1, 40))
    truth, predicted = rng.integers(-1, CLASSES, images), rng.integers(-1, CLASSES, images)
    confidence = np.where(predicted >= 0, np.round(rng.random(images), 1), 0.0)
    return LabelColumns(truth, predicted, confidence)


@given(case=columns())
@settings(max_examples=60, deadline=None)
def test_the_table_counts_what_the_figures_count(case: LabelColumns) -> None:
    images = len(case.truth)
    found = labels.judge(scene_of(images), case, np.arange(images) + 5)
    assert (found.table.confusion(0.0, CLASSES)[:CLASSES] == found.confusion[:CLASSES]).all()
    counts = found.table.counts(0.0, CLASSES)
    assert counts.true_positives.tolist() == np.diag(found.confusion)[:CLASSES].tolist()
    errors = found.table.error_counts(0.0)
    assert errors[ErrorType.MISSED] == int(((case.predicted < 0) & (case.truth >= 0)).sum())
    assert errors[ErrorType.CLASSIFICATION] == sum(kinds == [1] for kinds in found.images.errors)


@given(case=columns(), least=st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=40, deadline=None)
def test_unsure_first_choices_count_as_none(case: LabelColumns, least: float) -> None:
    images = len(case.truth)
    judged = labels.judge(scene_of(images), case, np.arange(images), labels.LabelProtocol(least))
    kept = LabelColumns(case.truth, np.where(case.confidence >= least, case.predicted, -1), case.confidence)
    assert judged.metrics == labels.judge(scene_of(images), kept, np.arange(images)).metrics


def test_an_image_without_a_prediction_is_wrong_and_in_no_figure_of_probabilities() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.0, 0.0, 0.0]])
    case = LabelColumns(np.array([0, 0]), np.array([0, -1]), np.array([0.7, 0.0]), probabilities)
    found = labels.judge(scene_of(2), case, np.arange(2))
    assert (found.metrics["top1"], found.metrics["top5"]) == (0.5, 0.5)
    assert found.metrics["log_loss"] == found.loss == pytest.approx(-np.log(0.7))
    assert np.isnan(found.images.loss[1]) and found.images.top[1] is None


def test_averages_of_resamples_are_those_of_the_matrix_itself() -> None:
    confusion = np.array([[8, 2, 0, 1], [1, 5, 0, 0], [0, 0, 0, 0]])
    case = LabelColumns(np.repeat([0, 0, 0, 1, 1], [8, 2, 1, 1, 5]), np.repeat([0, 1, -1, 0, 1], [8, 2, 1, 1, 5]), np.ones(17))
    found = labels.judge(scene_of(17), case, np.arange(17))
    averages = labels._averages(confusion[None].astype(float))
    for name, values in averages.items():
        assert values[0] == pytest.approx(found.metrics[name]), name
    intervals = resampled_cells(confusion, labels._averages)
    assert all(low <= averages[name][0] <= high for name, (low, high) in intervals.items())


def test_every_task_type_of_images_has_its_judge() -> None:
    from datasets.task_types import TASK_TYPES

    assert set(JUDGES) == set(TASK_TYPES)
