"""Validators of images, and runs held against curated sets of images."""

import json
from pathlib import Path
from typing import Any

import pytest

from datasets.models import Category, Dataset, Sample
from datasets.shapes import box_iou
from predictions.image_checks import check_images, check_published
from predictions.jobs import start_prediction_import
from predictions.models import (
    ImageOutcome,
    PredictedObject,
    PredictionRun,
    PredictionSet,
    PredictionSetItem,
    PredictionSetVersion,
    SetKind,
)
from predictions.runs import delete_run
from predictions.validators import IMAGE, ImageClaim, SeenObject, check, types, validate
from tests.factories import (
    make_annotation,
    make_category,
    make_dataset,
    make_predicted_object,
    make_run,
    make_sample,
    make_split,
)

CAT, DOG = "cat", "dog"


def seen(category: str, x: float = 0, confidence: float = 0.9, side: float = 10) -> SeenObject:
    return SeenObject(category, (x, 0.0, side, side), confidence)


def outcome(validator: dict[str, Any], predicted: list[SeenObject], true: list[SeenObject] | None = None) -> str:
    assert check([validator], IMAGE) == []
    return str(validate([validator], ImageClaim(tuple(predicted), tuple(true or ())))[1][0]["outcome"])


# --- Each kind -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("more", "predicted", "expected"),
    [
        ({}, [SeenObject(CAT, None, 0.6), SeenObject(DOG, None, 0.4)], "pass"),
        ({}, [SeenObject(CAT, None, 0.4), SeenObject(DOG, None, 0.6)], "fail"),
        ({"min_confidence": 0.7}, [SeenObject(CAT, None, 0.6)], "fail"),
        ({}, [], "fail"),
    ],
)
def test_label_is(more: dict[str, Any], predicted: list[SeenObject], expected: str) -> None:
    assert outcome({"type": "label_is", "value": CAT, **more}, predicted) == expected


@pytest.mark.parametrize(
    ("more", "count", "expected"),
    [
        ({}, 1, "pass"), ({}, 0, "fail"), ({"min": 2}, 2, "pass"), ({"min": 2}, 1, "fail"), ({"max": 2}, 0, "pass"), ({"max": 2}, 3, "fail"),
        ({"min": 1, "max": 1}, 1, "pass"), ({"min": 0, "max": 0}, 1, "fail"), ({"min_confidence": 0.95}, 3, "fail"),
    ],
)  # fmt: skip
def test_contains_objects(more: dict[str, Any], count: int, expected: str) -> None:
    assert outcome({"type": "contains_objects", "value": CAT, **more}, [seen(CAT)] * count + [seen(DOG)]) == expected


NEAR, FAR = 2, 6  # moved by so many of 10 pixels: IoU 8/12 and 4/16


@pytest.mark.parametrize(
    ("more", "predicted", "true", "expected"),
    [
        ({}, [seen(CAT, NEAR)], [seen(CAT)], "pass"),
        ({}, [seen(CAT, FAR)], [seen(CAT)], "fail"),
        ({"value": 0.25}, [seen(CAT, FAR)], [seen(CAT)], "pass"),
        ({}, [seen(DOG, NEAR)], [seen(CAT)], "fail"),
        ({}, [seen(CAT, NEAR)], [seen(CAT), seen(DOG, 50)], "fail"),
        ({"class": CAT}, [seen(CAT, NEAR)], [seen(CAT), seen(DOG, 50)], "pass"),
        ({"min_confidence": 0.95}, [seen(CAT, NEAR)], [seen(CAT)], "fail"),
        ({}, [seen(CAT)], [seen(CAT), seen(CAT, 1)], "fail"),
        ({}, [], [seen(CAT)], "fail"),
        ({}, [seen(CAT)], [], "error"),
        ({"class": DOG}, [seen(CAT)], [seen(CAT)], "error"),
        ({}, [SeenObject(CAT, None)], [SeenObject(CAT, None)], "error"),
    ],
)
def test_iou_at_least(more: dict[str, Any], predicted: list[SeenObject], true: list[SeenObject], expected: str) -> None:
    assert outcome({"type": "iou_at_least", "value": 0.5, **more}, predicted, true) == expected


