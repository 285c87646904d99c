"""Test runs: the list, and the pages of one. What hangs on the confidence is one fragment per page, which the slider asks for."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_POST, require_safe

from accounts.access import get_project
from accounts.models import Role
from datasets.access import get_dataset
from datasets.models import JobStatus
from evaluation import galleries, image_results, test_jobs
from evaluation import test_runs as testing
from evaluation.access import get_test_run
from evaluation.galleries import ERRORS, OUTCOMES
from evaluation.models import TestRun
from evaluation.operating_points import ORDERS, Point, matrix_of, point_at, worst_confusions
from evaluation.reconciling import NotReconcilable
from evaluation.test_figures import FIGURES, headlines, others, slices_worst_first
from evaluation.test_forms import ImagesForm, PointForm
from evaluation.test_images import image_rows
from evaluation.test_listing import listed, matching, newest_of_runs
from evaluation.test_protocol import preprocessing_card, rules_in_words

LISTED, CROPS, PREVIEW, IMAGES = 30, 48, 12, 24


# --- The list ------------------------------------------------------------------------------------------------------------------
@require_safe
def test_runs(request: HttpRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug)
    status, search, dataset = (request.GET.get(name, "") for name in ("status", "search", "dataset"))
    found = matching(listed(project), search)
    if status in JobStatus.values:
        found = found.filter(status=status)
    if dataset.isdecimal():
        found = found.filter(dataset=dataset)
    context = {
        "project": project,
        "page": Paginator(found, LISTED).get_page(request.GET.get("page")),
        "is_live": TestRun.objects.filter(project=project).active().exists(),
        "is_filtered": bool(status or search or dataset),
        "status": status,
        "search": search,
        "dataset_pk": dataset,
        "datasets": project.datasets.all(),
        "statuses": [choice for choice in JobStatus.choices if choice[0] != JobStatus.DRAFT],
        "figures": FIGURES,
        "api_url": "/api/inference/test-runs/",
    }
    template = "tests/list.html#test-table" if is_fragment(request) else "tests/list.html"
    return varied(render(request, template, context))


# --- One ------------------------------------------------------------------------------------------------------------------------
@require_safe
def figures_of_runs(request: HttpRequest, pk: int) -> HttpResponse:
    """What the list of a dataset's runs says of their tests: a fragment whose parts go to the rows of their runs."""
    dataset = get_dataset(request.user, pk)
    return render(request, "tests/_run_figures.html", {"tests": newest_of_runs(dataset)})


@require_safe
def overview(request: HttpRequest, pk: int) -> HttpResponse:
    test_run = get_test_run(request.user, pk)
    if test_run.status != JobStatus.COMPLETED:
        return _unfinished(request, test_run)
    point = _point(request, test_run)
    return _at_point(
        request,
        point,
        "overview",
        {
            "headlines": headlines(test_run),
            "others": others(test_run),
            "errors": error_rows(point),
            "confusions": worst_confusions(point),
            "gallery": _gallery(request, point, PREVIEW),
        },
    )


@require_safe
def classes(request: HttpRequest, pk: int) -> HttpResponse:
    test_run = _completed(request, pk)
    if test_run is None:
        return redirect("tests:run", pk)
    point = _point(request, test_run)
    rows = list(zip(point.classes(), test_run.per_class_metrics, strict=True))
    # A class without objects comes last: nothing of it is defined.
    rows.sort(key=lambda row: (row[0].objects == 0, row[0].f1 if row[0].f1 is not None else -1.0))
    return _at_point(request, point, "classes", {"rows": rows, "is_labels": test_run.task_type == "classification"})


@require_safe
def curves(request: HttpRequest, pk: int) -> HttpResponse:
    test_run = _completed(request, pk)
    if test_run is None:
        return redirect("tests:run", pk)
    return _at_point(request, _point(request, test_run), "curves", {"is_labels": test_run.task_type == "classification"})


