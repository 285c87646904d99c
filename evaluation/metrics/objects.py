"""Detection, segmentation and pose judged: COCO's figures, what happens at one confidence, and each image's outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.metrics.coco import CocoFigures, CocoProtocol
from evaluation.metrics.coco import figures as coco_figures
from evaluation.metrics.columns import Flags, Floats, Ints, Predictions, Scene, Truth, by_category
from evaluation.metrics.intervals import counted_figures, jackknife, left_out_groups, resampled
from evaluation.metrics.match_table import Counts, Curve, MatchTable, curve, curves, thinned
from evaluation.metrics.matches import ErrorType, match
from evaluation.metrics.outcome import ImageColumns, Outcome, Slices
from evaluation.metrics.protocols import Protocol, average_precisions, coco_area
from evaluation.statistics import mean_interval

# What is compared, by task type, and how many predictions of an image (and class) COCO looks at.
KINDS = {"detection": "bbox", "segmentation": "segm", "pose": "keypoints"}
# Scores that stop above it were cut before they came here: average precision wants the unsure ones as well.
CUT_ABOVE = 0.05
# Intervals of average precision take about as long as twenty more evaluations; masks and keypoints are a quarter as fast.
MOST_WITH_INTERVALS = 100_000


@dataclass(frozen=True)
class ObjectProtocol:
    """How objects are judged. `match_iou` is the overlap (OKS for poses) from which a prediction stands for an object.

    `confidence` is where counts, confusion and images are told; None: where F1 of all classes together is best. `named` is the
    protocol of the first figure, where it is not COCO's.
    """

    match_iou: float = 0.5
    confidence: float | None = None
    coco: CocoProtocol | None = None
    named: Protocol | None = None


def judge(
    task_type: str,
    scene: Scene,
    truth: Truth,
    predictions: Predictions,
    image_ids: Ints,
    protocol: ObjectProtocol | None = None,
    slices: Slices | None = None,
) -> Outcome:
    """All of a test run of objects. `image_ids` are the keys of the scene's images."""
    protocol, slices = protocol or ObjectProtocol(), slices or Slices()
    kind = KINDS[task_type]
    figures = coco_figures(scene, truth, predictions, kind, protocol.coco, _parts(scene, predictions, kind))
    table = MatchTable.of(image_ids, truth, predictions, match(scene, truth, predictions, kind, protocol.match_iou), kind)
    whole = curve(table)
    confidence = protocol.confidence if protocol.confidence is not None else _best_confidence(whole)
    classes = len(scene.category_names)
    metrics: dict[str, float | None] = {**figures.summary, **at_confidence(table, confidence, classes)}
    images = _images(table, scene.image_count, confidence, task_type)
    if task_type == "segmentation":
        metrics["miou"] = _mean(images.iou)
    if task_type == "pose":
        metrics["oks"] = _mean(images.oks)
    per_class = _per_class(scene, truth, table, figures, confidence, kind)
    primary = "AP"
    if protocol.named is not None:
        primary = f"{protocol.named.name}_AP"
        values = average_precisions(scene, truth, predictions, kind, protocol.named)
        metrics[primary] = _mean(values)
        for place, one in enumerate(per_class):
            one[primary] = _mean(values[place])
    replicates = (
        {name: [part.get(name) for part in figures.slices.values()] for name in figures.summary} if figures.slices else {}
    )
    return Outcome(
        primary=primary,
        metrics=metrics,
        undefined=_reasons(metrics, truth, kind),
        warnings=_warnings(scene, truth, predictions, figures, kind),
        per_class=per_class,
        confusion=table.confusion(confidence, classes),
        images=images,
        curves=_curves(scene, table, figures, whole),
        slices=_slices(slices, scene, table, figures, per_class, confidence),
        table=table,
        intervals=_intervals(metrics, replicates, images, task_type),
        replicates=replicates,
    )


