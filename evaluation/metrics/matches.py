"""Which prediction stands for which object: overlaps, matching by score, and the kind of each error.

Matching is COCO's: predictions by falling score, each takes the free object of its image that it overlaps most; a crowd may be met by
many, and what meets only a crowd (or a pose of which no point is labelled) counts neither for nor against. Because it goes by score, the matches above any confidence
are those of all predictions cut there: they are found once and serve every operating point.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from evaluation.metrics.columns import Flags, Floats, Ints, Predictions, Scene, Truth
from evaluation.metrics.overlaps import Overlap, overlap_of

# Below it a prediction has nothing to do with an object (TIDE's background threshold).
BACKGROUND_BELOW = 0.1
PAIRS_AT_ONCE = 300_000


class ErrorType(IntEnum):
    """What is wrong with a prediction or an object, as TIDE tells them apart (Bolya et al. 2020)."""

    NONE = 0
    CLASSIFICATION = 1
    LOCALISATION = 2
    BOTH = 3
    DUPLICATE = 4
    BACKGROUND = 5
    MISSED = 6


@dataclass(frozen=True)
class Pairs:
    """Predictions and objects of one image that overlap: positions in their columns, and by how much (0..1)."""

    predictions: Ints
    objects: Ints
    overlaps: Floats

    def __len__(self) -> int:
        return len(self.predictions)

    def at(self, places: Ints) -> "Pairs":
        return Pairs(self.predictions[places], self.objects[places], self.overlaps[places])

    def where(self, kept: Flags) -> "Pairs":
        return self.at(np.flatnonzero(kept))


@dataclass(frozen=True)
class Matches:
    """Of each prediction the object that it found (position, or -1), the overlap, whether it is left out of the count, its error.

    `nearest` is the object that an error of classification or localisation mistakes (or -1). `order` lists predictions by falling
    score. `found_by` names the prediction that found each object (or -1). `across` holds the pairs of different categories that overlap enough to be taken for each other.
    """

    order: Ints
    object_of: Ints
    overlaps: Floats
    ignored: Flags
    errors: Ints
    nearest: Ints
    found_by: Ints
    across: Pairs


def match(scene: Scene, truth: Truth, predictions: Predictions, kind: str, threshold: float = 0.5) -> Matches:
    """Match by `kind` of overlap (`bbox`, `segm`, `keypoints`) at `threshold`."""
    order = predictions.by_score()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    pairs = overlapping(truth, predictions, overlap_of(kind, scene))
    same = predictions.categories[pairs.predictions] == truth.categories[pairs.objects]
    enough = pairs.overlaps >= min(threshold, 1 - 1e-10)
    crowd = truth.left_out(kind)[pairs.objects]
    found = greedy(pairs.where(same & enough & ~crowd), rank)

    object_of = np.full(len(predictions), -1)
    overlaps = np.zeros(len(predictions))
    found_by = np.full(len(truth), -1)
    object_of[found.predictions], overlaps[found.predictions] = found.objects, found.overlaps
    found_by[found.objects] = found.predictions
    ignored = np.zeros(len(predictions), bool)
    rest = pairs.where(same & enough & crowd & (object_of[pairs.predictions] < 0))
    ignored[met_left_out(rest, truth.crowds, rank)] = True
    errors, nearest = _errors(pairs, same, crowd, threshold, object_of, ignored)
    across = pairs.where(~same & enough & ~crowd)
    return Matches(order, object_of, overlaps, ignored, errors, nearest, found_by, across)


def overlapping(truth: Truth, predictions: Predictions, overlap: Overlap) -> Pairs:
    """All pairs of an image that overlap by TIDE's background threshold or more, a part of the images at a time."""
    parts = []
    for of_prediction, of_object in _candidates(truth, predictions):
        overlaps = overlap(truth, predictions, of_object, of_prediction)
        near = overlaps >= BACKGROUND_BELOW
        parts.append(Pairs(of_prediction[near], of_object[near], overlaps[near]))
    return joined(parts) if parts else Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))


