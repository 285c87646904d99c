"""Average precision and recall: equal to pycocotools on boxes, masks and keypoints."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.metrics import coco, protocols
from evaluation.metrics.columns import Predictions, Scene, Skeletons, Truth
from evaluation.metrics.overlaps import overlap_of
from tests.evaluation.metrics.cases import reference, reference_by_class, scenes, where

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


@given(case=scenes(keypoints=True, mixed=True))
@settings(max_examples=100, deadline=None)
def test_classes_with_other_points_and_sigmas_have_the_figures_of_pycocotools(case: tuple[Scene, Truth, Predictions]) -> None:
    scene, truth, predictions = case
    halves = {"first": np.arange(0, scene.image_count, 2), "all": np.arange(scene.image_count)}
    found = coco.figures(scene, truth, predictions, "keypoints", slices=halves)
    expected = reference_by_class(scene, truth, predictions)
    assert as_pycocotools(found.summary, "keypoints") == pytest.approx(expected.stats.tolist(), abs=1e-9)
    assert np.allclose(found.precision, expected.eval["precision"][..., -1], atol=1e-9)
    assert as_pycocotools(found.slices["all"], "keypoints") == pytest.approx(expected.stats.tolist(), abs=1e-9)
    half = [where(each, np.isin(each.images, halves["first"])) for each in (truth, predictions)]
    in_half = reference_by_class(scene, *half).stats.tolist()
    assert as_pycocotools(found.slices["first"], "keypoints") == pytest.approx(in_half, abs=1e-9)


@given(case=scenes(keypoints=True, mixed=True, most_predictions=20))
@settings(max_examples=40, deadline=None)
def test_the_protocol_of_our_own_knows_the_points_of_each_class(case: tuple[Scene, Truth, Predictions]) -> None:
    scene, truth, predictions = case
    own = protocols.average_precisions(scene, truth, predictions, "keypoints", protocols.PROTOCOLS["coco"])
    engine = [coco.figures(scene, truth, predictions, "keypoints").average_precision(n) for n in range(len(own))]
    assert [None if np.isnan(row).all() else float(row.mean()) for row in own] == pytest.approx(engine, abs=1e-9)


def test_poses_of_different_points_overlap_nothing() -> None:
    skeletons = Skeletons(np.array([[0.1, 0.1], [0.1, 0.1], [0.1, 0.1]]), np.array([0, 1, 0]))
    scene = Scene(np.array([[100, 100]]), ["cat", "person", "dog"], skeletons)
    points, box = np.array([[[10.0, 10, 2], [50, 50, 2]]] * 3), np.array([[0.0, 0, 100, 100]] * 3)
    truth = Truth(
        np.arange(1), np.zeros(1, int), np.zeros(1, int), box[:1], np.array([5e3]), np.zeros(1, bool), None, points[:1]
    )
    claims = Predictions(np.arange(3), np.zeros(3, int), np.arange(3), np.full(3, 0.9), box, None, points)
    overlaps = overlap_of("keypoints", scene)(truth, claims, np.zeros(3, int), np.arange(3))
    assert overlaps.tolist() == [1.0, 0.0, 1.0]


@given(case=scenes(most_predictions=20))
@settings(max_examples=60, deadline=None)
def test_the_protocol_of_our_own_agrees_with_the_engine(case: tuple[Scene, Truth, Predictions]) -> None:
    scene, truth, predictions = case
    own = protocols.average_precisions(scene, truth, predictions, "bbox", protocols.PROTOCOLS["coco"])
    found = coco.figures(scene, truth, predictions, "bbox")
    engine = [found.average_precision(place) for place in range(len(scene.category_names))]
    means = [None if np.isnan(row).all() else float(row.mean()) for row in own]
    assert means == pytest.approx(engine, abs=1e-9)


@given(case=scenes())
@settings(max_examples=30, deadline=None)
def test_figures_are_the_same_where_the_engine_is_asked_in_portions(case: tuple[Scene, Truth, Predictions]) -> None:
    halves = {"first": np.arange(0, case[0].image_count, 2)}
    whole = coco.figures(*case, "bbox", slices=halves)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(coco, "PREDICTIONS_AT_ONCE", 3)
        parts = coco.figures(*case, "bbox", slices=halves)
    assert (parts.precision == whole.precision).all() and (parts.recall == whole.recall).all()
    assert parts.summary == whole.summary
    for name, value in whole.slices["first"].items():
        assert parts.slices["first"][name] == (None if value is None else pytest.approx(value, abs=1e-12))


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