def _parts(scene: Scene, predictions: Predictions, kind: str) -> dict[str, Ints]:
    """Images that stay when a group is left out, for intervals; none where that would take longer than everything else."""
    most = MOST_WITH_INTERVALS if kind == "bbox" else MOST_WITH_INTERVALS // 4
    return {} if len(predictions) > most else {str(n): images for n, images in enumerate(left_out_groups(scene.image_count))}


def at_confidence(table: MatchTable, confidence: float, classes: int) -> dict[str, Any]:
    """Counts and what follows from them of all classes together, and how many errors of each kind there are."""
    counts = table.counts(confidence, classes).total()
    found = {
        "confidence": confidence,
        "precision": _defined(counts.precision[0]),
        "recall": _defined(counts.recall[0]),
        "f1": _defined(counts.f1[0]),
        "true_positives": int(counts.true_positives[0]),
        "false_positives": int(counts.false_positives[0]),
        "false_negatives": int(counts.missed[0]),
    }
    return found | {f"errors_{error.name.lower()}": count for error, count in table.error_counts(confidence).items()}


def _intervals(
    metrics: Mapping[str, Any], replicates: Mapping[str, list[float | None]], images: ImageColumns, task_type: str
) -> dict[str, tuple[float, float]]:
    by_name = {name: jackknife(metrics[name], values) for name, values in replicates.items()}
    counts = np.column_stack([images.true_positives, images.false_positives, images.false_negatives]).astype(float)
    found = {name: interval for name, interval in by_name.items() if interval is not None}
    found |= resampled(counts, counted_figures)
    name, values = ("oks", images.oks) if task_type == "pose" else ("miou", images.iou)
    mean = mean_interval(values[~np.isnan(values)])
    return found | {name: mean} if name in metrics and mean is not None else found