def _candidates(truth: Truth, predictions: Predictions) -> Iterator[tuple[Ints, Ints]]:
    """Every prediction with every object of its image, in parts that fit into memory."""
    by_image = np.argsort(truth.images, kind="stable")
    images = truth.images[by_image]
    first = np.searchsorted(images, predictions.images, "left")
    count = np.searchsorted(images, predictions.images, "right") - first
    ends = np.cumsum(count)
    start = 0
    while start < len(predictions):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + PAIRS_AT_ONCE, "right")))
        counts = count[start:stop]
        of_prediction = np.repeat(np.arange(start, stop), counts)
        places = np.arange(len(of_prediction)) - np.repeat(np.cumsum(counts) - counts, counts)
        yield of_prediction, by_image[np.repeat(first[start:stop], counts) + places]
        start = stop


def greedy(pairs: Pairs, rank: Ints) -> Pairs:
    """The pairs that come about when predictions choose by rank, each the free object that it overlaps most.

    Of objects that overlap alike the later is taken, as pycocotools does. Without a loop over predictions: in each round all are
    settled whose first choice nobody before them might still want.
    """
    if not len(pairs):
        return pairs
    left = pairs.at(np.lexsort((-pairs.objects, -pairs.overlaps, rank[pairs.predictions])))
    is_settled, is_taken = np.zeros(len(rank), bool), np.zeros(int(pairs.objects.max()) + 1, bool)
    settled = []
    while len(left):
        ranks = rank[left.predictions]
        is_first = np.r_[True, left.predictions[1:] != left.predictions[:-1]]
        # The pairs are sorted by rank: an object's first mention is by the earliest that wants it.
        wanted, first_mention = np.unique(left.objects, return_index=True)
        earliest = ranks[first_mention][np.searchsorted(wanted, left.objects)]
        chosen = left.at(np.flatnonzero(is_first & (earliest == ranks)))
        settled.append(chosen)
        is_settled[chosen.predictions] = is_taken[chosen.objects] = True
        left = left.at(np.flatnonzero(~is_settled[left.predictions] & ~is_taken[left.objects]))
    return joined(settled)


def met_left_out(pairs: Pairs, crowds: Flags, rank: Ints) -> Ints:
    """Predictions that stand for something that counts neither way: for a crowd many may, for any other object one.

    Each takes what it overlaps most, so that whatever it overlaps less than a crowd stays free for others.
    """
    is_crowd = crowds[pairs.objects]
    most = np.zeros(len(rank))
    np.maximum.at(most, pairs.predictions[is_crowd], pairs.overlaps[is_crowd])
    others = pairs.where(~is_crowd & (pairs.overlaps >= most[pairs.predictions]))
    return np.concatenate([pairs.predictions[is_crowd], greedy(others, rank).predictions])


def joined(parts: Sequence[Pairs]) -> Pairs:
    return Pairs(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("predictions", "objects", "overlaps")))


def _errors(pairs: Pairs, same: Flags, crowd: Flags, threshold: float, object_of: Ints, ignored: Flags) -> tuple[Ints, Ints]:
    """TIDE's kinds, tested in TIDE's order, and the object that a misplaced or mistaken prediction stands on.

    What is right or left out has no error.
    """
    of_same, same_object = _largest(pairs.where(same & ~crowd), len(object_of))
    of_other, other_object = _largest(pairs.where(~same & ~crowd), len(object_of))
    is_fine = (object_of >= 0) | ignored
    is_misplaced = (of_same >= BACKGROUND_BELOW) & (of_same < threshold)
    is_mistaken = of_other >= threshold
    is_background = np.maximum(of_same, of_other) <= BACKGROUND_BELOW
    tests = [is_fine, is_misplaced, is_mistaken, of_same >= threshold, is_background]
    kinds = [ErrorType.NONE, ErrorType.LOCALISATION, ErrorType.CLASSIFICATION, ErrorType.DUPLICATE, ErrorType.BACKGROUND]
    errors = np.select(tests, [int(kind) for kind in kinds], int(ErrorType.BOTH))
    return errors, np.select(tests[:3], [-1, same_object, other_object], -1)


def _largest(pairs: Pairs, count: int) -> tuple[Floats, Ints]:
    """Each prediction's largest overlap among the pairs and the object it is with; 0 and -1 where it has none."""
    largest, objects = np.zeros(count), np.full(count, -1)
    np.maximum.at(largest, pairs.predictions, pairs.overlaps)
    best = pairs.where(pairs.overlaps == largest[pairs.predictions])
    # Of several values for one place the last stays.
    objects[best.predictions] = best.objects
    return largest, objects
