"""The matches of a test run as a whole: stored once, read for every operating point, confusion cell and gallery."""

import io
import json
from bisect import bisect_right
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.columns import Flags, Floats, Ints, Predictions, Truth, by_category
from evaluation.metrics.matches import ErrorType, Matches, Pairs, greedy

POINTS_DRAWN = 200
# What follows from other columns: `object_of` is `found_by` seen from the other side, what has neither an object nor an error
# is left out, and `overlaps` and `nearest` say something of few predictions only.
NOT_STORED = ("object_of", "ignored")
STORED_IN_PART = ("overlaps", "nearest")
# Columns begin at multiples of so many bytes. Tables that were stored before this form are ZIP archives of whole columns.
ALIGNED = 8
ARCHIVE = b"PK"


@dataclass(frozen=True)
class MatchTable:
    """Predictions by falling score (equal scores in file order), and objects: keys of their rows, and what became of them.

    `object_of` is an object's position here or -1, `found_by` a prediction's. `left_out` objects (crowds) and `ignored` predictions
    (that met only those) count neither way. `across_*` are the pairs of different categories that overlap enough to be confused.
    `images` are positions in `image_ids`, categories positions in the run's class names. Of a stored table whole numbers are as
    narrow as they fit: nothing is widened that is looked at once.
    """

    image_ids: Ints
    prediction_ids: Ints
    prediction_images: Ints
    prediction_categories: Ints
    scores: Floats
    object_of: Ints
    overlaps: Floats
    ignored: Flags
    errors: Ints
    nearest: Ints
    object_ids: Ints
    object_images: Ints
    object_categories: Ints
    left_out: Flags
    found_by: Ints
    across_predictions: Ints
    across_objects: Ints
    across_overlaps: Floats

    @classmethod
    def of(cls, image_ids: Ints, truth: Truth, predictions: Predictions, matches: Matches, kind: str) -> "MatchTable":
        order = matches.order
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        return cls(
            image_ids=image_ids,
            prediction_ids=predictions.ids[order],
            prediction_images=predictions.images[order],
            prediction_categories=predictions.categories[order],
            scores=predictions.scores[order],
            object_of=matches.object_of[order],
            overlaps=matches.overlaps[order],
            ignored=matches.ignored[order],
            errors=matches.errors[order],
            nearest=matches.nearest[order],
            object_ids=truth.ids,
            object_images=truth.images,
            object_categories=truth.categories,
            left_out=truth.left_out(kind),
            found_by=np.append(place, -1)[matches.found_by],
            across_predictions=place[matches.across.predictions],
            across_objects=matches.across.objects,
            across_overlaps=matches.across.overlaps,
        )

    def to_bytes(self) -> bytes:
        """What does not follow from the rest, small numbers as such: about 16 bytes for a prediction."""
        columns: dict[str, Any] = {
            field.name: _narrow(getattr(self, field.name))
            for field in fields(self)
            if field.name not in (*NOT_STORED, *STORED_IN_PART)
        }
        columns["overlaps"] = self.overlaps[self.found_by[self.found_by >= 0]]
        columns["nearest"] = _narrow(self.nearest[_stands_on_another(self.errors)])
        head = json.dumps([[name, values.dtype.str, len(values)] for name, values in columns.items()]).encode()
        parts = [len(head).to_bytes(ALIGNED, "little"), head, *(values.tobytes() for values in columns.values())]
        return b"".join(part.ljust(_aligned(len(part)), b" ") for part in parts)

    @classmethod
    def from_bytes(cls, stored: bytes) -> "MatchTable":
        if stored.startswith(ARCHIVE):
            with np.load(io.BytesIO(stored), allow_pickle=False) as found:
                return cls(**{field.name: found[field.name] for field in fields(cls)})
        start = ALIGNED + int.from_bytes(stored[:ALIGNED], "little")
        columns: dict[str, Any] = {}
        for name, kind, count in json.loads(stored[ALIGNED:start]):
            values = np.frombuffer(stored, kind, count, _aligned(start))
            columns[name], start = values, _aligned(start) + values.nbytes
        return cls(**_whole(**columns))

    def count_above(self, confidence: float) -> int:
        """How many predictions reach the confidence: they are the first ones."""
        return bisect_right(self.scores, -confidence, key=lambda score: -score)

    def counts(self, confidence: float, categories: int) -> "Counts":
        """True and false positives and misses of each category above a confidence."""
        above = self.count_above(confidence)
        of_category = self.prediction_categories[:above]
        right = self.object_of[:above] >= 0
        wrong = ~right & ~self.ignored[:above]
        objects = np.bincount(self.object_categories[~self.left_out], minlength=categories)
        found = np.bincount(of_category[right], minlength=categories)
        return Counts(found, np.bincount(of_category[wrong], minlength=categories), objects - found)

    def confusion(self, confidence: float, categories: int) -> Ints:
        """Objects (rows) by what they were taken for (columns) above a confidence, [categories + 1, categories + 1].

        The last row is background: predictions with no object behind them; the last column is what was missed. Pairs of one
        category are matched first, then what is left across categories.
        """
        truth, claimed = self.confused(confidence)
        # -1 picks the last: background.
        of_object = np.append(self.object_categories, categories)[truth]
        of_prediction = np.append(self.prediction_categories, categories)[claimed]
        cells = np.bincount(of_object * (categories + 1) + of_prediction, minlength=(categories + 1) ** 2)
        return cells.reshape(categories + 1, categories + 1)

    def confused(self, confidence: float) -> tuple[Ints, Ints]:
        """Every object and prediction above a confidence once, as (object, prediction) with -1 for background."""
        above = self.count_above(confidence)
        found = np.flatnonzero(self.object_of[:above] >= 0)
        is_free = ~self.left_out.copy()
        is_free[self.object_of[found]] = False
        is_claim = (self.object_of[:above] < 0) & ~self.ignored[:above]
        near = self.across_predictions < above
        near[near] = is_claim[self.across_predictions[near]] & is_free[self.across_objects[near]]
        pairs = Pairs(self.across_predictions[near], self.across_objects[near], self.across_overlaps[near])
        mistaken = greedy(pairs, np.arange(above))
        is_free[mistaken.objects] = False
        is_claim[mistaken.predictions] = False
        missed, made_up = np.flatnonzero(is_free), np.flatnonzero(is_claim)
        objects = [self.object_of[found], mistaken.objects, missed, np.full(len(made_up), -1)]
        claims = [found, mistaken.predictions, np.full(len(missed), -1), made_up]
        return np.concatenate(objects), np.concatenate(claims)

    def error_counts(self, confidence: float) -> dict[ErrorType, int]:
        """How many predictions above a confidence are wrong in which way, and how many objects are missed.

        An object that a mistaken or misplaced prediction stands on is not missed (TIDE), it is that prediction's error.
        """
        above = self.count_above(confidence)
        counted = np.bincount(self.errors[:above], minlength=len(ErrorType))
        wrong = {kind: int(counted[kind]) for kind in ErrorType if kind not in (ErrorType.NONE, ErrorType.MISSED)}
        return wrong | {ErrorType.MISSED: int(np.count_nonzero(self.missed(confidence)))}

    def found(self, confidence: float) -> Flags:
        """Of each object whether a prediction above a confidence stands for it."""
        return (self.found_by >= 0) & (self.found_by < self.count_above(confidence))

    def missed(self, confidence: float) -> Flags:
        """Objects that no prediction above a confidence found, or stands on in the wrong place or under the wrong name."""
        above = self.count_above(confidence)
        stood_on = self.nearest[:above][_stands_on_another(self.errors[:above])]
        missed = ~self.left_out & ~self.found(confidence)
        missed[stood_on] = False
        return missed


