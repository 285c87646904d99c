"""Test runs from end to end: figures of the reference through the database, an outcome for each image."""

from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from sklearn import metrics as sklearn_metrics

from datasets.models import Annotation
from evaluation import test_runs
from evaluation.metrics.match_table import MatchTable
from evaluation.models import TestImageResult, TestMatches
from evaluation.skeletons import COCO_SIGMAS, PERSON_POINTS, UNMEASURED_SIGMA
from evaluation.test_protocol import rules_in_words
from evaluation.test_runs import Asked, TestRefused
from predictions.models import PredictedLabel, PredictedObject, PredictionSet, PredictionSetItem, PredictionSetVersion
from tests.evaluation.metrics.cases import reference, reference_by_class, scenes
from tests.evaluation.scenes import store, street
from tests.factories import make_category, make_dataset, make_run, make_sample, make_test_run

COCO = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]
COCO_KEYPOINTS = ["AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl"]
TASKS = {"detection": "bbox", "segmentation": "segm", "pose": "keypoints"}


@pytest.mark.parametrize("task_type", TASKS)
def test_figures_through_the_database_are_pycocotools_own(task_type, db) -> None:
    kind = TASKS[task_type]

    @given(case=scenes(keypoints=kind == "keypoints", masks=kind == "segm"))
    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def check(case: Any) -> None:
        _, run = store(*case, task_type=task_type)
        found = make_test_run(run)
        assert found.status == "completed", found.error
        expected = reference(*case, kind).stats
        names = COCO_KEYPOINTS if kind == "keypoints" else COCO
        for name, value in zip(names, expected, strict=True):
            assert (found.metrics[name] is None) == (value == -1), name
            assert value == -1 or found.metrics[name] == pytest.approx(value, abs=1e-9), name

    check()


def test_classes_with_points_of_their_own_are_pycocotools_own_class_by_class(db) -> None:
    @given(case=scenes(keypoints=True, mixed=True))
    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def check(case: Any) -> None:
        scene = case[0]
        _, run = store(*case, task_type="pose")
        table = zip(scene.category_names, scene.skeletons.sigmas.tolist(), scene.skeletons.counts.tolist(), strict=True)
        sigmas = {name: values[:count] for name, values, count in table}
        found = make_test_run(run, rules={"sigmas": sigmas}, protocol="voc")
        assert found.status == "completed", found.error
        expected = reference_by_class(*case).stats
        for name, value in zip(COCO_KEYPOINTS, expected, strict=True):
            told = -1 if found.metrics[name] is None else found.metrics[name]
            assert told == pytest.approx(value, abs=1e-9), name
        assert found.protocol["sigmas"] == sigmas and not any("Nobody" in warning for warning in found.warnings)

    check()


def test_persons_and_animals_each_have_their_own_sigmas(db) -> None:
    """The defaults: COCO's for the points of its person, one value for all where nobody has measured any, which is said."""
    dataset = make_dataset(task_type="pose")
    person = make_category(dataset, "person", keypoint_names=PERSON_POINTS)
    fox = make_category(dataset, "fox", keypoint_names=["nose", "tail", "paw"])
    sample, run = make_sample(dataset), make_run(dataset)
    dataset.splits.update(sample_count=1)
    box = {"x": 0.0, "y": 0.0, "width": 100.0, "height": 100.0}
    for category, count in ((person, 17), (fox, 3)):
        points = [10.0, 10.0, 2.0] * count
        Annotation.objects.create(sample=sample, category=category, area=5000, keypoints=points, **box)
        moved = [13.0, 10.0, 1.0] * count
        PredictedObject.objects.create(run=run, sample=sample, category=category, score=0.9, keypoints=moved, **box)
    PredictedObject.objects.create(run=run, sample=sample, category=fox, score=0.1, keypoints=[1.0, 1.0, 1.0], **box)
    found = make_test_run(run)
    assert found.protocol["sigmas"] == {"person": COCO_SIGMAS, "fox": [UNMEASURED_SIGMA] * 3}
    told = [warning for warning in found.warnings if "Nobody" in warning]
    assert len(told) == 1 and "keypoints of fox:" in told[0]
    assert any("1 predictions do not have as many keypoints" in warning for warning in found.warnings)
    likeness = [float(np.mean(np.exp(-9 / (2 * (2 * np.array(its)) ** 2 * 5000)))) for its in found.protocol["sigmas"].values()]
    assert found.metrics["oks"] == pytest.approx(np.mean(likeness))
    assert dict(rules_in_words(found))["Sigmas of keypoints"].split("; ") == ["fox: 0.0588 for each", "person: COCO's own"]


def test_classes_with_other_points_cannot_count_as_one(db) -> None:
    dataset = make_dataset(task_type="pose")
    make_category(dataset, "person", keypoint_names=PERSON_POINTS)
    make_category(dataset, "fox", keypoint_names=["nose"])
    make_sample(dataset)
    dataset.splits.update(sample_count=1)
    found = make_test_run(make_run(dataset), rules={"class_mapping": {"fox": "person"}})
    assert found.status == "failed" and "fox cannot count as person: their keypoints differ" in found.error


