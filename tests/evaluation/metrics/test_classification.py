"""Classification: equal to scikit-learn."""

from typing import Any

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.metrics.classification import figures
from evaluation.metrics.columns import LabelColumns


@st.composite
def labels(draw: Any) -> tuple[Any, Any, int]:
    """Truth, probabilities and the number of classes; coarse probabilities make ties."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, classes = draw(st.integers(1, 60)), draw(st.integers(2, 8))
    probabilities = rng.dirichlet(np.ones(classes), count)
    if draw(st.booleans()):
        probabilities = np.round(probabilities, 1) + 1e-3
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    return rng.integers(0, classes, count), probabilities, classes


def columns(truth: Any, probabilities: Any) -> LabelColumns:
    first = np.argsort(-probabilities, axis=1, kind="stable")[:, 0]
    return LabelColumns(truth, first, probabilities.max(axis=1), probabilities)


@given(case=labels())
@settings(max_examples=100, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_every_figure_is_that_of_scikit_learn(case: tuple[Any, Any, int]) -> None:
    truth, probabilities, classes = case
    given_columns = columns(truth, probabilities)
    found = figures(given_columns, classes).summary
    assert found["top1"] == pytest.approx(reference.accuracy_score(truth, given_columns.predicted), abs=1e-12)
    for average in ("macro", "micro", "weighted"):
        expected = reference.precision_recall_fscore_support(truth, given_columns.predicted, average=average, zero_division=0)
        values = [found[f"{average}_{name}"] for name in ("precision", "recall", "f1")]
        assert values == pytest.approx(expected[:3], abs=1e-12)
    assert found["log_loss"] == pytest.approx(reference.log_loss(truth, probabilities, labels=range(classes)), abs=1e-12)
    if found["roc_auc"] is not None:
        expected_area = reference.roc_auc_score(np.eye(classes)[truth], probabilities, average="macro")
        assert found["roc_auc"] == pytest.approx(expected_area, abs=1e-12)


@given(case=labels())
@settings(max_examples=40, deadline=None)
def test_the_confusion_matrix_is_scikit_learns(case: tuple[Any, Any, int]) -> None:
    truth, probabilities, classes = case
    given_columns = columns(truth, probabilities)
    found = figures(given_columns, classes).confusion
    expected = reference.confusion_matrix(truth, given_columns.predicted, labels=range(classes))
    assert (found[:classes, :classes] == expected).all()


def test_an_image_without_a_prediction_is_wrong_and_told() -> None:
    found = figures(LabelColumns(np.array([0, 1]), np.array([0, -1]), np.array([0.9, 0.0])), 2)
    assert found.summary["top1"] == 0.5
    assert found.confusion[1, 2] == 1


def test_figures_that_need_probabilities_say_so() -> None:
    found = figures(LabelColumns(np.array([0]), np.array([0]), np.array([0.9])), 2)
    assert found.summary["log_loss"] is None
    assert "probabilities of all classes" in found.undefined["log_loss"]


def test_a_model_that_is_as_sure_as_it_is_right_is_calibrated() -> None:
    """Of ten predictions with confidence 0.7 seven are right: no distance (Guo et al. 2017)."""
    predicted = np.zeros(10, int)
    truth = np.array([0] * 7 + [1] * 3)
    assert figures(LabelColumns(truth, predicted, np.full(10, 0.7)), 2).summary["ece"] == pytest.approx(0.0)
    assert figures(LabelColumns(truth, predicted, np.full(10, 0.9)), 2).summary["ece"] == pytest.approx(0.2)
