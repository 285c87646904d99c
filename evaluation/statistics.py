"""Paired statistics: may two runs over the same items be called different, and how large a difference could be seen at all?

Arrays in, numbers out. Two-sided throughout, at 95 % unless told otherwise. The distribution functions are scipy's; its tests
and those of statsmodels, which take seconds to load, are what tests/evaluation/test_statistics.py holds these against.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]
Progress = Callable[[int, int], None]

CONFIDENCE, POWER = 0.95, 0.8
SIGNIFICANCE = 1 - CONFIDENCE
SEED = 20_250_101
# Draws of one bootstrap: what takes a fraction of a second. Fewer items are resampled more often.
DRAWS = 20_000_000
FEWEST_RESAMPLES, MOST_RESAMPLES = 2_000, 10_000
# Of the counts that are held at one time: what a processor's cache holds.
CHUNK_CELLS = 200_000
# Differences of adding up; smaller ones are none.
EQUAL_WITHIN = 1e-9


def wilson(successes: float, total: float, confidence: float = CONFIDENCE) -> Interval | None:
    """Wilson's score interval of a share (1927), without continuity correction; None of nothing."""
    if total <= 0:
        return None
    z = _quantile(confidence)
    share, spread = successes / total, z * z / total
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    # At the ends the formula gives 0 and 1 but for rounding.
    return (0.0 if successes <= 0 else max(0.0, centre - half)), (1.0 if successes >= total else min(1.0, centre + half))


def mcnemar(improved: int, regressed: int) -> float:
    """The p-value of McNemar's exact test: a binomial test of the items that changed; 1 where none did."""
    changed = improved + regressed
    if not changed:
        return 1.0
    return min(1.0, 2 * float(special.bdtr(min(improved, regressed), changed, 0.5)))


def paired_difference(
    both: int, only_first: int, only_second: int, neither: int, confidence: float = CONFIDENCE
) -> Interval | None:
    """The interval of p(second) - p(first), where both shares are of the same items: Newcombe (1998b), method 10.

    The four counts are items right in both, in one alone, and in neither. None without items.
    """
    total = both + only_first + only_second + neither
    first, second = wilson(both + only_first, total, confidence), wilson(both + only_second, total, confidence)
    if first is None or second is None:
        return None
    p1, p2 = (both + only_first) / total, (both + only_second) / total
    phi = _phi(both, only_first, only_second, neither)
    down2, up2, down1, up1 = p2 - second[0], second[1] - p2, p1 - first[0], first[1] - p1
    low = math.sqrt(max(0.0, down2**2 - 2 * phi * down2 * up1 + up1**2))
    high = math.sqrt(max(0.0, up2**2 - 2 * phi * up2 * down1 + down1**2))
    return p2 - p1 - low, p2 - p1 + high


def _phi(both: int, only_first: int, only_second: int, neither: int) -> float:
    """The correlation of both outcomes, with Newcombe's correction where it is positive; 0 where a margin is empty."""
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    if not margins:
        return 0.0
    cross, total = both * neither - only_first * only_second, both + only_first + only_second + neither
    if cross > 0:
        cross = max(cross - total / 2, 0)  # type: ignore[assignment]
    return cross / math.sqrt(margins)


@dataclass(frozen=True)
class Bootstrap:
    """Of one column of differences: their (weighted) mean, its interval, its standard error and a p-value against 0.

    All None where no item has a difference; interval, error and p None where there is a single one.
    """

    mean: float | None = None
    interval: Interval | None = None
    standard_error: float | None = None
    p_value: float | None = None
    items: int = 0


