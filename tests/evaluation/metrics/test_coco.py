"""Average precision and recall: equal to pycocotools on boxes, masks and keypoints."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.metrics import coco, protocols
from evaluation.metrics.columns import Predictions, Scene, Truth
from tests.evaluation.metrics.cases import reference, scenes

NAMES = {
    "bbox": ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"],
    "keypoints": ["AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl"],
}


def as_pycocotools(summary: dict[str, float | None], kind: str) -> list[float]:
    return [-1.0 if summary[name] is None else summary[name] for name in NAMES.get(kind, NAMES["bbox"])]


@pytest.mark.parametrize("kind", ["bbox", "segm", "keypoints"])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_every_figure_is_that_of_pycocotools(data: Any, kind: str) -> None:
    scene, truth, predictions = data.draw(scenes(masks=kind == "segm", keypoints=kind == "keypoints"))
    found = coco.figures(scene, truth, predictions, kind)
    expected = reference(scene, truth, predictions, kind)
    assert as_pycocotools(found.summary, kind) == pytest.approx(expected.stats.tolist(), abs=1e-9)
    assert np.allclose(found.precision, expected.eval["precision"][..., -1], atol=1e-9)


@given(case=scenes(most_predictions=20))
@settings(max_examples=60, deadline=None)
def test_the_protocol_of_our_own_agrees_with_the_engine(case: tuple[Scene, Truth, Predictions]) -> None:
    scene, truth, predictions = case
    own = protocols.average_precisions(scene, truth, predictions, "bbox", protocols.PROTOCOLS["coco"])
    found = coco.figures(scene, truth, predictions, "bbox")
    engine = [found.average_precision(place) for place in range(len(scene.category_names))]
    means = [None if np.isnan(row).all() else float(row.mean()) for row in own]
    assert means == pytest.approx(engine, abs=1e-9)


def test_more_than_a_hundred_predictions_of_a_class_are_cut() -> None:
    scene = Scene(np.array([[200, 200]]), ["cat"])
    box = np.array([[10.0, 10, 50, 50]])
    truth = Truth(np.array([1]), np.zeros(1, int), np.zeros(1, int), box, np.array([2500.0]), np.zeros(1, bool))
    boxes = np.vstack([np.tile([150.0, 150, 20, 20], (100, 1)), box])
    scores = np.r_[np.full(100, 0.9), 0.5]
    zeros = np.zeros(101, int)
    predictions = Predictions(np.arange(101), zeros, zeros, scores, boxes)
    assert coco.figures(scene, truth, predictions, "bbox").summary["AP"] == 0.0
    assert reference(scene, truth, predictions, "bbox").stats[0] == 0.0


def test_a_class_without_objects_is_not_defined() -> None:
    scene = Scene(np.array([[200, 200]]), ["cat", "dog"])
    box = np.array([[10.0, 10, 50, 50]])
    truth = Truth(np.array([1]), np.zeros(1, int), np.zeros(1, int), box, np.array([2500.0]), np.zeros(1, bool))
    predictions = Predictions(np.arange(2), np.zeros(2, int), np.array([0, 1]), np.array([0.9, 0.8]), np.vstack([box, box]))
    found = coco.figures(scene, truth, predictions, "bbox")
    assert (found.average_precision(0), found.average_precision(1)) == (pytest.approx(1.0), None)
    assert found.summary["APs"] is None
