"""Scenes of the metrics' tests as rows of the database."""

from typing import Any

from datasets.models import Annotation, Category, Dataset, Sample
from evaluation.metrics.columns import Predictions, Scene, Truth
from evaluation.skeletons import PERSON_POINTS
from predictions.models import PredictedObject, PredictionRun
from tests.factories import make_category, make_dataset, make_run, make_sample


def store(scene: Scene, truth: Truth, predictions: Predictions, **fields: Any) -> tuple[Dataset, PredictionRun]:
    """Ids count up in the order of the file, as imports write them."""
    dataset = make_dataset(**fields)
    categories = [
        make_category(dataset, name, keypoint_names=_points_of(scene, place)) for place, name in enumerate(scene.category_names)
    ]
    samples = [
        make_sample(dataset, width=int(width), height=int(height), external_id=str(place + 1))
        for place, (width, height) in enumerate(scene.sizes)
    ]
    dataset.splits.update(sample_count=len(samples))
    Annotation.objects.bulk_create(
        Annotation(
            area=truth.areas[place],
            is_crowd=bool(truth.crowds[place]),
            **_object(scene, truth, place, samples, categories),
        )
        for place in range(len(truth))
    )
    run = make_run(dataset, prediction_count=len(predictions))
    PredictedObject.objects.bulk_create(
        PredictedObject(
            run=run,
            score=predictions.scores[place],
            area=None if predictions.areas is None else predictions.areas[place],
            **_object(scene, predictions, place, samples, categories),
        )
        for place in range(len(predictions))
    )
    return dataset, run


def _points_of(scene: Scene, place: int) -> list[str]:
    """COCO's person's where all are persons, else names that classes of one kind share."""
    if scene.skeletons is None:
        return []
    if not scene.skeletons.kinds.any():
        return PERSON_POINTS[: scene.skeletons.counts[place]]
    return [f"{scene.skeletons.kinds[place]}-{number}" for number in range(scene.skeletons.counts[place])]


def _object(
    scene: Scene, columns: Truth | Predictions, place: int, samples: list[Sample], categories: list[Category]
) -> dict[str, Any]:
    points = None
    if scene.skeletons is not None and columns.keypoints is not None:
        points = columns.keypoints[place, : scene.skeletons.counts[columns.categories[place]]].ravel().tolist()
    x, y, width, height = columns.boxes[place].tolist()
    return {
        "sample": samples[columns.images[place]],
        "category": categories[columns.categories[place]],
        "x": x,
        "y": y,
        "width": width,
        "height": height,
        "segmentation": None if columns.masks is None else columns.masks[place],
        "keypoints": points,
    }


def street() -> tuple[Dataset, PredictionRun]:
    """Three images: a cat found and one taken for a dog, a dog missed, a prediction on nothing."""
    dataset = make_dataset(name="street")
    cat, dog = make_category(dataset, "cat"), make_category(dataset, "dog")
    first, second, third = (make_sample(dataset, image=f"images/{n}.png") for n in range(3))
    dataset.splits.update(sample_count=3)
    run = make_run(dataset, "detector", prediction_count=3)

    def box(x: float) -> dict[str, float]:
        return {"x": x, "y": 10.0, "width": 50.0, "height": 50.0}

    Annotation.objects.bulk_create(
        Annotation(sample=sample, category=category, area=2500, **box(x))
        for sample, category, x in [(first, cat, 0.0), (first, cat, 200.0), (second, dog, 0.0)]
    )
    PredictedObject.objects.bulk_create(
        PredictedObject(run=run, sample=sample, category=category, score=score, **box(x))
        for sample, category, score, x in [(first, cat, 0.9, 0.0), (first, dog, 0.8, 200.0), (third, cat, 0.3, 100.0)]
    )
    return dataset, run
