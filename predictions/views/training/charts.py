"""Data of the trend charts, for Chart.js through django-chartjs, and as a table."""

import csv
from typing import Any

from chartjs.views.lines import BaseLineChartView
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from predictions import texts, training, trends
from predictions.answers import LONGEST_KEY
from predictions.models import TrainingJob
from predictions.scoring import DEFINITIONS, SCORE_NAMES
from predictions.totals import Moments
from predictions.trends import Point

MOST_JOBS = 6


class TrendChart(BaseLineChartView):
    """One score of a job, and of those it is compared with: a line each, with its 95 % interval and its range.

    Points are {x, y, low, high, least, greatest, epoch, step, count}; y is null where the score is not defined.
    """

    def get_labels(self) -> list[str]:
        return []

    def get_providers(self) -> list[str]:
        return [job.name for job in self.jobs]

    def get_data(self) -> list[list[dict[str, Any]]]:
        axis = "step" if self.request.GET.get("axis") == "step" else "epoch"
        return [
            [as_point(point, self.metric) | {"x": getattr(point, axis)} for point in trends.points(job)] for job in self.jobs
        ]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        job = training.get_job(self.request.user, self.kwargs["pk"])
        self.metric = self.request.GET.get("metric", "char_error_rate")
        others = [pk for pk in self.request.GET.getlist("compare") if pk.isdecimal()][: MOST_JOBS - 1]
        compared = TrainingJob.objects.visible_to(self.request.user).filter(pk__in=others).exclude(pk=job.pk).order_by("pk")
        self.jobs = [job, *compared]
        return {**super().get_context_data(**kwargs), **about(self.metric)}


def about(metric: str) -> dict[str, Any]:
    """What a chart says of its score."""
    definition = DEFINITIONS.get(metric) or trends.RATES.get(metric)
    lacks = "validators that could tell" if metric in trends.RATES else "references to score them against"
    return {
        "label": definition.label if definition else metric.removeprefix("custom:"),
        "meaning": definition.meaning if definition else "",
        "lower_is_better": bool(definition and definition.lower_is_better),
        "bounded": is_share(metric),
        "undefined": f"Not defined: these predictions have no {lacks}.",
    }


def is_share(metric: str) -> bool:
    """Whether it lies between 0 and 1."""
    return metric in trends.RATES or (metric in SCORE_NAMES and metric not in ("length_ratio", "chrf"))


def as_point(point: Point, metric: str) -> dict[str, Any]:
    where = {"epoch": point.epoch, "step": point.step}
    totals = point.totals
    if metric == "bleu":
        return {**where, "y": totals.corpus_bleu, "count": totals.rows}
    if metric == "pass_rate":
        low, high = totals.pass_interval or (None, None)
        return {**where, "y": totals.pass_rate, "count": totals.validated, "low": low, "high": high}
    if metric == "weighted_pass_rate":
        return {**where, "y": totals.weighted_pass_rate, "count": totals.validated}
    moments = totals.scores.get(metric.removeprefix("custom:"), Moments())
    low, high = moments.interval or (None, None)
    if is_share(metric) and low is not None and high is not None:
        # The normal approximation knows no bounds; the score does.
        low, high = max(0.0, low), min(1.0, high)
    bounds = {"low": low, "high": high}
    if moments.count:
        bounds |= {"least": moments.least, "greatest": moments.greatest}
    return {**where, "y": moments.mean, "count": moments.count, **bounds}


class ItemChart(BaseLineChartView):
    """One item's scores across the epochs."""

    def get_labels(self) -> list[str]:
        return []

    def get_providers(self) -> list[str]:
        return [DEFINITIONS[name].label for name in self.names]

    def get_data(self) -> list[list[dict[str, Any]]]:
        return [
            [{"x": row.run.epoch, "y": getattr(row, name), "epoch": row.run.epoch, "step": row.run.step} for row in self.rows]
            for name in self.names
        ]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        job = training.get_job(self.request.user, self.kwargs["pk"])
        self.names = ["char_error_rate", "word_overlap"]
        self.rows = texts.of_item(job, self.kwargs["key"][: LONGEST_KEY + 12])
        return {**super().get_context_data(**kwargs), "label": "Scores of this item", "bounded": True}


trend_chart = require_safe(TrendChart.as_view())
item_chart = require_safe(ItemChart.as_view())


@require_safe
def trends_csv(request: HttpRequest, pk: int) -> HttpResponse:
    """The trends as a table, one row per epoch and step."""
    job = training.get_job(request.user, pk)
    rows = [trends.as_row(point) for point in trends.points(job)]
    custom = sorted({name for row in rows for name in row["custom_scores"]})
    response = HttpResponse(content_type="text/csv")
    response["Content-Disposition"] = f'attachment; filename="trends-{job.pk}.csv"'
    writer = csv.writer(response)
    plain = [name for name in rows[0] if name != "custom_scores"] if rows else ["epoch", "step", "sample_count"]
    writer.writerow([*plain, *(_harmless(name) for name in custom)])
    for row in rows:
        writer.writerow([*(row[name] for name in plain), *(row["custom_scores"].get(name) for name in custom)])
    return response


def _harmless(name: str) -> str:
    """A spreadsheet runs cells that begin so."""
    return f"'{name}" if name[:1] in "=+-@\t\r" else name
