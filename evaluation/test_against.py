"""Two test runs of the same images: figures side by side, and what became of every object."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.galleries import Crop, crops
from evaluation.metrics.columns import Ints
from evaluation.metrics.match_table import MatchTable
from evaluation.models import TestRun
from evaluation.object_changes import ObjectChanges
from evaluation.operating_points import Point
from evaluation.statistics import EQUAL_WITHIN, Interval
from evaluation.stored_matches import Found
from evaluation.test_figures import FIGURES, HEADLINES, Figure

CHANGES = {"broken": "Broken", "fixed": "Fixed", "both_wrong": "Both wrong", "both_right": "Both right"}


@dataclass(frozen=True)
class Side:
    """A figure of both runs. `interval` is of the difference, paired over images; None where it cannot be told."""

    figure: Figure
    before: float | None
    after: float | None
    difference: float | None
    interval: Interval | None = None
    before_interval: list[float] | None = None
    after_interval: list[float] | None = None

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


def sides_of(before: TestRun, after: TestRun, found: dict[str, Any]) -> list[Side]:
    """The figures of a comparison as `test_comparison.compare` tells them, headlines first."""
    told = {one["name"]: one for one in found["metrics"]}
    first = HEADLINES[before.task_type]
    names = [*first, *(name for name in FIGURES if name not in first)]
    return [
        Side(
            FIGURES[name], told[name]["baseline"], told[name]["candidate"], told[name]["difference"], told[name]["interval"],
            before.intervals.get(name), after.intervals.get(name),
        )
        for name in names
        if name in told
    ]  # fmt: skip


def class_sides(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Each class of a comparison with what became of its objects; what fell most first, the undefined last."""
    rows = [
        one | {"side": Side(FIGURES[one["metric"]], one["baseline"], one["candidate"], one["difference"])}
        for one in found["per_class"]
    ]
    return sorted(rows, key=lambda row: (row["difference"] is None, row["difference"] or 0.0))


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


def decision_of(sides: list[Side], primary: str) -> str:
    """What the verdict comes to, for its colour: by the first figure that has an interval, as its sentence is."""
    judged = [side for side in sides if side.figure.name in (primary, "f1") and side.interval is not None]
    judged.sort(key=lambda side: side.figure.name != primary)
    return judged[0].decision if judged else "undecided"


def images_differ(before: TestRun, after: TestRun) -> list[str]:
    """What makes the images of the two not the same, in words."""
    found = []
    if before.split_id != after.split_id:
        found.append(
            f"They are of two splits: {before.split or 'all'} and {after.split or 'all'}; only shared images have shared objects."
        )
    if before.set_version_id != after.set_version_id:
        found.append("They are of different curated sets, or versions of one.")
    if before.total_images != after.total_images:
        found.append(f"They looked at {before.total_images:,} and {after.total_images:,} images.")
    return found
