"""Objects of a test run as crops: which are asked for, and what is drawn on each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datasets.models import Annotation, Category, Sample
from datasets.shapes import mask_to_path
from evaluation.metrics.columns import Ints
from evaluation.metrics.match_table import MatchTable
from evaluation.metrics.matches import ErrorType
from evaluation.models import TestRun
from evaluation.stored_matches import BACKGROUND, Found, cell, gallery
from predictions import overlays
from predictions.models import PredictedObject

GALLERIES = {"wrong": "fp", "missed": "fn", "right": "tp"}
OUTCOMES = {"wrong": "Wrong predictions", "missed": "Missed objects", "right": "Found objects"}
ERRORS = {
    ErrorType.CLASSIFICATION: ("classification", "Wrong class", "The place is right, the name is another class's."),
    ErrorType.LOCALISATION: ("localisation", "Misplaced", "The class is right, the overlap is too small."),
    ErrorType.BOTH: ("both", "Wrong class and misplaced", "Near an object of another class, with too small an overlap."),
    ErrorType.DUPLICATE: ("duplicate", "Duplicate", "The object was found already, by a surer prediction."),
    ErrorType.BACKGROUND: ("background", "Background", "There is no object here."),
    ErrorType.MISSED: ("missed", "Missed", "No prediction found the object or stands on it."),
}
ERROR_KINDS = {name: kind for kind, (name, _, _) in ERRORS.items()}
SHAPES = {"detection": (), "segmentation": ("mask",), "pose": ("keypoints",), "classification": ()}
# A crop is a square around its object with this much of it beside, in pixels at least so wide.
CONTEXT, LEAST_SIDE = 1.7, 48


@dataclass(frozen=True)
class Choice:
    """What is asked for. `true` and `predicted` name a cell of the confusion matrix, the number of classes is background."""

    outcome: str = ""
    category: int | None = None
    true: int | None = None
    predicted: int | None = None
    error: str = ""


def choose(test_run: TestRun, choice: Choice, confidence: float) -> Found:
    """Those that fit: the surest mistakes first, misses in the order of the images."""
    if choice.true is not None and choice.predicted is not None:
        last = len(test_run.class_names)
        true, taken = (BACKGROUND if place == last else place for place in (choice.true, choice.predicted))
        return cell(test_run, true, taken, confidence)
    kind = ERROR_KINDS.get(choice.error)
    outcome = "missed" if kind == ErrorType.MISSED else "wrong" if kind else choice.outcome or "wrong"
    return gallery(test_run, GALLERIES[outcome], confidence, choice.category, kind)


# --- Crops ---------------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Crop:
    """An object or a prediction, or both, with a part of the image around: `window` is (x, y, width, height) in its pixels."""

    sample: Sample
    outcome: str
    window: tuple[int, int, int, int] | None
    truth: dict[str, Any] | None
    predicted: dict[str, Any] | None
    score: float | None
    overlap: float | None
    kind: str
    key: int
    # Where the object stands in the matches; -1: a prediction without one.
    object_at: int = -1

    @property
    def in_words(self) -> str:
        true = self.truth["name"] if self.truth else "nothing"
        if self.predicted is None:
            return f"{true}, missed"
        sure = f" ({self.score:.2f})" if self.score is not None else ""
        return f"{self.predicted['name']}{sure}, {'right' if self.outcome == 'right' else f'in truth {true}'}"


def crops(test_run: TestRun, table: MatchTable, pairs: Found) -> list[Crop]:
    """What the page shows of these, in four queries."""
    if test_run.task_type == "classification":
        return _labels(test_run, table, pairs)
    truth = _rows(Annotation, table.object_ids, pairs.objects)
    claims = _rows(PredictedObject, table.prediction_ids, pairs.predictions)
    places = {*(row.sample_id for row in truth.values()), *(row.sample_id for row in claims.values())}
    samples = Sample.objects.in_bulk(places)
    shapes = SHAPES[test_run.task_type]
    categories = overlays.category_entries(Category.objects.filter(dataset=test_run.dataset_id), with_skeletons=True)
    found = []
    for object_at, claim_at in zip(pairs.objects.tolist(), pairs.predictions.tolist(), strict=True):
        true, claim = truth.get(object_at), claims.get(claim_at)
        if true is None and claim is None:
            continue  # the row is gone since the run was judged
        found.append(_crop(table, samples, categories, shapes, true, claim, object_at, claim_at))
    return found


def _rows(table: Any, keys: Ints, places: Ints) -> dict[int, Any]:
    """Rows by their position in the matches."""
    wanted = {place: int(keys[place]) for place in places.tolist() if place >= 0}
    rows = table.objects.in_bulk(list(wanted.values()))
    return {place: rows[key] for place, key in wanted.items() if key in rows}


def _crop(
    table: MatchTable,
    samples: dict[int, Sample],
    categories: dict[int, dict[str, Any]],
    shapes: tuple[str, ...],
    true: Annotation | None,
    claim: PredictedObject | None,
    object_at: int,
    claim_at: int,
) -> Crop:
    # The prediction is what is looked at where it is wrong, the object where it was found or missed.
    is_right = claim is not None and table.object_of[claim_at] == object_at and object_at >= 0
    subject: Any = claim if claim is not None and not is_right else true
    return Crop(
        sample=samples[subject.sample_id],
        outcome="right" if is_right else "missed" if claim is None else "wrong",
        window=window_of(subject, samples[subject.sample_id]),
        truth=_drawn(true, categories, shapes),
        predicted=_drawn(claim, categories, shapes),
        score=None if claim is None else claim.score,
        overlap=float(table.overlaps[claim_at]) if is_right else None,
        kind="predicted" if subject is claim else "truth",
        key=subject.pk,
        object_at=object_at,
    )


def window_of(row: Annotation | PredictedObject, sample: Sample) -> tuple[int, int, int, int] | None:
    """The square around an object, moved and cut to lie within its image; None where it has no box."""
    if row.x is None or row.y is None or row.width is None or row.height is None:
        return None
    width, height = sample.width or 0, sample.height or 0
    if not (width and height):
        return None
    side = max(LEAST_SIDE, round(max(row.width, row.height) * CONTEXT))
    across, down = min(side, width), min(side, height)
    left = round(row.x + row.width / 2 - across / 2)
    top = round(row.y + row.height / 2 - down / 2)
    return max(0, min(left, width - across)), max(0, min(top, height - down)), across, down


def _drawn(
    row: Annotation | PredictedObject | None, categories: dict[int, dict[str, Any]], shapes: tuple[str, ...]
) -> dict[str, Any] | None:
    """Box, outline and skeleton in the image's pixels, ready for SVG: of them what the test went by."""
    if row is None:
        return None
    entry = categories[row.category_id]
    found: dict[str, Any] = {"name": entry["name"], "colour": entry["colour"]}
    if row.x is not None:
        found["box"] = {name: getattr(row, name) for name in ("x", "y", "width", "height")}
    if "mask" in shapes and row.segmentation:
        found["path"] = mask_to_path(row.segmentation)
    if "keypoints" in shapes and row.keypoints:
        found |= _skeleton(row.keypoints, entry["skeleton"])
    return found


