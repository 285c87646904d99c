"""How far the figures of a test run may lie from the truth: 95 % intervals over images, which are what was drawn at random.

Shares of images have Wilson's interval. Ratios of counts are resampled by image. Average precision is computed anew with a
twentieth of the images left out in turn (the delete-a-group jackknife): resampling it would cost a thousand evaluations.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy import special

from evaluation.metrics.columns import Floats, Ints
from evaluation.statistics import CONFIDENCE, SEED, Interval

GROUPS = 20
# Draws of a bootstrap over images: a fifth of a second.
DRAWS, FEWEST, MOST = 5_000_000, 200, 2_000


def left_out_groups(images: int) -> list[Ints]:
    """The images that stay when each group is left out; the same for the same number of images. Empty below three images."""
    if images < 3:
        return []
    group = np.random.default_rng(SEED).permutation(images) % min(GROUPS, images)
    return [np.flatnonzero(group != number) for number in range(min(GROUPS, images))]


def jackknife(value: float | None, replicates: Sequence[float | None]) -> Interval | None:
    """Student's interval from the values without each group; None where one of them is not defined."""
    known = [one for one in replicates if one is not None]
    if value is None or len(known) < 3 or len(known) < len(replicates):
        return None
    half = _half_width(np.array(known))
    return max(0.0, value - half), min(1.0, value + half)


def jackknife_difference(first: Sequence[float | None], second: Sequence[float | None]) -> float | None:
    """Half the width of the interval of second - first, where both left the same images out; None where they did not."""
    if len(first) != len(second) or len(first) < 3 or None in first or None in second:
        return None
    return _half_width(np.array(second, float) - np.array(first, float))


def _half_width(values: Floats) -> float:
    count = len(values)
    error = math.sqrt((count - 1) / count * float(((values - values.mean()) ** 2).sum()))
    return error * float(special.stdtrit(count - 1, 0.5 + CONFIDENCE / 2))


def resampled(columns: Floats, figures: Callable[[Floats], Mapping[str, Floats]]) -> dict[str, Interval]:
    """Percentile intervals of `figures`, which makes of sums over images ([resamples, columns]) arrays of values by name.

    `columns` has a row per image. What is not defined in a resample (NaN) says nothing.
    """
    if len(columns) < 2:
        return {}
    return _percentiles(figures(resampled_sums(columns)))


def resampled_sums(columns: Floats) -> Floats:
    """Sums over images drawn with replacement, [resamples, columns]; seeded, so that a page says the same twice."""
    images = len(columns)
    resamples = int(np.clip(DRAWS // images, FEWEST, MOST))
    rng = np.random.default_rng(SEED)
    sums = np.empty((resamples, columns.shape[1]))
    for number in range(resamples):
        sums[number] = np.bincount(rng.integers(0, images, images), minlength=images) @ columns
    return sums


def resampled_cells(counts: Ints, figures: Callable[[Floats], Mapping[str, Floats]]) -> dict[str, Interval]:
    """As `resampled`, for images that differ only in the cell of a table in which they are counted, such as a confusion matrix."""
    total = int(counts.sum())
    if total < 2:
        return {}
    drawn = np.random.default_rng(SEED).multinomial(total, counts.ravel() / total, size=FEWEST)
    return _percentiles(figures(drawn.reshape(FEWEST, *counts.shape).astype(float)))


def _percentiles(drawn: Mapping[str, Floats]) -> dict[str, Interval]:
    tail = (1 - CONFIDENCE) / 2
    found = {}
    for name, values in drawn.items():
        known = values[np.isfinite(values)]
        if len(known) > len(values) / 2:
            low, high = np.quantile(known, [tail, 1 - tail])
            found[name] = (float(low), float(high))
    return found


def counted_figures(sums: Floats) -> dict[str, Floats]:
    """Precision, recall and F1 of true positives, false positives and misses, [resamples, 3]."""
    right, wrong, missed = sums.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "precision": right / (right + wrong),
            "recall": right / (right + missed),
            "f1": 2 * right / (2 * right + wrong + missed),
        }
