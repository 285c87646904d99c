"""Try it: an image, a checkpoint or two, and the answer in place."""

from pathlib import Path
from typing import Any

from django.contrib import messages
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import get_project
from accounts.models import Project, Role
from datasets.importing import refresh_counts
from datasets.models import Dataset, Sample, Split
from datasets.shapes import mask_to_path
from inference import jobs, results
from inference.access import get_job, get_result, get_runnable
from inference.forms import KeepForm, TryForm
from inference.models import InferenceJob, InferenceKind, InferenceResult
from inference.requests import NewImage, RequestRefused
from inference.views.job_pages import is_fragment
from predictions import draft_items
from predictions.models import PredictionSet
from predictions.overlays import colour_of
from predictions.prediction_sets import SetRefused
from predictions.set_files import SetFileRefused
from predictions.views.sets.items import chosen_set

INVALID = 422
# A page waits so long before it shows that it waits, seconds.
PATIENCE = 2.0
REMEMBERED = "inference_checkpoint"
SAMPLES_SPLIT = "tried"
NO_SET = "none"


@require_http_methods(["GET", "HEAD", "POST"])
def try_it(request: HttpRequest, slug: str) -> HttpResponse:
    """The drop zone; what is dropped is answered in its place."""
    project = get_project(request.user, slug, Role.EDITOR if request.method == "POST" else Role.VIEWER)
    sent = (request.POST, request.FILES) if request.method == "POST" else (None, None)
    form = TryForm(project, *sent, initial=_remembered(request, project))
    if form.is_valid() and (made := _start(request, form)):
        for job in made:
            jobs.wait_for(job, PATIENCE)
        if is_fragment(request):
            return render(request, "inference/_answers.html", {"answers": [answer_context(job) for job in made]})
        return redirect(made[0])
    context = {"project": project, "form": form, "tab": "try", "api_url": "/api/inference/single/"}
    template = "inference/_refused.html" if is_fragment(request) and form.errors else "inference/try.html"
    return render(request, template, context, status=INVALID if form.errors else 200)


def _remembered(request: HttpRequest, project: Project) -> dict[str, Any]:
    """The checkpoint used last in this project, or the one of the address."""
    chosen = request.GET.get("checkpoint", "")
    key = int(chosen) if chosen.isdecimal() else request.session.get(REMEMBERED, {}).get(str(project.pk))
    return {"checkpoint": key}


def _start(request: HttpRequest, form: TryForm) -> list[InferenceJob]:
    wanted = form.cleaned_data
    request.session[REMEMBERED] = request.session.get(REMEMBERED, {}) | {
        str(wanted["checkpoint"].project_id): wanted["checkpoint"].pk
    }
    file = wanted["image"]
    image = NewImage(file.name, Path(file.temporary_file_path()))
    try:
        chosen = [each for each in (wanted["checkpoint"], wanted["beside"]) if each]
        return [jobs.start_single(request.user, checkpoint, image, {}) for checkpoint in chosen]
    except RequestRefused as refusal:
        form.add_error("image", refusal.in_words())
        return []


@require_safe
def answer(request: HttpRequest, pk: int) -> HttpResponse:
    """The fragment of one answer, which asks again by itself until there is one."""
    job = get_job(request.user, pk)
    if job.kind != InferenceKind.SINGLE:
        raise Http404
    return render(request, "inference/_answer.html", {"answer": answer_context(job)})


@require_POST
def beside(request: HttpRequest, pk: int) -> HttpResponse:
    """The same image put to another checkpoint, shown beside the answer."""
    job = get_job(request.user, pk, Role.EDITOR)
    chosen = request.POST.get("checkpoint", "")
    checkpoint = get_runnable(request.user, job.project, int(chosen) if chosen.isdecimal() else None)
    if checkpoint is None or job.kind != InferenceKind.SINGLE:
        raise Http404
    other = jobs.repeat(job, request.user, checkpoint)
    jobs.wait_for(other, PATIENCE)
    if is_fragment(request):
        return render(request, "inference/_answer.html", {"answer": answer_context(other)})
    return redirect(other)