def _skeleton(flat: Sequence[float], bones: Sequence[Sequence[int]]) -> dict[str, Any]:
    points = [flat[place : place + 3] for place in range(0, len(flat) - 2, 3)]
    ends = [(points[first - 1], points[last - 1]) for first, last in bones if max(first, last) <= len(points)]
    return {
        "joints": [{"x": x, "y": y} for x, y, seen in points if seen > 0],
        "bones": [{"x1": a[0], "y1": a[1], "x2": b[0], "y2": b[1]} for a, b in ends if a[2] > 0 and b[2] > 0],
    }


def _labels(test_run: TestRun, table: MatchTable, pairs: Found) -> list[Crop]:
    """Whole images: of a classifier the object is the image."""
    ids = [
        int(table.object_ids[true] if true >= 0 else table.prediction_ids[claim])
        for true, claim in zip(pairs.objects.tolist(), pairs.predictions.tolist(), strict=True)
    ]
    samples = Sample.objects.in_bulk(ids)
    found = []
    for key, true, claim in zip(ids, pairs.objects.tolist(), pairs.predictions.tolist(), strict=True):
        if key not in samples:
            continue
        truth = _named(test_run, table.object_categories, true)
        choice = _named(test_run, table.prediction_categories, claim)
        is_right = claim >= 0 and table.object_of[claim] >= 0
        found.append(
            Crop(
                sample=samples[key],
                outcome="right" if is_right else "missed" if choice is None else "wrong",
                window=None,
                truth=truth,
                predicted=choice,
                score=float(table.scores[claim]) if claim >= 0 else None,
                overlap=None,
                kind="image",
                key=key,
                object_at=true,
            )
        )
    return found


def _named(test_run: TestRun, categories: Ints, place: int) -> dict[str, Any] | None:
    if place < 0:
        return None
    name = test_run.class_names[int(categories[place])]
    return {"name": name, "colour": overlays.colour_of(name)}
