"""Two test runs on the same images: figures side by side with paired intervals, what became of objects, a sentence."""

from typing import Any

import numpy as np

from datasets.models import JobStatus
from evaluation.metrics.columns import Floats
from evaluation.metrics.intervals import counted_figures, jackknife_difference, resampled
from evaluation.models import TestImageResult, TestRun
from evaluation.object_changes import KINDS, ObjectChanges, changes
from evaluation.statistics import Interval, mcnemar, mean_interval, paired_difference
from evaluation.stored_matches import confidence_of, tables

COUNTS = ("true_positives", "false_positives", "false_negatives")
# Better when smaller; of the others more is better.
FALLING = {"log_loss", "ece"}


class NotComparable(Exception):
    """These two say nothing of each other."""

    remedy = "Choose two completed test runs of one task type on the same images."


def check(baseline: TestRun, candidate: TestRun) -> None:
    if not all(one.status == JobStatus.COMPLETED for one in (baseline, candidate)):
        raise NotComparable("One of the test runs is not completed.")
    if baseline.task_type != candidate.task_type or baseline.dataset_id != candidate.dataset_id:
        raise NotComparable("The test runs are of different datasets or task types.")


def object_changes(
    baseline: TestRun, candidate: TestRun, baseline_confidence: float | None = None, candidate_confidence: float | None = None
) -> ObjectChanges:
    """Each at the confidence of its own figures, unless told otherwise. Raises NotComparable."""
    check(baseline, candidate)
    return changes(
        tables.get(baseline),
        tables.get(candidate),
        confidence_of(baseline, baseline_confidence),
        confidence_of(candidate, candidate_confidence),
    )


def compare(baseline: TestRun, candidate: TestRun) -> dict[str, Any]:
    """Raises NotComparable."""
    check(baseline, candidate)
    first, second, shared, total = _paired(baseline, candidate)
    metrics = _metrics(baseline, candidate, _intervals(baseline, candidate, first, second, shared == total))
    found = object_changes(baseline, candidate)
    chances = _paired_chances(first, second)
    return {
        "matched_images": shared,
        "images_of_one_alone": total - shared,
        "metrics": metrics,
        "objects": found.counts(),
        "images": {name: chances[name] for name in KINDS},
        "p_value": mcnemar(chances["fixed"], chances["broken"]),
        "per_class": _per_class(baseline, candidate, found),
        "differences": what_differs(baseline, candidate),
        "verdict": _verdict(metrics, found),
    }


def what_differs(baseline: TestRun, candidate: TestRun) -> list[str]:
    """Rules that differ, in words: figures under different rules are different figures."""
    first, second = baseline.protocol, candidate.protocol
    return [
        f"The rule {name} is {first.get(name)!r} in the baseline and {second.get(name)!r} in the candidate."
        for name in sorted(first.keys() | second.keys())
        if first.get(name) != second.get(name)
    ]


def _paired(baseline: TestRun, candidate: TestRun) -> tuple[Floats, Floats, int, int]:
    """Of the images that both have: correctness, counts and loss, a row each; how many those are, and how many all."""
    fields = ("sample", "is_correct", *COUNTS, "loss")
    rows = [
        np.array(
            TestImageResult.objects.filter(test_run=one).order_by("sample").values_list(*fields), dtype=float
        ).reshape(-1, len(fields))
        for one in (baseline, candidate)
    ]  # fmt: skip
    keys, first, second = np.intersect1d(rows[0][:, 0], rows[1][:, 0], return_indices=True)
    return rows[0][first, 1:], rows[1][second, 1:], len(keys), len(rows[0]) + len(rows[1]) - len(keys)


