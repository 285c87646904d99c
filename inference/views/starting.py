"""New jobs: many images, or a dataset's split."""

import zipfile
from pathlib import Path
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.access import get_project
from accounts.models import Role
from datasets.uploads import UploadRefused, store_file
from inference import jobs
from inference.forms import BatchForm, DatasetForm
from inference.models import InferenceJob
from inference.requests import NewImage, RequestRefused

INVALID = 422
require_form = require_http_methods(["GET", "HEAD", "POST"])


@require_form
def batch_new(request: HttpRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug, Role.EDITOR)
    sent = (request.POST, request.FILES) if request.method == "POST" else (None, None)
    form = BatchForm(project, *sent, initial=request.GET.dict())
    if form.is_valid() and (job := _start_batch(request, form)):
        return redirect(job)
    context = {"project": project, "form": form, "tab": "batch", "api_url": "/api/inference/batch/"}
    return render(request, "inference/batch_new.html", context, status=INVALID if form.errors else 200)


def _start_batch(request: HttpRequest, form: BatchForm) -> InferenceJob | None:
    wanted = form.cleaned_data
    files, checkpoint = wanted["files"], wanted["checkpoint"]
    try:
        if len(files) == 1 and zipfile.is_zipfile(files[0].temporary_file_path()):
            upload = store_file(request.user, checkpoint.project, files[0])
            return jobs.start_archive(request.user, checkpoint, upload, form.asked())
        images = [NewImage(file.name, Path(file.temporary_file_path())) for file in files]
        return jobs.start_batch(request.user, checkpoint, images, form.asked())
    except RequestRefused as refusal:
        form.add_error("files", refusal.in_words())
    except UploadRefused as refusal:
        form.add_error("files", f"{refusal} {refusal.remedy}")
    return None


@require_form
def dataset_new(request: HttpRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug, Role.EDITOR)
    initial: dict[str, Any] = request.GET.dict()
    form = DatasetForm(project, request.POST if request.method == "POST" else None, initial=initial)
    if form.is_valid():
        wanted = form.cleaned_data
        split = wanted["split"]
        try:
            return redirect(
                jobs.start_dataset(request.user, wanted["checkpoint"], split.dataset, split, form.asked(), name=wanted["name"])
            )
        except RequestRefused as refusal:
            form.add_error(None, refusal.in_words())
    context = {"project": project, "form": form, "tab": "dataset", "api_url": "/api/inference/jobs/"}
    return render(request, "inference/dataset_new.html", context, status=INVALID if form.errors else 200)
