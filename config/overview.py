"""The parts of a project's overview: it joins what several apps know, so it stands above them."""

from typing import Any

from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts.access import get_project
from accounts.models import Project
from datasets.models import Dataset, DatasetImport
from datasets.models.imports import ImportJob
from evaluation.models import Alert
from evaluation.test_listing import listed
from predictions.models import PredictionImport, PredictionRun, TrainingJob, TrainingStatus

SHOWN = 6


@require_GET
def overview(request: HttpRequest, slug: str) -> HttpResponse:
    """The fragment of the overview page; it asks again by itself while work is running."""
    project = get_project(request.user, slug)
    datasets = Dataset.objects.filter(project=project)
    imports = _newest_imports(project)
    trainings = list(TrainingJob.objects.filter(project=project)[:SHOWN])
    tests = list(listed(project)[:SHOWN])
    context: dict[str, Any] = {
        "project": project,
        "totals": datasets.aggregate(
            datasets=Count("pk"),
            samples=Sum("sample_count", default=0),
            annotations=Sum("annotation_count", default=0),
            predictions=Sum("prediction_count", default=0),
        ),
        "datasets": datasets.order_by("-updated_at", "-pk")[:SHOWN],
        "runs": _runs(project)[:SHOWN],
        "imports": imports,
        "tests": tests,
        "trainings": trainings,
        "alerts": Alert.objects.unresolved().filter(rule__project=project).for_page()[:SHOWN],
        "is_working": any(job.is_active for job in [*imports, *tests]) or any(is_live(job) for job in trainings),
    }
    return render(request, "accounts/_overview.html", context)


def is_live(job: TrainingJob) -> bool:
    return job.status == TrainingStatus.RUNNING and not job.is_silent


def _runs(project: Project) -> "QuerySet[PredictionRun]":
    """Newest first, each with `before` and `before_name`: the run before it on the same images, to be held against."""
    completed = PredictionRun.objects.completed()
    earlier = completed.filter(dataset=OuterRef("dataset"), pk__lt=OuterRef("pk")).order_by("-pk")
    runs = completed.filter(dataset__project=project).select_related("dataset").order_by("-created_at", "-pk")
    return runs.annotate(before=Subquery(earlier.values("pk")[:1]), before_name=Subquery(earlier.values("name")[:1]))


def _newest_imports(project: Project) -> list[ImportJob]:
    """Of both kinds, newest first; what is under way or waits for somebody comes before what is over."""
    found: list[ImportJob] = []
    for table in (DatasetImport, PredictionImport):
        found += table.objects.filter(dataset__project=project).select_related("dataset").order_by("-pk")[:SHOWN]
    found.sort(key=lambda job: (job.finished_at is None, job.created_at), reverse=True)
    return found[:SHOWN]
