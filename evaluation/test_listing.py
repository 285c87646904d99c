"""Test runs in lists: what a row needs, which fit the words, and those of one training in order of its epochs."""

from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce

from accounts.models import Project
from datasets.models import Dataset, JobStatus
from evaluation.models import TestRun
from evaluation.test_figures import FIGURES
from predictions.models import PredictionRun, TrainingJob

# What no list shows and what may be large.
HEAVY = ["replicates", "per_class_metrics", "confusion_matrix", "curves", "slices", "reconciliation", "report"]


def listed(project: Project) -> "QuerySet[TestRun]":
    """With all that a row says, in one query."""
    found: QuerySet[TestRun] = TestRun.objects.filter(project=project)
    return found.select_related("dataset", "split", "prediction_run", "checkpoint", "training_job", "created_by").defer(*HEAVY)


def matching(found: "QuerySet[TestRun]", words: str) -> "QuerySet[TestRun]":
    """Every word occurs in the name of the test run, its run, its training or its dataset."""
    for word in words[:120].split():
        names = ("name", "prediction_run__name", "training_job__name", "checkpoint__name", "dataset__name")
        anywhere = Q()
        for name in names:
            anywhere |= Q(**{f"{name}__icontains": word})
        found = found.filter(anywhere)
    return found


def newest_of_runs(dataset: Dataset) -> "QuerySet[TestRun]":
    """Of each prediction run of the dataset its newest completed test."""
    found = listed(dataset.project).filter(dataset=dataset, status=JobStatus.COMPLETED, prediction_run__isnull=False)
    return found.order_by("prediction_run_id", "-pk").distinct("prediction_run_id")


def comparable_tests(baseline: PredictionRun, candidate: PredictionRun) -> tuple[int, int] | None:
    """The newest completed tests of two runs that can be held against each other, object by object."""
    completed = TestRun.objects.filter(status=JobStatus.COMPLETED, prediction_run__in=[baseline.pk, candidate.pk])
    alike: dict[tuple[Any, ...], dict[int, int]] = {}
    for pk, run, *kind in completed.order_by("-pk").values_list("pk", "prediction_run", "dataset", "split", "task_type"):
        alike.setdefault(tuple(kind), {}).setdefault(run, pk)
    both = (found for found in alike.values() if baseline.pk in found and candidate.pk in found)
    return next(((found[baseline.pk], found[candidate.pk]) for found in both), None)


def tests_of(job: TrainingJob) -> "QuerySet[TestRun]":
    """Completed ones in order of training, each with the `epoch` of what was tested."""
    found = listed(job.project).filter(training_job=job, status=JobStatus.COMPLETED)
    return found.annotate(epoch=Coalesce("checkpoint__epoch", "prediction_run__epoch")).order_by("epoch", "pk")


def by_images(test_runs: list[TestRun]) -> dict[tuple[int, int | None], list[TestRun]]:
    """What can be held against each other: by dataset and split."""
    found: dict[tuple[int, int | None], list[TestRun]] = {}
    for test_run in test_runs:
        found.setdefault((test_run.dataset_id, test_run.split_id), []).append(test_run)
    return found


def images_in_words(test_run: TestRun) -> str:
    return f"{test_run.dataset} / {test_run.split}" if test_run.split else str(test_run.dataset)


def side_by_side(test_runs: list[Any]) -> tuple[list[str], list[dict[str, Any]]]:
    """The splits, and of each model state its newest test on each: {name, epoch, cells}; only states that were tested on several."""
    splits = sorted({images_in_words(one) for one in test_runs})
    states: dict[Any, dict[str, TestRun]] = {}
    for one in test_runs:
        state = (
            ("checkpoint", one.checkpoint_id)
            if one.checkpoint_id
            else ("epoch", one.epoch)
            if one.epoch is not None
            else ("run", one.prediction_run_id)
        )
        states.setdefault(state, {})[images_in_words(one)] = one
    rows = [
        {"state": next(iter(found.values())), "cells": [found.get(split) for split in splits]}
        for found in states.values()
        if len(found) > 1
    ]
    return splits, rows


def metrics_of(test_runs: list[TestRun]) -> list[str]:
    """Figures that all of them may have, the primary one first."""
    names = {name for one in test_runs for name in one.metrics if name in FIGURES}
    first = test_runs[0].primary_metric_name if test_runs else ""
    return sorted(names, key=lambda name: (name != first, list(FIGURES).index(name)))