def test_a_prediction_that_fits_two_is_given_to_the_one_that_has_no_other() -> None:
    """The first true object would take the prediction that alone fits the second: greed would miss one of them."""
    true, predicted = [seen(CAT, 0), seen(CAT, 4)], [seen(CAT, 2), seen(CAT, -2)]
    validator = {"type": "iou_at_least", "value": 0.5}
    assert outcome(validator, predicted, true) == outcome(validator, predicted[::-1], true) == "pass"


def test_a_crowd_of_objects_is_matched_in_time() -> None:
    row = [seen(CAT, x) for x in range(400)]
    result = validate([{"type": "iou_at_least", "value": 0.2}], ImageClaim(tuple(row[1:]), tuple(row)))[1][0]
    assert (result["outcome"], result["detail"]) == ("fail", {"matched": 399, "true": 400})


def test_iou_of_boxes() -> None:
    assert box_iou((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert box_iou((0, 0, 10, 10), (10, 0, 10, 10)) == box_iou((0, 0, 0, 0), (0, 0, 0, 0)) == 0


@pytest.mark.parametrize(
    ("validator", "words"),
    [
        ({"type": "label_is"}, "needs a value, a text"),
        ({"type": "label_is", "value": CAT, "min_confidence": 2}, "min_confidence must be a number from 0 to 1."),
        ({"type": "contains_objects", "value": CAT, "min": 3, "max": 2}, "min is above max."),
        ({"type": "contains_objects", "value": CAT, "max": 1.5}, "max must be a whole number"),
        ({"type": "iou_at_least"}, "needs either a value or a threshold: the least IoU"),
        ({"type": "iou_at_least", "value": 1.5}, "value must be a number from 0 to 1."),
        ({"type": "iou_at_least", "value": 0.5, "class": 5}, "class must be the name of a class"),
        ({"type": "equals", "value": CAT}, "is for texts, not for images."),
    ],
)
def test_what_is_wrong_is_said(validator: dict[str, Any], words: str) -> None:
    assert words in check([validator], IMAGE)[0]


def test_the_types_for_images() -> None:
    assert types(IMAGE) == ["label_is", "contains_objects", "iou_at_least"]


# --- Runs ------------------------------------------------------------------------------------------------------------------
@pytest.fixture
def dataset(db: None) -> Dataset:
    return make_dataset(name="val2017")


@pytest.fixture
def cat(dataset: Dataset) -> Category:
    return make_category(dataset, "cat", "1")


@pytest.fixture
def samples(dataset: Dataset, cat: Category) -> list[Sample]:
    found = [make_sample(dataset, external_id=str(n)) for n in (1, 2, 3)]
    for sample in found:
        make_annotation(sample, cat)
        make_annotation(sample, cat, is_crowd=True, x=400.0)
    return found


IOU = {"type": "iou_at_least", "value": 0.5}


def publish(
    dataset: Dataset, samples: list[Sample], name: str = "golden", *, item: list[Any] | None = None, **fields: Any
) -> PredictionSetVersion:
    asked = PredictionSet.objects.get_or_create(project=dataset.project, name=name, kind=SetKind.CURATED)[0]
    number = asked.versions.count() + 1
    version = PredictionSetVersion.objects.create(prediction_set=asked, number=number, **({"validators": [IOU]} | fields))
    for place, sample in enumerate(samples):
        PredictionSetItem.objects.create(
            version=version, key=f"k{place}", sample_index=place, sample=sample, validators=item or []
        )
    PredictionSetVersion.objects.filter(pk=version.pk).update(content_hash=f"{number}" * 64)
    version.refresh_from_db()
    return version


def passed(run: PredictionRun, version: PredictionSetVersion) -> list[bool | None]:
    found = ImageOutcome.objects.filter(run=run, item__version=version)
    return list(found.order_by("item__sample_index").values_list("passed", flat=True))


def test_a_run_is_held_against_a_version(dataset: Dataset, cat: Category, samples: list[Sample]) -> None:
    run = make_run(dataset)
    make_predicted_object(run, samples[0], cat)
    make_predicted_object(run, samples[1], cat, x=200.0)
    version = publish(dataset, samples, item=[{"type": "contains_objects", "value": "cat"}])
    assert check_images(run, version) == 3 and passed(run, version) == [True, False, False]
    results = ImageOutcome.objects.get(item__key="k1").validations
    assert [(result["type"], result["outcome"]) for result in results] == [
        ("iou_at_least", "fail"),
        ("contains_objects", "pass"),
    ]
    assert results[0]["message"] == "0 of 1 true objects are matched with an IoU of 0.5."


def test_again_takes_the_place_of_before(dataset: Dataset, cat: Category, samples: list[Sample]) -> None:
    run, version = make_run(dataset), publish(dataset, samples)
    check_images(run, version)
    make_predicted_object(run, samples[0], cat)
    assert check_images(run, version) == 3 and passed(run, version) == [True, False, False]


def test_the_threshold_of_the_version_counts(dataset: Dataset, cat: Category, samples: list[Sample]) -> None:
    run = make_run(dataset)
    make_predicted_object(run, samples[0], cat, x=200.0)
    both = [IOU, {"type": "contains_objects", "value": "cat"}]
    version = publish(dataset, samples[:1], validators=both, pass_threshold=0.5)
    assert check_images(run, version) == 1 and passed(run, version) == [True]


def test_only_what_the_run_covers_is_judged(dataset: Dataset, samples: list[Sample]) -> None:
    elsewhere = make_sample(make_dataset(dataset.project))
    training = make_sample(dataset, split="train")
    version = publish(dataset, [*samples, elsewhere, training])
    assert check_images(make_run(dataset, split=make_split(dataset, "val")), version) == 3
    assert check_images(make_run(dataset, "whole"), version) == 4


def test_without_validators_there_is_nothing_to_tell(dataset: Dataset, samples: list[Sample]) -> None:
    assert check_images(make_run(dataset), publish(dataset, samples, validators=[{"type": "contains", "value": "x"}])) == 0


def test_an_unfinished_run_is_not_judged(dataset: Dataset, samples: list[Sample]) -> None:
    run = make_run(dataset)
    PredictionRun.objects.filter(pk=run.pk).update(status="running")
    assert check_images(run, publish(dataset, samples)) == 0


def test_publishing_meets_the_runs_that_are_there(dataset: Dataset, cat: Category, samples: list[Sample]) -> None:
    runs = [make_run(dataset, name) for name in "ab"]
    make_predicted_object(runs[1], samples[0], cat)
    version = publish(dataset, samples[:1])
    assert check_published(version) == 2 and [passed(run, version) for run in runs] == [[False], [True]]


def results_file(path: Path, *images: int) -> Path:
    rows = [{"image_id": image, "category_id": 1, "bbox": [10, 20, 100, 50], "score": 0.9} for image in images]
    path.write_text(json.dumps(rows))
    return path


def import_results(dataset: Dataset, path: Path) -> PredictionRun:
    job = start_prediction_import(None, dataset, name="yolo", path=path, wait=True)
    job.refresh_from_db()
    assert job.status == "completed" and job.run is not None, job.error_message
    return job.run


def test_an_import_meets_the_latest_version_of_each_set(dataset: Dataset, samples: list[Sample], tmp_path: Path) -> None:
    old, new = publish(dataset, samples), publish(dataset, samples[:2])
    other = publish(dataset, samples[2:], "other")
    draft = PredictionSetVersion.objects.create(prediction_set=new.prediction_set, number=3, validators=[IOU])
    PredictionSetItem.objects.create(version=draft, key="k", sample_index=0, sample=samples[0])
    run = import_results(dataset, results_file(tmp_path / "a.json", 1, 3))
    assert [passed(run, version) for version in (old, new, other, draft)] == [[], [True, False], [True], []]


def test_importing_again_leaves_it_true(dataset: Dataset, samples: list[Sample], tmp_path: Path) -> None:
    version = publish(dataset, samples)
    import_results(dataset, results_file(tmp_path / "a.json", 1))
    run = import_results(dataset, results_file(tmp_path / "b.json", 2, 3))
    assert ImageOutcome.objects.count() == 3 and passed(run, version) == [False, True, True]
    delete_run(run)
    assert not ImageOutcome.objects.exists() and not PredictedObject.objects.exists()


def test_a_plugin_that_crashes_costs_no_import(dataset: Dataset, samples: list[Sample], tmp_path: Path) -> None:
    version = publish(dataset, samples[:1], validators=[{"type": "unheard-of"}, {"type": "iou_at_least", "value": "x"}])
    run = import_results(dataset, results_file(tmp_path / "a.json", 1))
    assert passed(run, version) == [None]