@require_safe
def confusion(request: HttpRequest, pk: int) -> HttpResponse:
    test_run = _completed(request, pk)
    if test_run is None:
        return redirect("tests:run", pk)
    point, order = _point(request, test_run), PointForm(request.GET).asked()["order"]
    found = {"matrix": matrix_of(point, order), "order": order, "orders": ORDERS}
    return _at_point(request, point, "confusion", found)


@require_safe
def errors(request: HttpRequest, pk: int) -> HttpResponse:
    test_run = _completed(request, pk)
    if test_run is None:
        return redirect("tests:run", pk)
    point = _point(request, test_run)
    return _at_point(request, point, "errors", {"errors": error_rows(point), "gallery": _gallery(request, point, CROPS)})


@require_safe
def objects(request: HttpRequest, pk: int) -> HttpResponse:
    """The gallery of what the address asks for: an outcome, a cell of the confusion matrix, a kind of error, a class."""
    test_run = _completed(request, pk)
    if test_run is None:
        return redirect("tests:run", pk)
    point = _point(request, test_run)
    found = {"gallery": _gallery(request, point, CROPS), "outcomes": OUTCOMES, "errors": error_rows(point)}
    return _at_point(request, point, "objects", found)


@require_safe
def images(request: HttpRequest, pk: int) -> HttpResponse:
    test_run = _completed(request, pk)
    if test_run is None:
        return redirect("tests:run", pk)
    form = ImagesForm(request.GET, test_run)
    found = image_results.chosen(test_run, form.wanted()).select_related("sample")
    page = Paginator(found, IMAGES).get_page(request.GET.get("page"))
    context = _context(test_run, "images") | {
        "form": form,
        "is_filtered": any(request.GET.get(name) for name in form.fields if name != "sort"),
        "page": page,
        "rows": image_rows(test_run, page.object_list),
    }
    return varied(render(request, "tests/images.html#images" if is_fragment(request) else "tests/images.html", context))


@require_safe
def slices(request: HttpRequest, pk: int) -> HttpResponse:
    test_run = _completed(request, pk)
    if test_run is None:
        return redirect("tests:run", pk)
    groups = list(dict.fromkeys(one["group"] for one in test_run.slices))
    group = request.GET.get("group", "")
    context = _context(test_run, "slices") | {
        "groups": groups,
        "group": group if group in groups else "",
        "rows": slices_worst_first(test_run, group if group in groups else ""),
        "is_labels": test_run.task_type == "classification",
        "whole": test_run.primary_metric_value,
    }
    return render(request, "tests/slices.html", context)


@require_safe
def protocol(request: HttpRequest, pk: int) -> HttpResponse:
    test_run = _completed(request, pk)
    if test_run is None:
        return redirect("tests:run", pk)
    context = _context(test_run, "protocol") | {
        "rules": rules_in_words(test_run),
        "preprocessing": preprocessing_card(test_run),
    }
    return render(request, "tests/protocol.html", context)


@require_safe
def reconciliation(request: HttpRequest, pk: int) -> HttpResponse:
    """The fragment of the same predictions under other protocols: made when first asked for, by a worker where it takes long."""
    test_run = get_test_run(request.user, pk)
    try:
        found = test_jobs.reconciliation_of(test_run)
    except NotReconcilable as reason:
        return render(request, "tests/_reconciliation.html", {"test_run": test_run, "reason": str(reason)})
    context = {"test_run": test_run, "found": list(found["protocols"].values()) if found else None}
    return render(request, "tests/_reconciliation.html", context)


# --- Its work -------------------------------------------------------------------------------------------------------------------
@require_safe
def progress(request: HttpRequest, pk: int) -> HttpResponse:
    """How far it is; when it has ended, the page around is asked for again."""
    test_run = get_test_run(request.user, pk)
    response = render(request, "tests/_progress.html", {"test_run": test_run, "job": test_run, "project": test_run.project})
    if not test_run.is_active:
        response["HX-Refresh"] = "true"
    return response


@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    return _acted(request, pk, test_jobs.cancel)


@require_POST
def retry(request: HttpRequest, pk: int) -> HttpResponse:
    return _acted(request, pk, test_jobs.retry)