def _best_confidence(whole: Curve) -> float:
    return 0.0 if whole.best is None else float(whole.confidences[whole.best])


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _mean(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def _images(table: MatchTable, count: int, confidence: float, task_type: str) -> ImageColumns:
    above = table.count_above(confidence)
    images = table.prediction_images[:above]
    right = table.object_of[:above] >= 0
    wrong = ~right & ~table.ignored[:above]
    there = np.bincount(table.object_images[~table.left_out], minlength=count)
    found = np.bincount(images[right], minlength=count)
    false = np.bincount(images[wrong], minlength=count)
    overlap = np.bincount(images[right], table.overlaps[:above][right], minlength=count)
    with np.errstate(invalid="ignore"):
        mean_overlap = overlap / np.where(found > 0, found, np.nan)
        f1 = np.where(found + false + there > 0, 2 * found / (found + false + there), np.nan)
    nothing = np.full(count, np.nan)
    sure = np.full(count, np.nan)
    # Predictions are sorted: of an image's the last written is the surest.
    sure[images[::-1]] = table.scores[:above][::-1]
    missed = table.missed(confidence)
    return ImageColumns(
        is_correct=(false == 0) & (found == there),
        confidence=sure,
        true_categories=_grouped(table.object_images[~table.left_out], table.object_categories[~table.left_out], count),
        predicted_categories=_grouped(images, table.prediction_categories[:above], count),
        errors=_grouped(
            np.concatenate([images[wrong], table.object_images[missed]]),
            np.concatenate([table.errors[:above][wrong], np.full(int(missed.sum()), int(ErrorType.MISSED))]),
            count,
        ),
        true_positives=found,
        false_positives=false,
        false_negatives=there - found,
        f1=f1,
        iou=nothing if task_type == "pose" else mean_overlap,
        oks=mean_overlap if task_type == "pose" else nothing,
        loss=nothing,
    )


def _grouped(images: Ints, values: Ints, count: int) -> list[list[int]]:
    """The values that occur in each image, each once, sorted."""
    pairs = np.unique(np.column_stack([images, values]), axis=0) if len(images) else np.empty((0, 2), np.int64)
    bounds = np.searchsorted(pairs[:, 0], np.arange(count + 1))
    found = pairs[:, 1].tolist()
    return [found[start:end] for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]


def _per_class(
    scene: Scene, truth: Truth, table: MatchTable, figures: CocoFigures, confidence: float, kind: str
) -> list[dict[str, Any]]:
    counts = table.counts(confidence, len(scene.category_names))
    crowds = np.bincount(truth.categories[truth.left_out(kind)], minlength=len(scene.category_names))
    claims = np.bincount(table.prediction_categories, minlength=len(scene.category_names))
    found = []
    for (place, name), best in zip(enumerate(scene.category_names), curves(table, len(scene.category_names)), strict=True):
        objects = int(counts.true_positives[place] + counts.missed[place])
        found.append(
            {
                "name": name,
                "objects": objects,
                "left_out": int(crowds[place]),
                "predictions": int(claims[place]),
                "AP": figures.average_precision(place),
                "AP50": figures.average_precision(place, 0.5),
                "AP75": figures.average_precision(place, 0.75),
                **{
                    f"AP{area[0]}": figures.average_precision(place, area=area)
                    for area in figures.protocol.areas
                    if area != "all"
                },
                "AR": figures.average_recall(place),
                "precision": _defined(counts.precision[place]),
                "recall": _defined(counts.recall[place]),
                "f1": _defined(counts.f1[place]),
                "true_positives": int(counts.true_positives[place]),
                "false_positives": int(counts.false_positives[place]),
                "false_negatives": int(counts.missed[place]),
                "best_confidence": None if best.best is None else float(best.confidences[best.best]),
                "best_f1": None if best.best is None else float(best.f1[best.best]),
            }
        )
    return found


def _curves(scene: Scene, table: MatchTable, figures: CocoFigures, whole: Curve) -> dict[str, Any]:
    """Precision over recall at 101 recalls (IoU 0.5, mean of the classes that have objects, and each class), and P, R, F1 over
    confidence, thinned out for drawing.
    """
    ious = np.asarray(figures.protocol.iou_thresholds)
    at = int(np.argmin(np.abs(ious - 0.5)))
    precision = figures.precision[at, :, :, list(figures.protocol.areas).index("all")]
    defined = (precision > -1).all(axis=0)
    return {
        "iou": float(ious[at]),
        "precision_recall": precision[:, defined].mean(axis=1).tolist() if defined.any() else [],
        "precision_recall_by_class": {str(place): precision[:, place].tolist() for place in np.flatnonzero(defined).tolist()},
        "confidence": thinned(whole),
    }


def _slices(
    slices: Slices, scene: Scene, table: MatchTable, figures: CocoFigures, per_class: list[dict[str, Any]], confidence: float
) -> list[dict[str, Any]]:
    """Worst first by average precision at the IoU of the matches; slices without an object have none and come last."""
    found = [
        _slice(table, group, name, images, confidence, len(scene.category_names))
        for group, names in slices.groups.items()
        for name, images in names.items()
    ]
    found += _class_slices(table, per_class)
    areas = [name for name in figures.protocol.areas if name != "all"]
    found += [{"group": "object size", "name": name, "AP": figures.summary[f"AP{name[0]}"]} for name in areas]
    return sorted(found, key=_worst_first)


def _worst_first(one: dict[str, Any]) -> tuple[bool, float]:
    value = one.get("AP50", one.get("AP"))
    return value is None, value or 0.0


def _class_slices(table: MatchTable, per_class: list[dict[str, Any]]) -> list[dict[str, Any]]:
    pairs = np.unique(np.column_stack([table.object_categories, table.object_images]), axis=0)
    images = np.bincount(pairs[:, 0], minlength=len(per_class)).tolist()
    kept = ("name", "objects", "precision", "recall", "f1", "AP", "AP50")
    return [
        {"group": "class", "images": count, **{name: one[name] for name in kept}}
        for one, count in zip(per_class, images, strict=True)
        if one["objects"]
    ]


def _slice(table: MatchTable, group: str, name: str, images: Ints, confidence: float, classes: int) -> dict[str, Any]:
    inside = np.zeros(len(table.image_ids), bool)
    inside[images] = True
    above = table.count_above(confidence)
    mine = inside[table.prediction_images]
    right = int(np.count_nonzero(mine[:above] & (table.object_of[:above] >= 0)))
    wrong = int(np.count_nonzero(mine[:above] & (table.object_of[:above] < 0) & ~table.ignored[:above]))
    there = inside[table.object_images] & ~table.left_out
    objects = int(np.count_nonzero(there))
    counts = Counts(*(np.array([value]) for value in (right, wrong, objects - right)))
    return {
        "group": group,
        "name": name,
        "images": len(images),
        "objects": objects,
        "precision": _defined(counts.precision[0]),
        "recall": _defined(counts.recall[0]),
        "f1": _defined(counts.f1[0]),
        "AP50": _average_precision(table, mine & ~table.ignored, there, classes),
    }


def _average_precision(table: MatchTable, claims: Flags, objects: Flags, classes: int) -> float | None:
    """At the IoU of the matches, as COCO takes it, of these predictions and objects; all predictions count, however many."""
    there = np.bincount(table.object_categories[objects], minlength=classes)
    places = np.flatnonzero(claims)
    categories = table.prediction_categories[places]
    order = by_category(categories)
    hits = table.object_of[places[order]] >= 0
    bounds = np.searchsorted(categories[order], np.arange(classes + 1))
    values = [coco_area(hits[bounds[one] : bounds[one + 1]], int(there[one])) for one in np.flatnonzero(there)]
    return float(np.mean(values)) if values else None


def _reasons(metrics: Mapping[str, float | None], truth: Truth, kind: str) -> dict[str, str]:
    objects = int(np.count_nonzero(~truth.left_out(kind)))
    sizes = {"s": "small", "m": "medium", "l": "large"}
    reasons = {}
    for name, value in metrics.items():
        if value is not None:
            continue
        if not objects:
            reasons[name] = "There is no object to be found in these images."
        elif name[:2] in ("AP", "AR") and name[2:] in sizes:
            reasons[name] = f"There is no {sizes[name[2:]]} object."
        else:
            reasons[name] = "Nothing is predicted at this confidence."
    return reasons


def _warnings(scene: Scene, truth: Truth, predictions: Predictions, figures: CocoFigures, kind: str) -> list[str]:
    classes = len(scene.category_names)
    objects = np.bincount(truth.categories[~truth.left_out(kind)], minlength=classes)
    claims = np.bincount(predictions.categories, minlength=classes)
    most = figures.protocol.max_detections[-1]
    cells = np.unique(predictions.images * classes + predictions.categories, return_counts=True)
    crowded = len(np.unique(cells[0][cells[1] > most] // classes)) if classes else 0
    found = []
    if crowded:
        found.append(f"{crowded:,} images have more than {most} predictions of a class; COCO looks at the {most} surest only.")
    absent = [name for name, count in zip(scene.category_names, objects.tolist(), strict=True) if not count]
    if absent:
        found.append(f"{len(absent)} of {classes} classes have no object here and no average precision: {some(absent)}.")
    on_absent = int(claims[objects == 0].sum())
    if on_absent:
        found.append(f"{on_absent:,} predictions are of classes without an object here; average precision cannot see them.")
    if len(predictions) and predictions.scores.min() > CUT_ABOVE:
        found.append(
            f"No prediction has a confidence below {predictions.scores.min():.2f}: they were cut before they came here, "
            "and average precision and recall are lower for it."
        )
    if not len(predictions):
        found.append("The run predicts nothing in these images.")
    return found


def some(names: Sequence[str]) -> str:
    """The first of them."""
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
