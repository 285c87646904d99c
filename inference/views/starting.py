"""New jobs: many images, or a dataset's split, with the classes of both held against each other."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.forms import BoundField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import get_project
from accounts.models import Role
from datasets.models import Split
from datasets.uploads import UploadRefused, store_file
from inference import jobs
from inference.class_fit import class_fit
from inference.forms import CLASS_INPUT, BatchForm, DatasetForm, mapped_classes
from inference.models import InferenceJob
from inference.requests import NewImage, RequestRefused
from predictions.models import Checkpoint

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
    if form.is_valid() and (job := _start_dataset(request, form)):
        return redirect(job)
    context = {"project": project, "form": form, "tab": "dataset", "api_url": "/api/inference/jobs/"}
    fit = fit_context(chosen(form["checkpoint"]), chosen(form["split"]), request.POST or request.GET)
    return render(request, "inference/dataset_new.html", context | fit, status=INVALID if form.errors else 200)


def _start_dataset(request: HttpRequest, form: DatasetForm) -> InferenceJob | None:
    wanted = form.cleaned_data
    checkpoint, split = wanted["checkpoint"], wanted["split"]
    try:
        settings = form.asked() | {"class_mapping": mapped_classes(request.POST, split.dataset)}
        return jobs.start_dataset(request.user, checkpoint, split.dataset, split, settings, name=wanted["name"])
    except RequestRefused as refusal:
        form.add_error(None, refusal.in_words())
    except ValidationError as error:
        form.add_error(None, error)
    return None


@require_safe
def class_fit_of(request: HttpRequest, slug: str) -> HttpResponse:
    """The fragment on a form's checkpoint and split, which asks for it anew when one of them changes."""
    project = get_project(request.user, slug, Role.EDITOR)
    form = DatasetForm(project)
    checkpoint, split = (picked(form.fields[name], request.GET.get(name)) for name in ("checkpoint", "split"))
    return render(request, "inference/_class_fit.html", {"project": project} | fit_context(checkpoint, split, request.GET))


def chosen(field: BoundField) -> Any:
    """What a form's select shows: what was sent or asked for, else its first choice where it has no empty one."""
    found = picked(field.field, field.value())
    return found or (None if field.field.empty_label else field.field.queryset.first())


def picked(field: Any, key: Any) -> Any:
    text = str(getattr(key, "pk", key) or "")
    return field.queryset.filter(pk=int(text)).first() if text.isdecimal() and len(text) < 19 else None


def fit_context(checkpoint: Checkpoint | None, split: Split | None, typed: Mapping[str, Any]) -> dict[str, Any]:
    """What `inference/_class_fit.html` shows; what somebody has typed stays."""
    if checkpoint is None or split is None:
        return {"fit": None, "is_fit_known": True}
    fit = class_fit(checkpoint, split.dataset)
    rows = (
        [(each, CLASS_INPUT.format(each.pk), typed.get(CLASS_INPUT.format(each.pk), "")) for each in fit.lacking] if fit else []
    )
    return {"fit": fit, "fit_rows": rows, "fit_checkpoint": checkpoint, "is_fit_known": fit is not None}
