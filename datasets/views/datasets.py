"""Pages of datasets as wholes: the list, a new one, settings, deletion."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.access import get_project
from accounts.last_project import remember_project
from accounts.models import Project, Role
from datasets.access import get_dataset
from datasets.creating import create_dataset
from datasets.deleting import DatasetBusy, delete_dataset
from datasets.forms import DatasetFilterForm, DatasetForm, DatasetSettingsForm
from datasets.models import Dataset

PAGE_SIZE = 50
INVALID = 422
require_form = require_http_methods(["GET", "HEAD", "POST"])


@vary_on_headers("HX-Request")
@require_GET
def dataset_list(request: HttpRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug)
    form = DatasetFilterForm(request.GET)
    page = Paginator(_filtered(project, form), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "form": form,
        "page": page,
        "is_filtered": any(form.cleaned_data.values()) if form.is_valid() else False,
        "api_url": f"{reverse('dataset-list')}?project={project.slug}",
    }
    fragment = request.htmx and not request.htmx.history_restore_request
    response = render(request, f"datasets/list.html{'#dataset-table' if fragment else ''}", context)
    return remember_project(response, project.slug)


def _filtered(project: Project, form: DatasetFilterForm) -> "QuerySet[Dataset]":
    datasets = project.datasets.prefetch_related("splits").order_by("-updated_at", "-pk")
    wanted = form.cleaned_data if form.is_valid() else {}
    if search := wanted.get("search"):
        datasets = datasets.filter(name__icontains=search)
    if task_type := wanted.get("task_type"):
        datasets = datasets.filter(task_type=task_type)
    return datasets


@require_form
def dataset_new(request: HttpRequest, slug: str) -> HttpResponse:
    """Made empty; what goes in comes on the next page."""
    project = get_project(request.user, slug, Role.EDITOR)
    form = DatasetForm(request.POST or None)
    if form.is_valid():
        dataset = create_dataset(request.user, project, **form.cleaned_data)
        return redirect("datasets:import_new", dataset.pk)
    return render(request, "datasets/new.html", {"project": project, "form": form}, status=INVALID if form.errors else 200)


@require_form
def dataset_settings(request: HttpRequest, pk: int) -> HttpResponse:
    dataset = get_dataset(request.user, pk, Role.EDITOR)
    form = DatasetSettingsForm(request.POST or None, instance=dataset)
    if form.is_valid():
        form.save()
        messages.success(request, "Saved.")
        return redirect("datasets:settings", dataset.pk)
    if form.errors:
        dataset.refresh_from_db(fields=["name", "description"])  # the heading shows what is stored
    context = {"dataset": dataset, "form": form, "api_url": reverse("dataset-detail", args=[dataset.pk])}
    return render(request, "datasets/settings.html", context, status=INVALID if form.errors else 200)


@require_POST
def dataset_delete(request: HttpRequest, pk: int) -> HttpResponse:
    dataset = get_dataset(request.user, pk, Role.EDITOR)
    try:
        delete_dataset(dataset)
    except DatasetBusy as refusal:
        messages.error(request, str(refusal))
        return redirect("datasets:settings", dataset.pk)
    messages.success(request, f"The dataset {dataset.name} is deleted.")
    return redirect("datasets:list", dataset.project.slug)