def _intervals(baseline: TestRun, candidate: TestRun, first: Floats, second: Floats, are_same: bool) -> dict[str, Interval]:
    """Of candidate - baseline, by figure: where both are over the same images."""
    if not are_same or len(first) < 2:
        return {}
    found: dict[str, Interval] = {}
    for name, values in candidate.replicates.items():
        half = jackknife_difference(baseline.replicates.get(name, []), values)
        difference = _difference(baseline, candidate, name)
        if half is not None and difference is not None:
            found[name] = (difference - half, difference + half)
    if baseline.task_type == "classification":
        chances = _paired_chances(first, second)
        share = paired_difference(chances["both_right"], chances["broken"], chances["fixed"], chances["both_wrong"])
        losses = (second - first)[:, -1]
        loss = mean_interval(losses[~np.isnan(losses)])
        return found | {name: one for name, one in (("top1", share), ("log_loss", loss)) if one is not None}
    return found | resampled(np.column_stack([first[:, 1:4], second[:, 1:4]]), _count_differences)


def _count_differences(sums: Floats) -> dict[str, Floats]:
    before, after = counted_figures(sums[:, :3]), counted_figures(sums[:, 3:])
    return {name: after[name] - before[name] for name in before}


def _paired_chances(first: Floats, second: Floats) -> dict[str, int]:
    """Images by whether each run had them wholly right."""
    before, after = first[:, 0] > 0, second[:, 0] > 0
    kinds = [~before & after, before & ~after, before & after, ~before & ~after]
    return {name: int(np.count_nonzero(one)) for name, one in zip(KINDS, kinds, strict=True)}


def _difference(baseline: TestRun, candidate: TestRun, name: str) -> float | None:
    before, after = baseline.metrics.get(name), candidate.metrics.get(name)
    return None if before is None or after is None else float(after - before)


def _metrics(baseline: TestRun, candidate: TestRun, intervals: dict[str, Interval]) -> list[dict[str, Any]]:
    names = [name for name in candidate.metrics if name in baseline.metrics]
    first = candidate.primary_metric_name
    return [
        {
            "name": name,
            "baseline": baseline.metrics[name],
            "candidate": candidate.metrics[name],
            "difference": _difference(baseline, candidate, name),
            "interval": intervals.get(name),
            "lower_is_better": name in FALLING or name.startswith(("errors_", "false_")),
        }
        for name in sorted(names, key=lambda name: (name != first, name))
    ]


def _per_class(baseline: TestRun, candidate: TestRun, found: ObjectChanges) -> list[dict[str, Any]]:
    """Of the candidate's classes; where the baseline has no class of that name, its figures are not known."""
    before = {one["name"]: one for one in baseline.per_class_metrics}
    counted = found.counts_by_category(len(candidate.class_names)).tolist()
    figure = candidate.primary_metric_name if candidate.task_type != "classification" else "f1"
    told = []
    for place, one in enumerate(candidate.per_class_metrics):
        old, new = before.get(one["name"], {}).get(figure), one.get(figure)
        told.append(
            {
                "name": one["name"],
                "metric": figure,
                "baseline": old,
                "candidate": new,
                "difference": None if old is None or new is None else new - old,
                **dict(zip(KINDS, counted[place], strict=True)),
            }
        )
    return told


def _verdict(metrics: list[dict[str, Any]], found: ObjectChanges) -> str:
    """By the candidate's first figure, else COCO's, which both have; where it has no interval by F1, else nothing is decided."""
    first = metrics[0]
    judged = first if first["interval"] else next((one for one in metrics if one["name"] == "f1" and one["interval"]), first)
    counts = found.counts()
    objects = f"{counts['fixed']:,} objects fixed, {counts['broken']:,} broken"
    if judged["difference"] is None:
        return f"{objects}; {judged['name']} is not defined in both: not decided"
    low, high = judged["interval"] or (-1.0, 1.0)
    word = "better" if low > 0 else "worse" if high < 0 else "not decisive"
    between = f" (95 %: {100 * low:+.1f} to {100 * high:+.1f})" if judged["interval"] else ""
    return f"{word}: {judged['name']} {100 * judged['difference']:+.1f} points{between}; {objects}"