def _acted(request: HttpRequest, pk: int, action: Callable[[TestRun], None]) -> HttpResponse:
    """Back to the page, which tells how it is then."""
    test_run = get_test_run(request.user, pk, Role.EDITOR)
    try:
        action(test_run)
    except testing.TestConflict as conflict:
        messages.error(request, str(conflict))
    return redirect("tests:run", pk)


@require_POST
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """The predictions stay."""
    test_run = get_test_run(request.user, pk, Role.EDITOR)
    name, slug = str(test_run), test_run.project.slug
    testing.delete(test_run)
    messages.success(request, f"{name} is deleted; its predictions stay.")
    return redirect("tests:list", slug)


# --- What they share --------------------------------------------------------------------------------------------------------------
def _completed(request: HttpRequest, pk: int) -> TestRun | None:
    test_run = get_test_run(request.user, pk)
    return test_run if test_run.status == JobStatus.COMPLETED else None


def _unfinished(request: HttpRequest, test_run: TestRun) -> HttpResponse:
    return render(request, "tests/unfinished.html", _context(test_run, "overview") | {"job": test_run})


def _context(test_run: TestRun, tab: str) -> dict[str, Any]:
    return {
        "project": test_run.project,
        "test_run": test_run,
        "tab": tab,
        "figures": FIGURES,
        "api_url": f"/api/inference/test-runs/{test_run.pk}/",
    }


def _point(request: HttpRequest, test_run: TestRun) -> Point:
    return point_at(test_run, PointForm(request.GET).asked()["confidence"])


def _at_point(request: HttpRequest, point: Point, tab: str, found: dict[str, Any]) -> HttpResponse:
    """The page; or for the slider what hangs on the confidence alone."""
    context = _context(point.test_run, tab) | {"point": point, "total": point.total} | found
    if not is_fragment(request):
        return varied(render(request, f"tests/{tab}.html", context))
    parts = ("tests/_figures.html", f"tests/{tab}.html#at-confidence")
    return varied(HttpResponse("".join(render_to_string(part, context, request) for part in parts)))


def error_rows(point: Point) -> list[dict[str, Any]]:
    """The kinds of errors with their counts and the share of the largest, in TIDE's order."""
    counts = point.errors()
    most = max(1, *counts.values())
    return [
        {"name": name, "label": label, "meaning": meaning, "count": counts[kind], "level": round(20 * counts[kind] / most)}
        for kind, (name, label, meaning) in ERRORS.items()
        if counts[kind] or point.test_run.task_type != "classification"
    ]


def _gallery(request: HttpRequest, point: Point, size: int) -> dict[str, Any]:
    """A page of crops of what the address asks for, and how many there are."""
    choice = PointForm(request.GET).choice(point.class_count)
    pairs = galleries.choose(point.test_run, choice, point.confidence)
    page = Paginator(range(len(pairs)), size).get_page(request.GET.get("page"))
    start = max(0, page.start_index() - 1)
    shown = galleries.crops(point.test_run, point.table, pairs.part(start, size))
    names = [*point.test_run.class_names, "background"]
    return {
        "choice": choice,
        "in_words": _in_words(choice, names),
        "page": page,
        "count": len(pairs),
        "crops": shown,
    }


def _in_words(choice: galleries.Choice, names: list[str]) -> str:
    if choice.true is not None and choice.predicted is not None:
        true, taken = names[choice.true], names[choice.predicted]
        if choice.true == choice.predicted:
            return f"{true}, found"
        if choice.predicted == len(names) - 1:
            return f"{true}, missed"
        if choice.true == len(names) - 1:
            return f"{taken}, where there is none"
        return f"{true}, taken for {taken}"
    words = OUTCOMES[choice.outcome or "wrong"]
    if choice.error:
        words = next(label for name, label, _ in ERRORS.values() if name == choice.error)
    return words if choice.category is None else f"{words} of {names[choice.category]}"


def is_fragment(request: HttpRequest) -> bool:
    return bool(request.htmx) and not request.htmx.history_restore_request


def varied(response: HttpResponse) -> HttpResponse:
    patch_vary_headers(response, ["HX-Request"])
    return response
