"""Intervals: they hold the truth as often as they say, and are the same twice."""

import numpy as np
import pytest
from hypothesis import given, settings

from evaluation.metrics import objects
from evaluation.metrics.coco import figures
from evaluation.metrics.columns import Truth
from evaluation.metrics.intervals import (
    counted_figures,
    jackknife,
    jackknife_difference,
    left_out_groups,
    resampled,
    resampled_sums,
)  # fmt: skip
from tests.evaluation.metrics.cases import scenes


def test_groups_leave_every_image_out_once() -> None:
    groups = left_out_groups(103)
    assert len(groups) == 20 and sum(103 - len(kept) for kept in groups) == 103
    assert all((one == other).all() for one, other in zip(groups, left_out_groups(103), strict=True))
    assert left_out_groups(2) == [] and len(left_out_groups(7)) == 7


def test_of_a_mean_the_jackknife_is_student_s_interval() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.1, 20)
    without = [float(np.delete(values, place).mean()) for place in range(20)]
    half = 2.093024 * values.std(ddof=1) / np.sqrt(20)
    assert jackknife(float(values.mean()), without) == pytest.approx((values.mean() - half, values.mean() + half), rel=1e-6)


def test_what_is_not_defined_has_no_interval() -> None:
    assert jackknife(None, [0.1] * 5) is None and jackknife(0.1, [0.1, None, 0.1, 0.1]) is None and jackknife(0.1, []) is None
    assert jackknife_difference([0.1] * 4, [0.1] * 5) is None and jackknife_difference([], []) is None


def test_two_that_differ_by_the_same_everywhere_differ_for_certain() -> None:
    first = list(np.random.default_rng(2).random(20))
    assert jackknife_difference(first, [value + 0.1 for value in first]) == pytest.approx(0, abs=1e-12)


def test_intervals_of_f1_hold_it_about_as_often_as_they_say() -> None:
    rng, hits = np.random.default_rng(5), 0
    truth = 2 * 3 / (2 * 3 + 1 + 2)
    for _ in range(200):
        counts = rng.poisson([3, 1, 2], (80, 3)).astype(float)
        low, high = resampled(counts, counted_figures)["f1"]
        hits += low <= truth <= high
    assert 0.9 <= hits / 200 <= 0.99


def test_sums_are_over_as_many_images_as_there_are() -> None:
    assert (resampled_sums(np.ones((50, 1))) == 50).all()


@given(case=scenes())
@settings(max_examples=10, deadline=None)
def test_replicates_are_the_figures_without_those_images(case) -> None:
    scene, truth, predictions = case
    judged = objects.judge("detection", scene, truth, predictions, np.arange(scene.image_count))
    for number, kept in enumerate(left_out_groups(scene.image_count)):
        alone = figures(scene, within(truth, kept), within(predictions, kept), "bbox").summary
        for name, values in judged.replicates.items():
            assert values[number] == pytest.approx(alone[name], abs=1e-12, nan_ok=True), name


def within(columns, images):
    inside = np.isin(columns.images, images)
    names = ("ids", "images", "categories", "boxes", "areas", "crowds") if isinstance(columns, Truth) else (
        "ids", "images", "categories", "scores", "boxes"
    )  # fmt: skip
    return type(columns)(*(getattr(columns, name)[inside] for name in names))
