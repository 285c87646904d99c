"""Random scenes for metrics, drawn by hypothesis, and the same scenes as pycocotools reads them."""

import contextlib
import io
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from evaluation.metrics.columns import Predictions, Scene, Skeletons, Truth
from evaluation.metrics.overlaps import as_rle
from evaluation.skeletons import COCO_SIGMAS

SIZE = 200
POINTS = len(COCO_SIGMAS)


@st.composite
def scenes(
    draw: Any, *, keypoints: bool = False, masks: bool = False, most_predictions: int = 40, mixed: bool = False
) -> tuple[Scene, Truth, Predictions]:
    """Empty images, classes without truth, crowds, ties in score, predictions on and beside objects, small and large areas.

    Poses are COCO's persons; `mixed`: each class has points of its own, or shares them.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    images, classes = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    objects, claims = draw(st.integers(0, 20)), draw(st.integers(0, most_predictions))
    boxes = _boxes(rng, objects)
    image, category = rng.integers(0, images, objects), rng.integers(0, classes, objects)
    crowd = rng.random(objects) < draw(st.sampled_from([0.0, 0.2]))
    skeletons = (_mixed(rng, classes) if mixed else persons(classes)) if keypoints else None
    scene = Scene(np.full((images, 2), SIZE), [f"class {number}" for number in range(classes)], skeletons)
    behind = rng.integers(0, max(1, objects), claims)
    near = (rng.random(claims) < 0.7) & (objects > 0)
    claimed = _boxes(rng, claims)
    claimed_image, claimed_category = rng.integers(0, images, claims), rng.integers(0, classes, claims)
    if objects:
        jitter = rng.normal(0, draw(st.sampled_from([0.0, 2.0, 10.0])), (claims, 4))
        claimed[near] = np.maximum(boxes[behind[near]] + jitter[near], 0.5)
        claimed_image[near] = image[behind[near]]
        same = near & (rng.random(claims) < 0.8)
        claimed_category[same] = category[behind[same]]
    scores = np.round(rng.random(claims), draw(st.sampled_from([1, 2, 16])))
    areas = boxes[:, 2] * boxes[:, 3] * rng.uniform(0.4, 1.0, objects)
    points = _points(rng, boxes) if keypoints else None
    claimed_points = None
    if keypoints:
        claimed_points = _points(rng, claimed)
        if points is not None and objects:
            claimed_points[near] = points[behind[near]] + rng.normal(0, 3, (int(near.sum()), POINTS, 3))
    if skeletons is not None and points is not None and claimed_points is not None:
        points[np.isnan(skeletons.sigmas[category])] = 0
        claimed_points[np.isnan(skeletons.sigmas[claimed_category])] = 0
    truth = Truth(
        np.arange(objects) + 10, image, category, boxes, areas, crowd, [_mask(box) for box in boxes] if masks else None, points
    )
    predictions = Predictions(
        np.arange(claims) + 5,
        claimed_image,
        claimed_category,
        scores,
        claimed,
        [_mask(box) for box in claimed] if masks else None,
        claimed_points,
        _areas(scene, claimed) if masks else None,
    )
    return scene, truth, predictions


def persons(classes: int) -> Skeletons:
    return Skeletons(np.tile(COCO_SIGMAS, (classes, 1)), np.zeros(classes, int))


def _mixed(rng: np.random.Generator, classes: int) -> Skeletons:
    """Persons, others with as many points, others with fewer, some of them with the points of the class before."""
    sigmas, kinds = np.full((classes, POINTS), np.nan), np.arange(classes)
    for place in range(classes):
        if place and rng.random() < 0.3:
            sigmas[place], kinds[place] = sigmas[place - 1], kinds[place - 1]
        elif rng.random() < 0.4:
            sigmas[place] = COCO_SIGMAS
        else:
            count = int(rng.integers(1, POINTS + 1))
            sigmas[place, :count] = rng.uniform(0.02, 0.15, count)
    return Skeletons(sigmas, kinds)


def _boxes(rng: np.random.Generator, count: int) -> Any:
    sides = np.exp(rng.uniform(np.log(4), np.log(150), (count, 2)))
    return np.concatenate([rng.random((count, 2)) * (SIZE - sides), sides], axis=1)


def _points(rng: np.random.Generator, boxes: Any) -> Any:
    place = boxes[:, None, :2] + rng.random((len(boxes), POINTS, 2)) * boxes[:, None, 2:]
    seen = rng.choice([0, 1, 2], (len(boxes), POINTS, 1), p=[0.3, 0.2, 0.5])
    if len(boxes):
        seen[rng.random(len(boxes)) < 0.15] = 0
    return np.concatenate([place, seen], axis=2)


def _areas(scene: Scene, boxes: Any) -> Any:
    """Of masks without boxes, as an import stores them."""
    return np.array([float(mask.area(as_rle(_mask(box), scene.sizes[0]))) for box in boxes])


def _mask(box: Any) -> list[list[float]]:
    left, top, width, height = (float(value) for value in box)
    return [[left, top, left + width, top, left + width, top + height, left, top + height]]


def reference_by_class(scene: Scene, truth: Truth, predictions: Predictions) -> COCOeval:
    """Poses: pycocotools asked once for each class, with its sigmas and as many points; then it sums up what it found for all."""
    assert scene.skeletons is not None
    found = []
    for place, count in enumerate(scene.skeletons.counts):
        true, claimed = where(truth, truth.categories == place), where(predictions, predictions.categories == place)
        true, claimed = (replace(each, keypoints=each.keypoints[:, :count]) for each in (true, claimed))
        found.append(reference(scene, true, claimed, "keypoints", 2 + 5 * place, scene.skeletons.sigmas[place, :count]))
    whole = found[0]
    for name, axis in (("precision", 2), ("recall", 1), ("scores", 2)):
        whole.eval[name] = np.concatenate([one.eval[name] for one in found], axis=axis)
    with contextlib.redirect_stdout(io.StringIO()):
        whole.summarize()
    return whole


def where(columns: Any, kept: Any) -> Any:
    """Of truth or predictions without masks these rows alone."""
    return replace(columns, **{name: values if values is None else values[kept] for name, values in vars(columns).items()})


def reference(
    scene: Scene, truth: Truth, predictions: Predictions, kind: str, category: int | None = None, sigmas: Any = None
) -> COCOeval:
    """pycocotools' own evaluation of the scene; ids have gaps and begin anywhere but at 0, which it cannot bear."""
    true = COCO()
    annotations = [_annotation(truth, place) for place in range(len(truth))]
    images = [{"id": 7 + 3 * place, "width": int(w), "height": int(h)} for place, (w, h) in enumerate(scene.sizes)]
    categories = [{"id": 2 + 5 * place, "name": name} for place, name in enumerate(scene.category_names)]
    with contextlib.redirect_stdout(io.StringIO()):
        true.dataset = {"info": {}, "images": images, "categories": categories, "annotations": annotations}
        true.createIndex()
        rows = [_result(scene, predictions, place, kind) for place in range(len(predictions))]
        claimed = true.loadRes(rows) if rows else _nothing(true.dataset)
        evaluation = COCOeval(true, claimed, kind)
        if category is not None:
            evaluation.params.catIds = [category]
        if sigmas is not None:
            evaluation.params.kpt_oks_sigmas = sigmas
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def _annotation(truth: Truth, place: int) -> dict[str, Any]:
    found = {
        "id": place + 1,
        "image_id": 7 + 3 * int(truth.images[place]),
        "category_id": 2 + 5 * int(truth.categories[place]),
        "bbox": truth.boxes[place].tolist(),
        "area": float(truth.areas[place]),
        "iscrowd": int(truth.crowds[place]),
    }
    if truth.masks is not None:
        found["segmentation"] = truth.masks[place]
    if truth.keypoints is not None:
        found["keypoints"] = truth.keypoints[place].ravel().tolist()
        found["num_keypoints"] = int((truth.keypoints[place, :, 2] > 0).sum())
    return found


def _result(scene: Scene, predictions: Predictions, place: int, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "image_id": 7 + 3 * int(predictions.images[place]),
        "category_id": 2 + 5 * int(predictions.categories[place]),
        "score": float(predictions.scores[place]),
    }
    if kind == "segm":
        # pycocotools reads run-length codes alone as results.
        found["segmentation"] = as_rle((predictions.masks or [])[place], scene.sizes[predictions.images[place]])
    else:
        found["bbox"] = predictions.boxes[place].tolist()
    if predictions.keypoints is not None:
        found["keypoints"] = predictions.keypoints[place].ravel().tolist()
    return found


def _nothing(dataset: dict[str, Any]) -> COCO:
    empty = COCO()
    empty.dataset = {**dataset, "annotations": []}
    empty.createIndex()
    return empty
