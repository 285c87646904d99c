"""Data of a test run's charts, for Chart.js through django-chartjs: points {x, y}, a line each."""

from typing import Any

from chartjs.views.lines import BaseLineChartView
from django.http import Http404
from django.views.decorators.http import require_safe

from datasets.models import JobStatus
from evaluation.access import get_test_run
from evaluation.metrics.match_table import curve, curves, thinned
from evaluation.models import TestRun
from evaluation.stored_matches import tables
from evaluation.test_figures import FIGURES
from evaluation.test_listing import by_images, images_in_words, tests_of
from predictions import training

Line = tuple[str, list[dict[str, Any]]]


class TestChart(BaseLineChartView):
    """Lines of a test run; `x` and `y` name the axes, `none` says why there is nothing to draw."""

    __test__ = False
    x = y = none = ""

    def lines(self, test_run: TestRun) -> list[Line]:
        raise NotImplementedError

    def get_labels(self) -> list[str]:
        return []

    def get_providers(self) -> list[str]:
        return [name for name, _ in self.found]

    def get_data(self) -> list[list[dict[str, Any]]]:
        return [points for _, points in self.found]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        test_run = get_test_run(self.request.user, self.kwargs["pk"])
        if test_run.status != JobStatus.COMPLETED:
            raise Http404
        self.found = self.lines(test_run)
        return {**super().get_context_data(**kwargs), "x": self.x, "y": self.y, "none": self.none, "bounded": True}

    def category(self, test_run: TestRun) -> int | None:
        """The class that the address asks for."""
        asked = self.request.GET.get("category", "")
        return int(asked) if asked.isascii() and asked.isdecimal() and int(asked) < len(test_run.class_names) else None


class PrecisionRecallChart(TestChart):
    x, y, none = "recall", "precision", "Not defined: there is no object of this class here."

    def lines(self, test_run: TestRun) -> list[Line]:
        curves, category = test_run.curves, self.category(test_run)
        found: list[Line] = []
        if curves.get("precision_recall"):
            found.append(("All classes", _points(_recalls(len(curves["precision_recall"])), curves["precision_recall"])))
        of_class = curves.get("precision_recall_by_class", {}).get(str(category))
        if category is not None:
            found = [(test_run.class_names[category], _points(_recalls(len(of_class)), of_class)), *found] if of_class else []
        return found


class ConfidenceChart(TestChart):
    x, y, none = "confidence", "share", "Not defined: there is no object or no prediction of this class."

    def lines(self, test_run: TestRun) -> list[Line]:
        category = self.category(test_run)
        values = test_run.curves.get("confidence")
        if category is not None:
            values = thinned(curves(tables.get(test_run), len(test_run.class_names))[category])
        elif values is None:
            values = thinned(curve(tables.get(test_run)))
        names = {"precision": "Precision", "recall": "Recall", "f1": "F1"}
        return [(label, _points(values["confidence"], values[name])) for name, label in names.items()]


class ReliabilityChart(TestChart):
    x, y, none = "confidence", "accuracy", "Not defined: nothing was predicted."

    def lines(self, test_run: TestRun) -> list[Line]:
        bins = [one for one in test_run.curves.get("calibration", []) if one["count"]]
        points = [{"x": one["confidence"], "y": one["accuracy"], "count": one["count"]} for one in bins]
        return [("This run", points), ("Perfectly calibrated", [{"x": 0, "y": 0}, {"x": 1, "y": 1}])] if bins else []


class TrendChart(BaseLineChartView):
    """A figure of a training's tests over epochs, a line for each split that was tested on, with 95 % intervals."""

    def get_labels(self) -> list[str]:
        return []

    def get_providers(self) -> list[str]:
        return [images_in_words(tests[0]) for tests in self.found]

    def get_data(self) -> list[list[dict[str, Any]]]:
        return [[self._point(one) for one in tests] for tests in self.found]

    def _point(self, one: Any) -> dict[str, Any]:
        low, high = one.intervals.get(self.metric) or (None, None)
        return {"x": one.epoch, "y": one.metrics.get(self.metric), "low": low, "high": high, "label": str(one)}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        job = training.get_job(self.request.user, self.kwargs["pk"])
        tests = [one for one in tests_of(job) if one.epoch is not None]
        self.metric = self.request.GET.get("metric") or (tests[0].primary_metric_name if tests else "AP")
        self.found = list(by_images(tests).values())
        figure = FIGURES.get(self.metric)
        return {
            **super().get_context_data(**kwargs),
            "x": "epoch",
            "y": figure.label if figure else self.metric,
            "bounded": False,
            "none": "No test of this training knows its epoch.",
        }


def _recalls(count: int) -> list[float]:
    return [place / max(1, count - 1) for place in range(count)]


def _points(across: list[float], up: list[float]) -> list[dict[str, Any]]:
    return [{"x": x, "y": y} for x, y in zip(across, up, strict=True)]


precision_recall = require_safe(PrecisionRecallChart.as_view())
confidence = require_safe(ConfidenceChart.as_view())
reliability = require_safe(ReliabilityChart.as_view())
trend = require_safe(TrendChart.as_view())
