"""Is the candidate better than the baseline? Counts, paired statistics and the verdict, one metric at a time or several."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from evaluation import statistics
from evaluation.metrics.columns import Floats, Ints
from evaluation.pairing import Pairing, pair
from evaluation.scores import CONFIDENCE, CUSTOM, METRICS, Metric, custom_names, metric_of
from evaluation.statistics import EQUAL_WITHIN, SIGNIFICANCE, Bootstrap, Interval, Progress
from predictions import record
from predictions.models import PredictionRun

MCNEMAR, BOOTSTRAP, NO_TEST = "exact McNemar", "paired bootstrap", "none"
DECISIVE_BETTER, DECISIVE_WORSE, UNDECIDED = "better", "worse", "undecided"


class UnknownMetric(Exception):
    """No score of that name; `known` lists those there are."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"There is no metric '{name[:80]}'. The known ones: {', '.join(known)}.")
        self.known = known
        self.remedy = "Name one of these metrics, or leave it out."


@dataclass(frozen=True)
class Judgement:
    """What one metric says of two runs. Means, difference and interval are over the items that both sides have a value of;
    the difference is candidate minus baseline, whatever the metric's direction.

    `p_adjusted` is Holm's, where several metrics were judged together. `detectable` is the least difference that would be
    found with 80 % power. `differences` is what makes the runs not comparable, in words.
    """

    metric: Metric
    tag: str = ""
    matched: int = 0
    scored: int = 0
    only_baseline: int = 0
    only_candidate: int = 0
    improved: int = 0
    regressed: int = 0
    unchanged: int = 0
    baseline_mean: float | None = None
    candidate_mean: float | None = None
    baseline_interval: Interval | None = None
    candidate_interval: Interval | None = None
    difference: float | None = None
    interval: Interval | None = None
    test: str = NO_TEST
    p_value: float | None = None
    p_adjusted: float | None = None
    detectable: float | None = None
    differences: list[str] = field(default_factory=list)

    @property
    def is_better(self) -> bool | None:
        """Whether the means say that the candidate is better; None where they are equal or not defined."""
        if self.difference is None or abs(self.difference) <= EQUAL_WITHIN:
            return None
        return (self.difference < 0) == self.metric.lower_is_better

    @property
    def decision(self) -> str:
        """`better` or `worse` where chance is no likely reason for the difference (p < 5 %), else `undecided`."""
        return self._decided(self.p_value)

    @property
    def decision_adjusted(self) -> str:
        """The same among the metrics or slices that were judged together, by the adjusted p-value."""
        return self._decided(self.p_value if self.p_adjusted is None else self.p_adjusted)

    def _decided(self, p_value: float | None) -> str:
        if p_value is None or p_value >= SIGNIFICANCE or self.is_better is None:
            return UNDECIDED
        return DECISIVE_BETTER if self.is_better else DECISIVE_WORSE

    @property
    def verdict(self) -> str:
        """The sentence: "12 better, 9 worse, 79 the same: not decisive (p = 0.66); ..."."""
        if not self.matched:
            return (
                "The two runs share no items: there is nothing to compare." if not self.tag else "No shared item has this tag."
            )
        if not self.scored:
            return f"None of the {self.matched:,} shared items has “{self.metric.label}” in both runs."
        counts = f"{self.improved:,} better, {self.regressed:,} worse, {self.unchanged:,} the same"
        if self.p_value is None:
            return f"{counts}: one item alone decides nothing."
        if not self.improved and not self.regressed:
            return f"{counts}: no difference at all{self._reach}"
        if self.decision == UNDECIDED:
            return f"{counts}: not decisive ({p_in_words(self.p_value)}){self._reach}"
        return f"{counts}: the candidate is {self.decision} ({p_in_words(self.p_value)}, {self.test})"

    @property
    def _reach(self) -> str:
        if self.detectable is None:
            return ""
        return f"; this set can detect differences of {size_in_words(self.detectable, self.metric)}"


