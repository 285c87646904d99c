"""Pages of imports of ground truth: what was imported, a new one, the doctor's report, progress and the end."""

from django.core.paginator import Paginator
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.models import Role
from datasets import jobs
from datasets.access import get_dataset, get_import
from datasets.import_forms import DatasetImportForm
from datasets.importers.problems import ImportRefused
from datasets.models import DatasetImport
from datasets.server_folders import list_folder
from datasets.views.job_pages import INVALID, act_on_job, is_fragment, rejects_response, show_job

PAGE_SIZE = 30
require_form = require_http_methods(["GET", "HEAD", "POST"])


@vary_on_headers("HX-Request")
@require_GET
def imports(request: HttpRequest, pk: int) -> HttpResponse:
    """All imports of truth, newest first; imports of predictions come as a panel of their own."""
    dataset = get_dataset(request.user, pk)
    found = DatasetImport.objects.filter(dataset=dataset).select_related("created_by").defer("report")
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "dataset": dataset,
        "page": page,
        "is_working": any(job.is_active for job in page),
        "panel_url": request.get_full_path(),
        "panel_id": "dataset-imports",
        "api_url": reverse("dataset-import-list", args=[dataset.pk]),
    }
    return render(request, "datasets/imports/_table.html" if is_fragment(request) else "datasets/imports/list.html", context)


@require_form
def import_new(request: HttpRequest, pk: int) -> HttpResponse:
    """The source. Nothing is stored: the doctor looks first."""
    dataset = get_dataset(request.user, pk, Role.EDITOR)
    sent = (request.POST, request.FILES) if request.method == "POST" else (None, None)
    form = DatasetImportForm(request.user, dataset, *sent, initial=request.GET.dict())
    if form.is_valid() and (job := _start(form)):
        return redirect(job)
    context = {
        "dataset": dataset,
        "form": form,
        "splits": dataset.splits.all(),
        "folders_url": reverse("datasets:import_folders", args=[dataset.pk]),
        "api_url": reverse("dataset-import-list", args=[dataset.pk]),
    }
    return render(request, "datasets/imports/new.html", context, status=INVALID if form.errors else 200)


def _start(form: DatasetImportForm) -> DatasetImport | None:
    wanted = form.cleaned_data
    try:
        return jobs.start_dataset_import(
            form.user, form.dataset, split=wanted["split"], importer=wanted["importer"], **wanted["source"], **wanted["images"]
        )
    except ImportRefused as refusal:
        form.add_error(None, refusal.in_words())
        return None


@require_GET
def import_folders(request: HttpRequest, pk: int) -> HttpResponse:
    """A folder of the server, to choose a source from. `field` names the input that takes the choice."""
    dataset = get_dataset(request.user, pk, Role.EDITOR)
    context = {
        "folders_url": reverse("datasets:import_folders", args=[dataset.pk]),
        "field": "images_path" if request.GET.get("field") == "images_path" else "path",
    }
    try:
        context["listing"] = list_folder(request.GET.get("at", ""))
    except ImportRefused as refusal:
        context["refusal"] = refusal
    return render(request, "datasets/imports/_folders.html", context)


@vary_on_headers("HX-Request")
@require_GET
def import_detail(request: HttpRequest, pk: int) -> HttpResponse:
    return show_job(request, get_import(request.user, DatasetImport, pk))


@require_POST
def import_reexamine(request: HttpRequest, pk: int) -> HttpResponse:
    job = get_import(request.user, DatasetImport, pk, Role.EDITOR)
    fixes = request.POST.getlist("fixes")
    return act_on_job(request, job, lambda: jobs.reexamine(job, fixes=fixes))


@require_POST
def import_confirm(request: HttpRequest, pk: int) -> HttpResponse:
    job = get_import(request.user, DatasetImport, pk, Role.EDITOR)
    replace = "replace" in request.POST
    return act_on_job(request, job, lambda: jobs.confirm_import(job, fixes=job.fixes, replace=replace))


@require_POST
def import_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    job = get_import(request.user, DatasetImport, pk, Role.EDITOR)
    return act_on_job(request, job, job.cancel)


@require_POST
def import_retry(request: HttpRequest, pk: int) -> HttpResponse:
    job = get_import(request.user, DatasetImport, pk, Role.EDITOR)
    return act_on_job(request, job, lambda: jobs.retry(job))


@require_GET
def import_rejects(request: HttpRequest, pk: int) -> FileResponse:
    return rejects_response(get_import(request.user, DatasetImport, pk))
