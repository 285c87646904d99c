"""Pages of checkpoints: the list, a new one, one of them with the verdict on its file, and its exports."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.files.storage import default_storage
from django.core.paginator import Paginator
from django.db.models import Count, OuterRef, Q, Subquery
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import get_project
from accounts.models import Project, Role, User
from datasets.models import JobStatus
from datasets.uploads import UploadRefused, given_upload
from inference.access import get_checkpoint, get_export
from inference.checkpoint_forms import CheckpointFilterForm, CheckpointForm, ExportForm, TrustForm
from inference.checkpoints import (
    CheckpointRefused,
    Told,
    delete_checkpoint,
    register_exported,
    register_path,
    register_upload,
    trust,
)
from inference.export_jobs import EXPORTED_FROM, start_export
from inference.models import CheckpointExport, ExportFormat, InferenceJob, TrustedWeights
from predictions.models import Checkpoint

PAGE = 50
INVALID = 422
SHOWN = 20


@require_safe
def checkpoint_list(request: HttpRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug)
    form = CheckpointFilterForm(request.GET)
    wanted = form.cleaned_data if form.is_valid() else {}
    trusted = TrustedWeights.objects.filter(sha256=OuterRef("sha256")).exclude(sha256="")
    found = Checkpoint.objects.filter(project=project).select_related("job").order_by("-pk")
    found = found.annotate(trusted_by=Subquery(trusted.values("sha256")[:1]))
    if search := wanted.get("search"):
        found = found.filter(Q(name__icontains=search) | Q(path__icontains=search) | Q(architecture__icontains=search))
    for key in ("framework", "task_type", "job"):
        if wanted.get(key):
            found = found.filter(**{key: wanted[key]})
    context = {
        "project": project,
        "page": Paginator(found, PAGE).get_page(request.GET.get("page")),
        "form": form,
        "frameworks": sorted(key for key in Checkpoint.objects.filter(project=project).values_list("framework", flat=True).distinct() if key),
        "is_filtered": any(wanted.values()),
        "api_url": f"/api/inference/checkpoints/?project={project.slug}",
    }  # fmt: skip
    is_fragment = request.htmx and not request.htmx.history_restore_request
    return render(request, f"inference/checkpoints.html{'#checkpoint-table' if is_fragment else ''}", context)


@require_http_methods(["GET", "HEAD", "POST"])
def checkpoint_new(request: HttpRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug, Role.EDITOR)
    posted = (request.POST, request.FILES) if request.method == "POST" else ()
    form = CheckpointForm(*posted, project=project)
    if request.method == "POST" and form.is_valid():
        try:
            return redirect("inference:checkpoint", _register(request, project, form.cleaned_data).pk)
        except (CheckpointRefused, UploadRefused) as refusal:
            form.add_error(None, f"{refusal} {refusal.remedy}")
    context = {"project": project, "form": form, "api_url": "/api/inference/checkpoints/"}
    return render(request, "inference/checkpoint_new.html", context, status=INVALID if form.errors else 200)


def _register(request: HttpRequest, project: Project, given: dict[str, Any]) -> Checkpoint:
    fields = ("framework", "architecture", "class_names", "name", "epoch")
    told = Told(**{key: given[key] for key in fields})
    if given.get("path"):
        return register_path(project, given["path"], told, job=given["job"], user=request.user)
    upload = given_upload(request.user, project, file=given["file"], upload=given["upload"])
    assert upload is not None  # the form has seen to that
    return register_upload(upload, told, job=given["job"])


@require_safe
def checkpoint_detail(request: HttpRequest, pk: int) -> HttpResponse:
    checkpoint = get_checkpoint(request.user, pk)
    exports = list(checkpoint.exports.order_by("-pk")[:SHOWN])
    used = InferenceJob.objects.filter(checkpoint=checkpoint).aggregate(jobs=Count("pk"))
    trusted = TrustedWeights.objects.select_related("trusted_by").filter(sha256=checkpoint.sha256 or None).first()
    may_load = bool(trusted or (checkpoint.sha256 and checkpoint.inspection.get("is_harmless")))
    context = {
        "project": checkpoint.project,
        "checkpoint": checkpoint,
        "trusted": trusted,
        "may_load": may_load,
        "trust_form": TrustForm() if may_trust(request.user) else None,
        "exports": exports,
        "formats": ExportFormat.choices if checkpoint.framework in EXPORTED_FROM and may_load else [],
        "used": used,
        "jobs": list(InferenceJob.objects.filter(checkpoint=checkpoint).order_by("-pk")[:SHOWN]),
        "is_live": any(export.is_active for export in exports),
        "api_url": f"/api/inference/checkpoints/{pk}/",
    }
    is_fragment = request.htmx and not request.htmx.history_restore_request
    return render(request, f"inference/checkpoint.html{'#exports' if is_fragment else ''}", context)


def may_trust(user: User) -> bool:
    """Staff alone is not enough: whoever may look after the users' accounts there need not run code here."""
    return bool(user.is_staff and user.has_perm("inference.add_trustedweights"))


@require_POST
def checkpoint_trust(request: HttpRequest, pk: int) -> HttpResponse:
    """For who may add trusted weights in the admin: loading these runs what they say, with the worker's rights."""
    checkpoint = get_checkpoint(request.user, pk)
    if not may_trust(request.user):
        raise PermissionDenied("Only an administrator of this server can trust weights: loading them may run any code.")
    form = TrustForm(request.POST)
    if not checkpoint.sha256 or not form.is_valid():
        messages.error(request, "Say where the file comes from: the note stays beside the decision.")
    else:
        trust(checkpoint, request.user, form.cleaned_data["note"])
        messages.success(request, f"{checkpoint} is trusted from now on, and every copy of the very same file.")
    return redirect("inference:checkpoint", pk)


@require_POST
def checkpoint_delete(request: HttpRequest, pk: int) -> HttpResponse:
    checkpoint = get_checkpoint(request.user, pk, Role.EDITOR)
    count = delete_checkpoint(checkpoint)
    messages.success(request, f"{checkpoint} is deleted" + (f", with {count} inference jobs." if count else "."))
    return redirect("inference:checkpoints", checkpoint.project.slug)


# --- Exports ---------------------------------------------------------------------------------------------------------
@require_POST
def checkpoint_export(request: HttpRequest, pk: int) -> HttpResponse:
    checkpoint = get_checkpoint(request.user, pk, Role.EDITOR)
    form = ExportForm(request.POST)
    try:
        if form.is_valid():
            start_export(checkpoint, form.cleaned_data["format"], request.user)
        else:
            messages.error(request, "There is no such format.")
    except CheckpointRefused as refusal:
        messages.error(request, f"{refusal} {refusal.remedy}")
    return redirect("inference:checkpoint", pk)


@require_safe
def export_file(request: HttpRequest, pk: int) -> FileResponse:
    export = get_export(request.user, pk)
    if not export.file:
        raise Http404
    return FileResponse(default_storage.open(export.file), as_attachment=True, filename=export.file.rsplit("/", 1)[-1])


@require_POST
def export_register(request: HttpRequest, pk: int) -> HttpResponse:
    """The exported file as a checkpoint of its own, to be run as such."""
    export = get_export(request.user, pk, Role.EDITOR)
    if export.status != JobStatus.COMPLETED or export.format != ExportFormat.ONNX:
        messages.error(request, "Only a completed export to ONNX can be run by itself.")
        return redirect(export)
    return redirect("inference:checkpoint", register_exported(export, request.user).pk)


@require_POST
def export_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    export: CheckpointExport = get_export(request.user, pk, Role.EDITOR)
    export.cancel()
    return redirect(export)