def p_in_words(p_value: float) -> str:
    """ "p = 0.66"; never 0, which no test says."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}" if p_value < 0.095 else f"p = {p_value:.2f}"


def size_in_words(size: float, metric: Metric) -> str:
    """Of a share in points, rounded up: what is promised must hold."""
    if not metric.is_share:
        return f"{size:.{metric.decimals}f}"
    points = math.ceil(size * 1000 - EQUAL_WITHIN) / 10 if size < 0.0095 else math.ceil(size * 100 - EQUAL_WITHIN)
    return f"{points:g} point{'' if points == 1 else 's'}"


def known_metrics(baseline: PredictionRun, candidate: PredictionRun) -> list[str]:
    """What these two may be compared by, whether or not they have values of it."""
    if baseline.dataset and candidate.dataset:
        tasks = {run.dataset.task_type for run in (baseline, candidate) if run.dataset}
        return [
            "passed",
            *(["exact_match"] if "classification" in tasks else []),
            *(["f1"] if tasks != {"classification"} else []),
        ]
    own = {f"custom:{name}" for run in (baseline, candidate) for name in custom_names(run)}
    return [*(name for name in METRICS if name != "f1"), *sorted(own)]


def default_metric(pairing: Pairing) -> str:
    """The first that both sides have a value of: validators before references."""
    return next((metric.name for metric in pairing.metrics), "exact_match")


def compare(
    baseline: PredictionRun,
    candidate: PredictionRun,
    metric: str = "exact_match",
    *,
    tag: str = "",
    confidence: float = CONFIDENCE,
    set_version: int | None = None,
) -> Judgement:
    """One metric of two runs, of all shared items or of those with a tag. Raises UnknownMetric."""
    check_metric(baseline, candidate, metric)
    pairing = pair(baseline, candidate, confidence=confidence, set_version=set_version)
    [found] = judge(pairing, [metric_of(metric)], tag)
    return replace(found, differences=what_differs(baseline, candidate))


def check_metric(baseline: PredictionRun, candidate: PredictionRun, metric: str) -> None:
    known = known_metrics(baseline, candidate)
    if metric not in known:
        raise UnknownMetric(metric, known)


def what_differs(baseline: PredictionRun, candidate: PredictionRun) -> list[str]:
    """What makes them not comparable, in words; empty where nothing does."""
    if bool(baseline.dataset_id) != bool(candidate.dataset_id):
        return ["One run answered texts, the other images: they share no items."]
    if baseline.dataset_id != candidate.dataset_id:
        return [f"They speak of different datasets: {baseline.dataset} and {candidate.dataset}. They share no items."]
    return record.differences(baseline, candidate)


# --- Judging -------------------------------------------------------------------------------------------------------------------
Cell = tuple[Metric, str]


def judge(pairing: Pairing, metrics: Sequence[Metric], tag: str = "", progress: Progress | None = None) -> list[Judgement]:
    """Each metric over the shared items (with the tag). Of several, the p-values are adjusted by Holm's method."""
    return _adjusted(_judged(pairing, [(metric, tag) for metric in metrics], progress))


def slices(pairing: Pairing, metric: Metric) -> list[Judgement]:
    """The metric by tag, worst first."""
    return worst_first(_judged(pairing, [(metric, tag) for tag in pairing.tags]))


def judge_all(
    pairing: Pairing, metrics: Sequence[Metric], tags: Sequence[str], by_tag: Sequence[Metric], progress: Progress | None = None
) -> dict[str, list[Judgement]]:
    """By tag what `judge` finds of all `metrics` over all items and over those with one of `tags`; of every other tag of the
    pairing what it finds of `by_tag` alone. One bootstrap serves all of it.
    """
    wanted = {"": list(metrics)} | {tag: list(by_tag) for tag in pairing.tags} | {tag: list(metrics) for tag in tags if tag}
    judged = iter(_judged(pairing, [(metric, tag) for tag, found in wanted.items() for metric in found], progress))
    return {tag: _adjusted([next(judged) for _ in found]) for tag, found in wanted.items()}


def _judged(pairing: Pairing, cells: Sequence[Cell], progress: Progress | None = None) -> list[Judgement]:
    bootstraps = _bootstraps(pairing, cells, progress)
    found = []
    for metric, tag in cells:
        one = _counted(pairing, metric, tag)
        known = bootstraps.get((metric.name, tag))
        found.append(_by_bootstrap(one, known) if known else _by_mcnemar(pairing, one))
    return found


def _adjusted(judged: list[Judgement]) -> list[Judgement]:
    if len(judged) < 2:
        return judged
    adjusted = statistics.holm([one.p_value for one in judged])
    return [replace(one, p_adjusted=p_value) for one, p_value in zip(judged, adjusted, strict=True)]


def worst_first(judged: Sequence[Judgement]) -> list[Judgement]:
    """Slices by one metric, their p-values adjusted among each other; what was not scored comes last."""
    adjusted = statistics.holm([one.p_value for one in judged])
    found = [replace(one, p_adjusted=p_value) for one, p_value in zip(judged, adjusted, strict=True)]
    return sorted(found, key=lambda one: (one.difference is None, _gain(one), one.tag))