@dataclass(frozen=True)
class Counts:
    """Per category: right, wrong, missed."""

    true_positives: Ints
    false_positives: Ints
    missed: Ints

    def total(self) -> "Counts":
        return Counts(*(np.atleast_1d(values.sum()) for values in (self.true_positives, self.false_positives, self.missed)))

    @property
    def precision(self) -> Floats:
        """Of what was claimed, how much is right; NaN where nothing was claimed."""
        return _share(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> Floats:
        """Of what is there, how much was found; NaN where nothing is there."""
        return _share(self.true_positives, self.true_positives + self.missed)

    @property
    def f1(self) -> Floats:
        return _share(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.missed)


@dataclass(frozen=True)
class Curve:
    """Precision, recall and F1 from raw counts at every confidence at which they change, falling."""

    confidences: Floats
    precision: Floats
    recall: Floats
    f1: Floats

    @property
    def best(self) -> int | None:
        """The place of the largest F1, of equals the highest confidence; None where there is none."""
        return int(np.argmax(self.f1)) if self.f1.size else None


def curve(table: MatchTable) -> Curve:
    """Of all categories together. Empty where there is no object or no prediction: nothing is defined then."""
    counted = ~table.ignored
    return _curve(table.scores[counted], table.object_of[counted] >= 0, int(np.count_nonzero(~table.left_out)))


def curves(table: MatchTable, categories: int) -> list[Curve]:
    """Of each category."""
    counted = np.flatnonzero(~table.ignored)
    of_counted = table.prediction_categories[counted]
    order = by_category(of_counted)
    places = counted[order]
    bounds = np.searchsorted(of_counted[order], np.arange(categories + 1))
    totals = np.bincount(table.object_categories[~table.left_out], minlength=categories).tolist()
    parts = [places[start:end] for start, end in pairwise(bounds)]
    return [_curve(table.scores[part], table.object_of[part] >= 0, total) for part, total in zip(parts, totals, strict=True)]


def _curve(scores: Floats, right: Flags, total: int) -> Curve:
    """`scores` falling; `total` objects."""
    # At equal scores all or none are above the confidence.
    last = np.flatnonzero(np.r_[scores[1:] != scores[:-1], True]) if len(scores) else np.empty(0, np.int64)
    if not total:
        last = last[:0]
    found, claimed = np.cumsum(right)[last], last + 1
    return Curve(scores[last], found / claimed, found / max(1, total), 2 * found / (claimed + total))


def thinned(whole: Curve, points: int = POINTS_DRAWN) -> dict[str, list[float]]:
    """At evenly spaced confidences; where F1 is best is always one of them."""
    if not whole.confidences.size:
        return {"confidence": [], "precision": [], "recall": [], "f1": []}
    wanted = np.linspace(whole.confidences[-1], whole.confidences[0], points)
    places = np.searchsorted(-whole.confidences, -wanted, "right") - 1
    places = np.unique(np.r_[np.clip(places, 0, len(whole.confidences) - 1), whole.best or 0])
    columns = {"confidence": whole.confidences, "precision": whole.precision, "recall": whole.recall, "f1": whole.f1}
    return {name: values[places].tolist() for name, values in columns.items()}


def _share(part: Ints, whole: Ints) -> Floats:
    return np.asarray(np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0))


