"""What a dataset holds, in charts and tables."""

from typing import Any

from chartjs.views.lines import BaseLineChartView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from datasets.access import get_dataset
from predictions.charts import MOST_CLASSES, Bar, box_sizes, class_distribution


@require_safe
def statistics(request: HttpRequest, pk: int) -> HttpResponse:
    dataset = get_dataset(request.user, pk)
    classes, sizes = class_distribution(dataset), box_sizes(dataset)
    context = {
        "dataset": dataset,
        "classes": classes,
        "sizes": sizes if any(bar.count for bar in sizes) else [],
        "charted": MOST_CLASSES,
    }
    return render(request, "predictions/statistics.html", context)


class BarChart(BaseLineChartView):
    """Data for Chart.js from a list of bars; colours are the page's own."""

    title = ""

    def bars(self) -> list[Bar]:
        raise NotImplementedError

    def get_labels(self) -> list[str]:
        return [bar.label for bar in self.found]

    def get_providers(self) -> list[str]:
        return [self.title]

    def get_data(self) -> list[list[int]]:
        return [[bar.count for bar in self.found]]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        self.dataset = get_dataset(self.request.user, self.kwargs["pk"])
        self.found = self.bars()
        return super().get_context_data(**kwargs)


class ClassChart(BarChart):
    title = "Annotations"

    def bars(self) -> list[Bar]:
        return class_distribution(self.dataset)[:MOST_CLASSES]


class SizeChart(BarChart):
    title = "Boxes"

    def bars(self) -> list[Bar]:
        return box_sizes(self.dataset)


class_chart = require_safe(ClassChart.as_view())
size_chart = require_safe(SizeChart.as_view())
