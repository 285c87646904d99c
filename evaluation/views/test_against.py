"""Two test runs held against each other, and the tests of one training over its epochs."""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import get_project
from datasets.models import JobStatus
from evaluation.access import WITH
from evaluation.forms import run_ids
from evaluation.models import TestRun
from evaluation.operating_points import point_at
from evaluation.test_against import CHANGES, class_sides, decision_of, images_differ, object_pairs, sides_of
from evaluation.test_comparison import NotComparable, compare, object_changes
from evaluation.test_figures import FIGURES
from evaluation.test_forms import PointForm
from evaluation.test_listing import listed, matching, metrics_of, side_by_side, tests_of
from evaluation.views.test_runs import is_fragment, varied
from predictions import training
from predictions.views.training.jobs import frame

PAIRS, CHOICES = 24, 12


@require_safe
def against(request: HttpRequest, slug: str) -> HttpResponse:
    """`a` and `b` in the address are test runs; what is missing is chosen from a list."""
    project = get_project(request.user, slug)
    before, after = (_completed(request, name) for name in ("a", "b"))
    context: dict[str, Any] = {"project": project, "before": before, "after": after, "changes": CHANGES, "figures": FIGURES}
    if before is None or after is None:
        context["choices"] = _choices(request, project, before or after)
        return varied(render(request, "tests/against.html", context))
    try:
        context |= _findings(request, before, after)
    except NotComparable as reason:
        context["reason"] = f"{reason} {reason.remedy}"
    template = "tests/against.html#objects" if is_fragment(request) else "tests/against.html"
    return varied(render(request, template, context))


def _completed(request: HttpRequest, name: str) -> TestRun | None:
    keys = run_ids(request.GET, name, 1)
    found = TestRun.objects.visible_to(request.user).select_related(*WITH)
    return found.filter(pk__in=keys, status=JobStatus.COMPLETED).first()


def _choices(request: HttpRequest, project: Any, chosen: TestRun | None) -> list[dict[str, Any]]:
    """Completed test runs, each with the query that adds it; of the same dataset where one is chosen."""
    found = matching(listed(project), request.GET.get("search", "")).filter(status=JobStatus.COMPLETED)
    if chosen:
        found = found.filter(dataset=chosen.dataset_id, task_type=chosen.task_type).exclude(pk=chosen.pk)
    missing = "b" if run_ids(request.GET, "a", 1) and chosen else "a"
    rows = []
    for one in found[:CHOICES]:
        query = request.GET.copy()
        query.pop("search", None)
        query[missing] = str(one.pk)
        rows.append({"test_run": one, "query": query.urlencode()})
    return rows


def _findings(request: HttpRequest, before: TestRun, after: TestRun) -> dict[str, Any]:
    confidence = PointForm(request.GET).asked()["confidence"]
    points = point_at(before, confidence), point_at(after, confidence)
    found = compare(before, after)
    objects = object_changes(before, after, confidence, confidence)
    counts, sides = objects.counts(), sides_of(before, after, found)
    change = request.GET.get("change", "")
    change = change if change in CHANGES else "broken" if counts["broken"] else "fixed"
    page = Paginator(objects.of(change), PAIRS).get_page(request.GET.get("page"))
    return {
        "decision": decision_of(sides, after.primary_metric_name),
        "sentence": found["verdict"],
        "differences": [*images_differ(before, after), *found["differences"]],
        "p_value": found["p_value"],
        "images": found["images"],
        "sides": sides,
        "counts": [(name, label, counts[name]) for name, label in CHANGES.items()],
        "change": change,
        "change_label": CHANGES[change],
        "page": page,
        "pairs": object_pairs(*points, objects, page.object_list),
        "classes": class_sides(found),
        "points": points,
        "api_url": f"/api/test-runs/compare/?baseline={before.pk}&candidate={after.pk}",
    }


@require_safe
def of_training(request: HttpRequest, pk: int) -> HttpResponse:
    """A training's tests: a trend over epochs, the list, and each state on its splits side by side."""
    job = training.get_job(request.user, pk)
    tests = list(tests_of(job))
    names = metrics_of(tests)
    metric = request.GET.get("metric", "")
    metric = metric if metric in names else next(iter(names), "")
    splits, rows = side_by_side(tests)
    context = frame(job, "tests") | {
        "tests": tests,
        "metric": FIGURES.get(metric),
        "metrics": [FIGURES[name] for name in names],
        "splits": splits,
        "rows": [{**row, "values": [cell and cell.metrics.get(metric) for cell in row["cells"]]} for row in rows],
        "api_url": f"/api/training/jobs/{job.job_id}/test-runs/",
    }
    return render(request, "tests/of_training.html", context)