def _aligned(size: int) -> int:
    return size + -size % ALIGNED


def _stands_on_another(errors: Ints) -> Flags:
    """Whether a prediction is on an object of which it mistakes the class or the place."""
    return np.asarray((errors == ErrorType.CLASSIFICATION) | (errors == ErrorType.LOCALISATION))


def _whole(errors: Ints, found_by: Ints, overlaps: Floats, nearest: Ints, **others: Any) -> dict[str, Any]:
    """All columns, from those that are stored, two of them in part only."""
    nothing = np.full(len(errors), -1, np.int32)
    object_of, all_overlaps, all_nearest = nothing, np.zeros(len(errors)), nothing.copy()
    found = np.flatnonzero(found_by >= 0)
    object_of[found_by[found]], all_overlaps[found_by[found]] = found, overlaps
    all_nearest[_stands_on_another(errors)] = nearest
    ignored = (errors == ErrorType.NONE) & (object_of < 0)
    restored = {"object_of": object_of, "overlaps": all_overlaps, "nearest": all_nearest, "ignored": ignored}
    return {"errors": errors, "found_by": found_by, **others, **restored}


def _narrow(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype != np.int64:
        return values
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    kinds = (np.int8, np.int16, np.int32)
    return values.astype(next((kind for kind in kinds if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max), np.int64))
