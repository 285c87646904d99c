"""Columns from the database: every row as stored, in the order that metrics rely on."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from datasets.models import Annotation
from evaluation import reading
from predictions.models import PredictedLabel, PredictedObject
from tests.evaluation.metrics.cases import scenes
from tests.evaluation.scenes import store
from tests.factories import make_annotation, make_category, make_dataset, make_predicted_object, make_run, make_sample

RESTORED = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("parts", [{}, {"masks": True}, {"keypoints": True}, {"keypoints": True, "mixed": True}])
def test_columns_come_back_as_they_were_stored(parts, db) -> None:
    @given(case=scenes(**parts))
    @RESTORED
    def check(case) -> None:
        scene, truth, predictions = case
        dataset, run = store(scene, truth, predictions)
        stage = reading.read_stage(dataset)
        stage = replace(stage, scene=replace(stage.scene, skeletons=scene.skeletons))
        told = {"masks": parts.get("masks", False)}
        read_truth = reading.read_truth(stage, dataset, **told)
        read_predictions = reading.read_predictions(stage, run, **told)
        assert (stage.scene.sizes == scene.sizes).all() and list(stage.scene.category_names) == list(scene.category_names)
        for read, given_ in ((read_truth, truth), (read_predictions, predictions)):
            for name in ("images", "categories", "boxes"):
                assert (getattr(read, name) == getattr(given_, name)).all()
            assert read.masks == given_.masks
            assert (read.keypoints is None) or (read.keypoints == given_.keypoints).all()
        assert (read_truth.areas == truth.areas).all() and (read_truth.crowds == truth.crowds).all()
        assert (read_predictions.scores == predictions.scores).all()

    check()


def test_numbers_as_ids_are_ordered_as_numbers(db) -> None:
    dataset = make_dataset()
    keys = {name: make_sample(dataset, external_id=name).pk for name in ("10", "9", "100")}
    assert reading.read_stage(dataset).samples.tolist() == [keys["9"], keys["10"], keys["100"]]


def test_a_split_and_chosen_images_narrow_the_stage(db) -> None:
    dataset = make_dataset()
    train, val = make_sample(dataset, split="train"), make_sample(dataset, split="val")
    category = make_category(dataset)
    make_annotation(train, category)
    make_annotation(val, category)
    stage = reading.read_stage(dataset, val.split)
    assert stage.samples.tolist() == [val.pk] and stage.splits == ["val"]
    assert len(reading.read_truth(stage, dataset, val.split)) == 1
    stage = reading.read_stage(dataset, samples=[train.pk])
    assert len(reading.read_truth(stage, dataset)) == 1


def test_categories_that_are_mapped_to_one_name_become_one(db) -> None:
    dataset = make_dataset()
    sample = make_sample(dataset)
    for name in ("lorry", "truck", "car"):
        make_annotation(sample, make_category(dataset, name))
    stage = reading.read_stage(dataset, mapping={"lorry": "truck"})
    assert list(stage.scene.category_names) == ["truck", "car"]
    assert reading.read_truth(stage, dataset).categories.tolist() == [0, 0, 1]


def test_an_object_without_an_area_has_that_of_its_box(db) -> None:
    dataset = make_dataset()
    make_annotation(make_sample(dataset), make_category(dataset), area=None)
    assert reading.read_truth(reading.read_stage(dataset), dataset).areas.tolist() == [5000.0]


def test_unsure_predictions_are_left_out_where_the_rules_say_so(db) -> None:
    dataset = make_dataset()
    sample, category, run = make_sample(dataset), make_category(dataset), make_run(dataset)
    for score in (0.1, 0.6):
        make_predicted_object(run, sample, category, score=score)
    assert reading.read_predictions(reading.read_stage(dataset), run, least_confidence=0.5).scores.tolist() == [0.6]


# --- Labels ------------------------------------------------------------------------------------------------------------
def label(sample, category) -> None:
    Annotation.objects.create(sample=sample, category=category)


def test_labels_are_first_choices_and_probabilities_by_class_name(db) -> None:
    """The model knows its classes in another order, and one that the dataset lacks."""
    dataset = make_dataset(task_type="classification")
    cat, dog = make_category(dataset, "cat"), make_category(dataset, "dog")
    samples = [make_sample(dataset) for _ in range(4)]
    for sample, category in zip(samples, (cat, dog, cat), strict=False):
        label(sample, category)
    run = make_run(dataset, generation_params={"class_names": ["dog", "fox", "cat"]})
    for sample, category, row in [(0, cat, [0.1, 0.2, 0.7]), (1, None, [0.2, 0.7, 0.1]), (3, dog, [0.6, 0.3, 0.1])]:
        PredictedLabel.objects.create(run=run, sample=samples[sample], probabilities=row)
        if category:
            PredictedObject.objects.create(run=run, sample=samples[sample], category=category, score=max(row))
    stage, columns, several = reading.read_labels(reading.read_stage(dataset), dataset, run, {})
    assert list(stage.scene.category_names) == ["cat", "dog", "fox"] and several == 0
    assert columns.truth.tolist() == [0, 1, 0, -1]
    assert columns.predicted.tolist() == [0, 2, -1, 1]
    assert columns.confidence.tolist() == [0.7, 0.7, 0.0, 0.6]
    assert np.allclose(columns.probabilities, [[0.7, 0.1, 0.2], [0.1, 0.2, 0.7], [0, 0, 0], [0.1, 0.6, 0.3]])


def test_of_several_true_classes_the_first_counts(db) -> None:
    dataset = make_dataset(task_type="classification")
    cat, dog, sample = make_category(dataset, "cat"), make_category(dataset, "dog"), make_sample(dataset)
    label(sample, dog)
    label(sample, cat)
    _, columns, several = reading.read_labels(reading.read_stage(dataset), dataset, make_run(dataset), {})
    assert (columns.truth.tolist(), several, columns.probabilities) == ([1], 1, None)


def test_of_several_first_choices_the_surest_counts(db) -> None:
    dataset = make_dataset(task_type="classification")
    cat, dog, sample = make_category(dataset, "cat"), make_category(dataset, "dog"), make_sample(dataset)
    run = make_run(dataset)
    for category, score in ((cat, 0.4), (dog, 0.6), (cat, 0.5)):
        PredictedObject.objects.create(run=run, sample=sample, category=category, score=score)
    _, columns, _ = reading.read_labels(reading.read_stage(dataset), dataset, run, {})
    assert (columns.predicted.tolist(), columns.confidence.tolist()) == ([1], [0.6])