def _gain(one: Judgement) -> float:
    difference = one.difference or 0.0
    return -difference if one.metric.lower_is_better else difference


def _weights(pairing: Pairing, metric: Metric, places: Ints) -> Floats:
    """Items weigh in pass rates; other scores are plain means."""
    return pairing.weights[places] if metric.name == "passed" else np.ones(len(places))


def _is_weighed(pairing: Pairing, metric: Metric, places: Ints) -> bool:
    weights = _weights(pairing, metric, places)
    return bool(len(weights)) and float(np.ptp(weights)) > 0


def _counted(pairing: Pairing, metric: Metric, tag: str) -> Judgement:
    """Counts and means; the test comes after."""
    places = pairing.of_tag(tag)
    before, after = (side[places] for side in pairing.sides(metric.name))
    known = np.isfinite(before) & np.isfinite(after)
    gains, weights = pairing.gains(metric)[places][known], _weights(pairing, metric, places)[known]
    found = Judgement(
        metric, tag, matched=len(places), scored=int(known.sum()),
        only_baseline=len(pairing.only_baseline), only_candidate=len(pairing.only_candidate),
        improved=int((gains > EQUAL_WITHIN).sum()), regressed=int((gains < -EQUAL_WITHIN).sum()),
        unchanged=int((np.abs(gains) <= EQUAL_WITHIN).sum()),
    )  # fmt: skip
    if not found.scored:
        return found
    sides = [(side[known], weights) for side in (before, after)]
    means = [float(values @ weighed / weighed.sum()) for values, weighed in sides]
    intervals = [mean_interval(metric, values, weighed) for values, weighed in sides]
    return replace(
        found, baseline_mean=means[0], candidate_mean=means[1], difference=means[1] - means[0],
        baseline_interval=intervals[0], candidate_interval=intervals[1],
    )  # fmt: skip


def mean_interval(metric: Metric, values: Floats, weights: Floats) -> Interval | None:
    """Wilson's of a rate; where items weigh differently, of as many equal ones as say as much (Kish). Student's of other means."""
    if not metric.is_binary:
        found = statistics.mean_interval(values)
        # Student knows no bounds; the scores do, but for those that a trainer sends.
        is_own = metric.name.startswith(CUSTOM)
        return (max(0.0, found[0]), min(metric.most, found[1])) if found and not is_own else found
    effective = float(weights.sum() ** 2 / (weights @ weights))
    return statistics.wilson(float(values @ weights / weights.sum()) * effective, effective)


def _bootstraps(pairing: Pairing, cells: Sequence[Cell], progress: Progress | None) -> dict[tuple[str, str], Bootstrap]:
    """Of what McNemar's test is not for: continuous scores, and pass rates in which items weigh differently.

    All items are resampled, once for all columns; those that a slice does not hold are not defined in its column.
    """
    weighed = [(metric, tag) for metric, tag in cells if _is_weighed(pairing, metric, pairing.of_tag(tag))]
    plain = [cell for cell in cells if not cell[0].is_binary and cell not in weighed]
    found: dict[tuple[str, str], Bootstrap] = {}
    for group in (plain, weighed):
        if not group or not len(pairing):
            continue
        columns = np.full((len(pairing), len(group)), np.nan)
        for number, (metric, tag) in enumerate(group):
            (before, after), places = pairing.sides(metric.name), pairing.of_tag(tag)
            columns[places, number] = (after - before)[places]
        weights = _weights(pairing, group[0][0], np.arange(len(pairing)))
        results = statistics.paired_bootstrap(columns, weights, progress=progress)
        found |= {(metric.name, tag): result for (metric, tag), result in zip(group, results, strict=True)}
    return found


def _by_bootstrap(one: Judgement, found: Bootstrap) -> Judgement:
    if found.p_value is None:
        return one
    detectable = statistics.detectable_mean(found.standard_error)
    return replace(one, test=BOOTSTRAP, p_value=found.p_value, interval=found.interval, detectable=detectable)


def _by_mcnemar(pairing: Pairing, one: Judgement) -> Judgement:
    if not one.scored or not one.metric.is_binary:
        return one
    places = pairing.of_tag(one.tag)
    before, after = (side[places] for side in pairing.sides(one.metric.name))
    both, neither = int(((before == 1) & (after == 1)).sum()), int(((before == 0) & (after == 0)).sum())
    return replace(
        one,
        test=MCNEMAR,
        p_value=statistics.mcnemar(one.improved, one.regressed),
        interval=statistics.paired_difference(both, one.regressed, one.improved, neither),
        detectable=statistics.detectable_share(one.improved + one.regressed, one.scored),
    )