def paired_bootstrap(
    differences: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    confidence: float = CONFIDENCE,
    resamples: int | None = None,
    seed: int = SEED,
    progress: Progress | None = None,
) -> list[Bootstrap]:
    """Each column of `differences` (items x scores; one dimension is one column), NaN where an item lacks a score.

    Items are resampled with replacement, the same for all columns, and the mean difference is taken anew. The interval is the
    percentile interval, expanded for few items as Hesterberg (The American Statistician 69:4, 2015) does: as much wider as
    Student's interval is than the normal one. The p-value inverts that interval: it is below 5 % exactly where the 95 % interval
    excludes 0, up to the resamples' steps. `weights` are the items'; seeded, so that a page says the same twice.
    """
    table = np.asarray(differences, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    known = np.isfinite(table)
    given = np.ones(len(table)) if weights is None else np.asarray(weights, dtype=np.float64)
    weighed = np.where(known, given[:, None], 0.0)
    sums = np.concatenate([np.where(known, table, 0.0) * weighed, weighed], axis=1)
    means = _resampled_means(sums, resamples or resamples_for(len(table)), seed, progress) if len(table) > 1 else None
    return [
        _read(table[known[:, column], column], weighed[known[:, column], column], means, column, confidence)
        for column in range(table.shape[1])
    ]


def resamples_for(items: int) -> int:
    return int(np.clip(DRAWS // max(1, items), FEWEST_RESAMPLES, MOST_RESAMPLES))


def _resampled_means(sums: Floats, resamples: int, seed: int, progress: Progress | None) -> Floats:
    """resamples x columns. How often each item is drawn is counted, so that one product of matrices serves all columns."""
    items, columns = len(sums), sums.shape[1] // 2
    rng, means = np.random.default_rng(seed), np.empty((resamples, columns))
    step = max(1, CHUNK_CELLS // items)
    counts = np.empty((step, items))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        for row, drawn in enumerate(rng.integers(0, items, size=(rows, items), dtype=np.int32)):
            counts[row] = np.bincount(drawn, minlength=items)
        totals = counts[:rows] @ sums
        with np.errstate(invalid="ignore", divide="ignore"):
            means[start : start + rows] = totals[:, :columns] / totals[:, columns:]
        if progress:
            progress(start + rows, resamples)
    return means


def _read(values: Floats, weights: Floats, means: Floats | None, column: int, confidence: float) -> Bootstrap:
    """What the resampled means of a column say. A resample without any of its items says nothing."""
    if not len(values):
        return Bootstrap()
    mean = float(values @ weights / weights.sum())
    drawn = np.empty(0) if means is None else means[np.isfinite(means[:, column]), column]
    if len(values) < 2 or len(drawn) < 2:
        return Bootstrap(mean, items=len(values))
    if np.all(np.abs(values) <= EQUAL_WITHIN):
        return Bootstrap(mean, (0.0, 0.0), 0.0, 1.0, len(values))
    freedom, stretch = len(values) - 1, math.sqrt(len(values) / (len(values) - 1))
    tail = float(special.ndtr(stretch * special.stdtrit(freedom, (1 - confidence) / 2)))
    low, high = (float(value) for value in np.quantile(drawn, [tail, 1 - tail]))
    # One more on either side: no finite number of resamples says "never".
    beyond = (1 + min(np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0))) / (1 + len(drawn))
    p_value = min(1.0, 2 * float(special.stdtr(freedom, special.ndtri(min(beyond, 0.5)) / stretch)))
    return Bootstrap(mean, (low, high), float(drawn.std(ddof=1)), p_value, len(values))


def mean_interval(values: Floats, confidence: float = CONFIDENCE) -> Interval | None:
    """Student's interval of a mean; None below two values."""
    if len(values) < 2:
        return None
    half = float(special.stdtrit(len(values) - 1, 0.5 + confidence / 2) * values.std(ddof=1) / math.sqrt(len(values)))
    return float(values.mean()) - half, float(values.mean()) + half


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjustment (1979) of the p-values that there are, in their places."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    worst = 0.0
    for rank, (p, place) in enumerate(known):
        worst = max(worst, min(1.0, (len(known) - rank) * p))
        adjusted[place] = worst
    return adjusted


def detectable_share(changed: int, total: int, power: float = POWER, confidence: float = CONFIDENCE) -> float | None:
    """The least difference of two shares that McNemar's test finds with this power, by Connor's formula (1987).

    `changed` of `total` items have another outcome; a difference cannot be larger than the share that changes, so that where
    few do, this many at least are supposed to. 1 where not even that would do; None without items.
    """
    if not total:
        return None
    z, z_power = _quantile(confidence), float(special.ndtri(power))

    def suffices(difference: float) -> bool:
        churn = max(changed / total, difference)
        return total * difference**2 >= (z * math.sqrt(churn) + z_power * math.sqrt(churn - difference**2)) ** 2

    low, high = 0.0, 1.0
    if not suffices(high):
        return 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high


def detectable_mean(standard_error: float | None, power: float = POWER, confidence: float = CONFIDENCE) -> float | None:
    """The least mean difference that is found with this power, by the normal approximation; None where nothing is known."""
    if not standard_error:
        return None
    return (_quantile(confidence) + float(special.ndtri(power))) * standard_error


def _quantile(confidence: float) -> float:
    return float(special.ndtri(0.5 + confidence / 2))
