"""Pages of imports of predictions: a results file, the doctor's report, progress and the end."""

from typing import Any

from django.core.paginator import Paginator
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.models import Role
from datasets.access import get_dataset, get_import
from datasets.importers.problems import ImportRefused
from datasets.models import Dataset
from datasets.views.job_pages import INVALID, act_on_job, rejects_response, show_job
from predictions import jobs
from predictions.import_forms import PredictionImportForm
from predictions.models import PredictionImport, PredictionRun

PAGE_SIZE = 30
require_form = require_http_methods(["GET", "HEAD", "POST"])


@require_GET
def imports(request: HttpRequest, pk: int) -> HttpResponse:
    """The panel of the dataset's tab Imports."""
    dataset = get_dataset(request.user, pk)
    found = PredictionImport.objects.filter(dataset=dataset).select_related("created_by", "run").defer("report")
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "dataset": dataset,
        "page": page,
        "is_working": any(job.is_active for job in page),
        "panel_url": request.get_full_path(),
        "panel_id": "prediction-imports",
        "is_predictions": True,
    }
    return render(request, "datasets/imports/_table.html", context)


@require_form
def import_new(request: HttpRequest, pk: int) -> HttpResponse:
    """The results file and the run's name. Nothing is stored: the doctor looks first."""
    dataset = get_dataset(request.user, pk, Role.EDITOR)
    sent = (request.POST, request.FILES) if request.method == "POST" else (None, None)
    form = PredictionImportForm(request.user, dataset, *sent, initial=request.GET.dict())
    if form.is_valid() and (job := _start(form)):
        return redirect(job)
    context = {"dataset": dataset, "form": form, **_surroundings(dataset)}
    return render(request, "predictions/import_new.html", context, status=INVALID if form.errors else 200)


def _start(form: PredictionImportForm) -> PredictionImport | None:
    wanted = form.cleaned_data
    try:
        return jobs.start_prediction_import(
            form.user, form.dataset, name=wanted["name"], split=wanted.get("split", ""), dry_run=True, **wanted["source"]
        )
    except ImportRefused as refusal:
        form.add_error(None, refusal.in_words())
        return None


def _surroundings(dataset: Dataset) -> dict[str, Any]:
    return {
        "runs": PredictionRun.objects.completed().filter(dataset=dataset),
        "folders_url": reverse("datasets:import_folders", args=[dataset.pk]),
        "api_url": reverse("run-list", args=[dataset.pk]),
        "predictions_url": reverse("prediction-create", args=[dataset.pk]),
    }


@vary_on_headers("HX-Request")
@require_GET
def import_detail(request: HttpRequest, pk: int) -> HttpResponse:
    return show_job(request, get_import(request.user, PredictionImport, pk))


@require_POST
def import_reexamine(request: HttpRequest, pk: int) -> HttpResponse:
    job = get_import(request.user, PredictionImport, pk, Role.EDITOR)
    fixes = request.POST.getlist("fixes")
    return act_on_job(request, job, lambda: jobs.reexamine(job, fixes=fixes))


@require_POST
def import_confirm(request: HttpRequest, pk: int) -> HttpResponse:
    job = get_import(request.user, PredictionImport, pk, Role.EDITOR)
    return act_on_job(request, job, lambda: jobs.confirm_import(job, fixes=job.fixes))


@require_POST
def import_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    job = get_import(request.user, PredictionImport, pk, Role.EDITOR)
    return act_on_job(request, job, job.cancel)


@require_POST
def import_retry(request: HttpRequest, pk: int) -> HttpResponse:
    job = get_import(request.user, PredictionImport, pk, Role.EDITOR)
    return act_on_job(request, job, lambda: jobs.retry(job))


@require_GET
def import_rejects(request: HttpRequest, pk: int) -> FileResponse:
    return rejects_response(get_import(request.user, PredictionImport, pk))