def answer_context(job: InferenceJob) -> dict[str, Any]:
    """What the fragment of an answer shows."""
    job = InferenceJob.objects.select_related("project", "checkpoint").get(pk=job.pk)
    result = InferenceResult.objects.select_related("sample").get(job=job)
    result.job = job
    times = [result.preprocess_ms, result.inference_ms, result.postprocess_ms]
    total = sum(time or 0 for time in times)
    return {
        "job": job,
        "result": result,
        "waiting": jobs.waiting(job),
        "times": [
            (name, time)
            for name, time in zip(("read and prepare", "model", "afterwards"), times, strict=True)
            if time is not None
        ],
        "fps": 1000 / total if total else None,
        "bars": [{"label": name, "share": value, "colour": colour_of(name)} for name, value in result.top],
        "data": stage_data(result) if result.state == "done" else None,
        "data_id": f"answer-data-{job.pk}",
        "keep": KeepForm(job.project),
        "beside": TryForm(job.project).fields["checkpoint"].queryset.exclude(pk=job.checkpoint_id)[:50],
    }


def stage_data(result: InferenceResult) -> dict[str, Any]:
    """For `static/js/try.js`: the candidates as they are drawn, and where the sliders start."""
    asked = result.job.asked
    return {
        "width": result.width,
        "height": result.height,
        "confidence": asked.confidence,
        "iou": asked.iou,
        "picture": reverse("inference:picture", args=[result.pk]),
        "objects": [_drawn(results.with_skeleton(result.job, found)) for found in result.objects_found],
    }


def _drawn(found: dict[str, Any]) -> dict[str, Any]:
    drawn = {name: found[name] for name in ("label", "label_id", "confidence", "bbox")} | {"colour": colour_of(found["label"])}
    if found.get("segmentation"):
        drawn["path"] = mask_to_path(found["segmentation"])
    return drawn | {name: found[name] for name in ("keypoints", "skeleton") if found.get(name) is not None}


@require_POST
def keep(request: HttpRequest, pk: int) -> HttpResponse:
    """Send the image on: to a dataset, as an image without annotations in a split of its own, and to a golden set's draft."""
    result = get_result(request.user, pk)
    job = get_job(request.user, result.job_id, Role.EDITOR)
    form = KeepForm(job.project, request.POST)
    if not form.is_valid() or not result.image or result.width is None:
        raise Http404
    try:
        asked = _chosen_golden_set(request, job.project)
    except SetRefused as refusal:
        messages.error(request, f"{refusal} {refusal.remedy}")
        return redirect("inference:result", pk)
    sample = add_to_dataset(result, form.cleaned_data["dataset"])
    messages.success(request, f"{sample.file_name} is now an image of {sample.dataset}, in its split {SAMPLES_SPLIT}.")
    if asked is not None:
        _collect(request, asked, sample)
    return redirect("predictions:sample", sample.dataset_id, sample.pk)


def _chosen_golden_set(request: HttpRequest, project: Project) -> PredictionSet | None:
    """None where none is wanted: neither one of the list nor a new name."""
    is_wanted = request.POST.get("set", NO_SET) != NO_SET or request.POST.get("new_set", "").strip()
    return chosen_set(request, project) if is_wanted else None


def _collect(request: HttpRequest, asked: PredictionSet, sample: Sample) -> None:
    try:
        changed = draft_items.put_items(asked, draft_items.records_of_images([sample]), updates=False)
    except (SetRefused, SetFileRefused) as refusal:
        messages.error(request, f"{refusal} {refusal.remedy}")
    else:
        messages.success(request, f"Draft of {asked.name}: {changed.in_words()}.")


@transaction.atomic
def add_to_dataset(result: InferenceResult, dataset: Dataset) -> Sample:
    """A copy of the file as a sample; the same result twice is one sample."""
    split, _ = dataset.splits.get_or_create(name=SAMPLES_SPLIT)
    external_id = f"inference-{result.pk}"
    if known := Sample.objects.filter(split=split, external_id=external_id).first():
        return known
    name = default_storage.save(
        f"images/{dataset.pk}/{SAMPLES_SPLIT}/{result.pk}{Path(result.image).suffix}", ContentFile(results.content(result))
    )
    sample = Sample.objects.create(
        dataset=dataset, split=split, external_id=external_id, file_name=_free_file_name(split, result), width=result.width, height=result.height,
        image=name, image_format=result.image_format,
    )  # fmt: skip
    split.sample_count = split.samples.count()
    split.save(update_fields=["sample_count"])
    refresh_counts(dataset)
    return sample


def _free_file_name(split: Split, result: InferenceResult) -> str:
    """Every picture that is pasted has the same name, and items of sets find images by it."""
    if not split.samples.filter(file_name=result.name).exists():
        return result.name
    path = Path(result.name)
    return str(path.with_name(f"{path.stem}-{result.pk}{path.suffix}"))
