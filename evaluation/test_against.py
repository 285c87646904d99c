"""Two test runs of the same images: figures side by side, and what became of every object."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.galleries import Crop, crops
from evaluation.metrics.columns import Ints
from evaluation.metrics.intervals import jackknife_difference
from evaluation.metrics.match_table import MatchTable
from evaluation.models import TestRun
from evaluation.object_changes import ObjectChanges
from evaluation.operating_points import Point
from evaluation.stored_matches import Found
from evaluation.statistics import EQUAL_WITHIN, Interval, mcnemar
from evaluation.test_figures import FIGURES, HEADLINES, Figure

CHANGES = {"broken": "Broken", "fixed": "Fixed", "both_wrong": "Both wrong", "both_right": "Both right"}


@dataclass(frozen=True)
class Side:
    """A figure of both runs. `interval` is of the difference, paired over images; None where it cannot be told."""

    figure: Figure
    before: float | None
    after: float | None
    interval: Interval | None
    before_interval: list[float] | None = None
    after_interval: list[float] | None = None

    @property
    def difference(self) -> float | None:
        return None if self.before is None or self.after is None else self.after - self.before

    @property
    def decision(self) -> str:
        """better, worse, same, or undecided where the interval holds zero or is not known."""
        if self.difference is None:
            return "undecided"
        if abs(self.difference) <= EQUAL_WITHIN:
            return "same"
        if self.interval is None or self.interval[0] <= 0 <= self.interval[1]:
            return "undecided"
        return "better" if (self.difference < 0) == self.figure.lower_is_better else "worse"


def figures_side_by_side(before: TestRun, after: TestRun) -> list[Side]:
    names = [*HEADLINES[before.task_type], *(name for name in FIGURES if name not in HEADLINES[before.task_type])]
    return [_side(FIGURES[name], before, after) for name in names if name in before.metrics and name in after.metrics]


def _side(figure: Figure, before: TestRun, after: TestRun) -> Side:
    values = before.metrics[figure.name], after.metrics[figure.name]
    half = jackknife_difference(before.replicates.get(figure.name, []), after.replicates.get(figure.name, []))
    interval = None
    if half is not None and None not in values and before.total_images == after.total_images:
        interval = (values[1] - values[0] - half, values[1] - values[0] + half)
    return Side(figure, *values, interval, before.intervals.get(figure.name), after.intervals.get(figure.name))


@dataclass(frozen=True)
class ObjectPair:
    before: Crop
    after: Crop


def object_pairs(before: Point, after: Point, objects: ObjectChanges, places: Ints) -> list[ObjectPair]:
    """The same objects as crops of both runs: with the prediction that found it, or that stands on it by mistake."""
    sides = [
        {crop.object_at: crop for crop in crops(point.test_run, point.table, _stood_on(point, at[places]))}
        for point, at in ((before, objects.baseline), (after, objects.candidate))
    ]
    keys = zip(objects.baseline[places].tolist(), objects.candidate[places].tolist(), strict=True)
    return [ObjectPair(sides[0][a], sides[1][b]) for a, b in keys if a in sides[0] and b in sides[1]]


def _stood_on(point: Point, objects: Ints) -> Found:
    """Each object with what found it; else with the surest prediction whose mistake it is, else with none."""
    table = point.table
    above = table.count_above(point.confidence)
    by = table.found_by[objects]
    claims = np.where((by >= 0) & (by < above), by, -1)
    mistaken = _first_mistake(table, above)
    return Found(objects, np.where(claims >= 0, claims, mistaken[objects]))


def _first_mistake(table: MatchTable, above: int) -> Ints:
    """Of each object the surest prediction that stands on it and is wrong."""
    found = np.full(len(table.object_ids), -1)
    wrong = np.flatnonzero(table.nearest[:above] >= 0)[::-1]
    # Of several the surest is written last.
    found[table.nearest[wrong]] = wrong
    return found


def class_deltas(before: Point, after: Point) -> list[dict[str, Any]]:
    """Classes that both know, by name; what fell most first."""
    by_name = {each["name"]: each for each in before.test_run.per_class_metrics}
    primary = "f1" if before.test_run.task_type == "classification" else "AP"
    found = []
    for each in after.test_run.per_class_metrics:
        old = by_name.get(each["name"])
        if old is None:
            continue
        side = Side(FIGURES[primary], old.get(primary), each.get(primary), None)
        found.append({"name": each["name"], "objects": each.get("objects", each.get("support")), "side": side})
    return sorted(found, key=lambda row: (row["side"].difference is None, row["side"].difference or 0.0))


def verdict(before: TestRun, after: TestRun, sides: list[Side], counts: dict[str, int]) -> tuple[str, str]:
    """What may be said of the two, as (decision, sentence)."""
    primary = next((side for side in sides if side.figure.name == after.primary_metric_name), None)
    objects = "images" if before.task_type == "classification" else "objects"
    changed = f"{counts['fixed']:,} {objects} fixed, {counts['broken']:,} broken, {counts['both_right']:,} right in both, {counts['both_wrong']:,} wrong in both"
    p_value = mcnemar(counts["fixed"], counts["broken"])
    told = f"{changed} (exact McNemar {'p < 0.001' if p_value < 0.001 else f'p = {p_value:.2g}'})."
    if primary is None or primary.difference is None:
        return "undecided", f"{FIGURES[before.primary_metric_name].label} is not defined in both runs: {told}"
    name, difference = primary.figure.label, f"{primary.difference:+.3f}".replace("-", "−")
    if primary.interval is None:
        return "undecided", f"{name} {difference}; how far chance reaches cannot be told. {told}"
    span = f"{primary.interval[0]:+.3f} to {primary.interval[1]:+.3f}".replace("-", "−")
    words = {
        "better": f"{after} is better: {name} {difference} ({span})",
        "worse": f"{after} is worse: {name} {difference} ({span})",
        "same": f"{name} is the same in both",
    }
    return primary.decision, f"{words.get(primary.decision, f'Not decisive: {name} {difference} ({span})')}; {told}"


def what_differs(before: TestRun, after: TestRun) -> list[str]:
    """What makes the two not comparable, in words."""
    found = []
    if before.dataset_id != after.dataset_id:
        found.append(f"They are of two datasets: {before.dataset} and {after.dataset}.")
    elif before.split_id != after.split_id:
        found.append(f"They are of two splits: {before.split or 'all'} and {after.split or 'all'}; only shared images have shared objects.")
    if before.set_version_id != after.set_version_id:
        found.append("They are of different curated sets, or versions of one.")
    if before.protocol != after.protocol:
        names = sorted(name for name in {*before.protocol, *after.protocol} if before.protocol.get(name) != after.protocol.get(name))
        found.append(f"The protocols differ in {', '.join(name.replace('_', ' ') for name in names)}.")
    if before.total_images != after.total_images:
        found.append(f"They looked at {before.total_images:,} and {after.total_images:,} images.")
    return found