@pytest.mark.parametrize(
    ("sigmas", "words"),
    [({"cat": [0.1]}, "no class 'cat'"), ({"fox": [0.1]}, "1 sigmas for the 3 keypoints of fox"), ([0.1, 0.2], "2 sigmas for the 3")],
)  # fmt: skip
def test_sigmas_that_do_not_fit_are_refused(sigmas, words, db) -> None:
    dataset = make_dataset(task_type="pose")
    make_category(dataset, "fox", keypoint_names=["nose", "tail", "paw"])
    make_sample(dataset)
    dataset.splits.update(sample_count=1)
    with pytest.raises(TestRefused, match=words) as refused:
        test_runs.make_from_run(None, make_run(dataset), Asked(rules={"sigmas": sigmas}))
    assert refused.value.field == "rules.sigmas"


def test_every_image_has_its_outcome(db) -> None:
    _, run = street()
    found = make_test_run(run, rules={"confidence": 0.25})
    rows = TestImageResult.objects.filter(test_run=found)
    told = [
        (r.true_categories, r.predicted_categories, r.is_correct, r.errors, r.true_positives, r.false_positives) for r in rows
    ]
    assert told == [([0], [0, 1], False, [1], 1, 1), ([1], [], False, [6], 0, 0), ([], [0], False, [5], 0, 1)]
    assert (found.total_images, found.correct_images, found.primary_metric_name) == (3, 0, "AP")
    assert found.confusion_matrix == [[1, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert rows.first().iou == 1.0 and found.class_names == ["cat", "dog"]


def test_the_figures_say_under_which_rules_they_stand(db) -> None:
    _, run = street()
    found = make_test_run(run, protocol="voc", rules={"match_iou": 0.6, "class_mapping": {"dog": "cat"}})
    assert found.protocol["iou_thresholds"][0] == 0.5 and found.protocol["match_iou"] == 0.6
    assert (found.protocol_name, found.primary_metric_name, found.class_names) == ("voc", "voc_AP", ["cat"])
    assert found.primary_metric_value == found.metrics["voc_AP"] == pytest.approx(2 / 3)


def test_the_table_of_matches_is_kept(db) -> None:
    _, run = street()
    found = make_test_run(run)
    table = MatchTable.from_bytes(bytes(TestMatches.objects.get(test_run=found).table))
    assert len(table.scores) == 3 and len(table.object_ids) == 3


def test_a_run_that_predicts_nothing_has_figures_and_a_warning(db) -> None:
    _, run = street()
    PredictedObject.objects.all().delete()
    found = make_test_run(run)
    assert (found.status, found.metrics["AP"], found.metrics["precision"]) == ("completed", 0.0, None)
    assert found.undefined["precision"] and any("predicts nothing" in warning for warning in found.warnings)


def test_points_that_nobody_has_measured_are_said(db) -> None:
    dataset = make_dataset(task_type="pose")
    category = make_category(dataset, "dog", keypoint_names=["nose", "tail"])
    sample, run = make_sample(dataset), make_run(dataset)
    dataset.splits.update(sample_count=1)
    box = {"x": 0.0, "y": 0.0, "width": 100.0, "height": 100.0}
    points = [10.0, 10.0, 2.0, 50.0, 50.0, 2.0]
    Annotation.objects.create(sample=sample, category=category, area=5000, keypoints=points, **box)
    shifted = [13.0, 10.0, 1.0, 50.0, 50.0, 1.0]
    PredictedObject.objects.create(run=run, sample=sample, category=category, score=0.9, keypoints=shifted, **box)
    found = make_test_run(run)
    assert any("0.0588" in warning for warning in found.warnings)
    likeness = (np.exp(-9 / (2 * (2 / 17) ** 2 * 5000)) + 1) / 2
    assert found.metrics["oks"] == pytest.approx(likeness) == TestImageResult.objects.get().oks
    own = make_test_run(run, rules={"sigmas": [0.2, 0.2]})
    assert own.metrics["oks"] == pytest.approx((np.exp(-9 / (2 * 0.4**2 * 5000)) + 1) / 2) and not own.undefined.get("oks")


def test_masks_that_are_missing_are_said(db) -> None:
    _, run = street()
    found = make_test_run(run, task_type="segmentation")
    assert found.status == "completed"
    assert any("3 objects have no mask" in warning for warning in found.warnings)


def test_times_are_those_of_the_inference(db) -> None:
    from inference.models import InferenceJob, InferenceResult
    from predictions.models import Checkpoint

    dataset, run = street()
    checkpoint = Checkpoint.objects.create(project=dataset.project, name="c")
    job = InferenceJob.objects.create(project=dataset.project, checkpoint=checkpoint, kind="dataset", run=run)
    sample = dataset.samples.first()
    InferenceResult.objects.create(job=job, position=0, name="a", sample=sample, inference_ms=12.5)
    run.generation_params = {"inference_job": job.pk, "checkpoint": {"id": checkpoint.pk}}
    run.save()
    found = make_test_run(run)
    assert found.inference_time_ms == 12.5 and found.checkpoint == checkpoint
    assert TestImageResult.objects.get(test_run=found, sample=sample).inference_ms == 12.5


# --- Slices ------------------------------------------------------------------------------------------------------------
def test_slices_come_by_themselves_worst_first(db) -> None:
    _, run = street()
    found = make_test_run(run, rules={"confidence": 0.25})
    groups = {(one["group"], one["name"]) for one in found.slices}
    assert {("class", "cat"), ("class", "dog"), ("objects per image", "none"), ("object size", "medium")} <= groups
    values = [one.get("AP50", one.get("AP")) for one in found.slices]
    defined = [value for value in values if value is not None]
    assert defined == sorted(defined) and values[len(defined) :] == [None] * (len(values) - len(defined))


def test_a_curated_set_restricts_the_images_and_its_tags_are_slices(db) -> None:
    dataset, run = street()
    first, second, _ = dataset.samples.order_by("pk")
    kept = PredictionSet.objects.create(project=dataset.project, name="golden", kind="curated")
    version = PredictionSetVersion.objects.create(prediction_set=kept, number=1)
    for number, (sample, tags) in enumerate([(first, ["night"]), (second, ["day", "rain"])]):
        PredictionSetItem.objects.create(version=version, key=str(number), sample_index=number, sample=sample, tags=tags)
    found = make_test_run(run, set_version=version)
    assert found.total_images == 2
    assert {one["name"] for one in found.slices if one["group"] == "tag"} == {"night", "day", "rain"}


# --- Labels ------------------------------------------------------------------------------------------------------------
@pytest.fixture
def labelled(db):
    """Sixty images of three classes with random probabilities; one image without a prediction, one without truth."""
    rng = np.random.default_rng(3)
    dataset = make_dataset(task_type="classification")
    categories = [make_category(dataset, name) for name in ("cloudy", "rain", "shine")]
    samples = [make_sample(dataset) for _ in range(62)]
    dataset.splits.update(sample_count=62)
    truth = rng.integers(0, 3, 61)
    probabilities = rng.dirichlet([1, 1, 1], 61)
    run = make_run(dataset, generation_params={"class_names": ["cloudy", "rain", "shine"]})
    for place, true in enumerate(truth):
        Annotation.objects.create(sample=samples[place], category=categories[true])
    for sample, row in zip(samples[:60] + samples[61:], probabilities, strict=True):
        PredictedLabel.objects.create(run=run, sample=sample, probabilities=row.tolist())
        best = int(row.argmax())
        PredictedObject.objects.create(run=run, sample=sample, category=categories[best], score=row[best])
    return run, truth, probabilities


def test_labels_have_the_figures_of_scikit_learn(labelled) -> None:
    run, truth, probabilities = labelled
    found = make_test_run(run)
    known, sure = truth[:60], probabilities[:60]
    assert found.metrics["log_loss"] == pytest.approx(sklearn_metrics.log_loss(known, sure), abs=1e-12)
    assert found.metrics["roc_auc"] == pytest.approx(sklearn_metrics.roc_auc_score(known, sure, multi_class="ovr"), abs=1e-12)
    predicted = [*sure.argmax(axis=1), 3]
    assert found.metrics["top1"] == pytest.approx(sklearn_metrics.accuracy_score(truth, predicted), abs=1e-12)
    f1 = sklearn_metrics.f1_score(truth, predicted, labels=[0, 1, 2], average="macro")
    assert found.metrics["macro_f1"] == pytest.approx(f1, abs=1e-12)
    assert found.overall_loss == found.metrics["log_loss"] and found.primary_metric_name == "top1"
    assert any("1 images have no prediction" in one for one in found.warnings)
    assert any("1 images have no true class" in one for one in found.warnings)


def test_headline_figures_have_intervals_around_them(labelled) -> None:
    found = make_test_run(labelled[0])
    for name in ("top1", "top5", "log_loss", "macro_f1", "weighted_f1"):
        low, high = found.intervals[name]
        assert low <= found.metrics[name] <= high, name


def test_images_of_labels_keep_their_first_five_and_their_loss(labelled) -> None:
    run, truth, probabilities = labelled
    found = make_test_run(run)
    row = TestImageResult.objects.filter(test_run=found).order_by("pk").first()
    best = int(probabilities[0].argmax())
    assert row.top[0] == [found.class_names[best], pytest.approx(probabilities[0].max())] and len(row.top) == 3
    assert row.loss == pytest.approx(-np.log(probabilities[0][truth[0]]))
    assert row.is_correct == (best == truth[0]) == (row.errors == [])


def test_first_choices_alone_say_why_other_figures_are_missing(labelled) -> None:
    PredictedLabel.objects.all().delete()
    found = make_test_run(labelled[0])
    assert found.metrics["log_loss"] is None and "first choices only" in found.undefined["log_loss"]


def test_queries_do_not_grow_with_the_images(labelled, db) -> None:
    with CaptureQueriesContext(connection) as many:
        make_test_run(labelled[0])
    _, run = street()
    run.dataset.task_type = "classification"
    with CaptureQueriesContext(connection) as few:
        make_test_run(run)
    assert len(many) <= len(few) + 2
