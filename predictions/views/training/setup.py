"""How a training process reaches its job: the lines to paste, its tokens, its environment."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import Role
from predictions import training
from predictions.models import JobToken
from predictions.training_forms import JobTokenForm
from predictions.views.training.jobs import INVALID, frame

ENVIRONMENT = [
    ("TOUCHSTONE_URL", "Where this server is"),
    ("TOUCHSTONE_TOKEN", "The job's token, or an API token of an editor"),
    ("TOUCHSTONE_JOB_ID", "The job's id"),
    ("TOUCHSTONE_MODE", "online (default), offline (write to disk only, send later) or disabled (no work at all)"),
    ("TOUCHSTONE_DIR", "Where answers wait on disk until they are sent; ./touchstone unless set"),
]


@require_http_methods(["GET", "HEAD", "POST"])
def setup(request: HttpRequest, pk: int) -> HttpResponse:
    job = training.get_job(request.user, pk, Role.EDITOR if request.method == "POST" else Role.VIEWER)
    form = JobTokenForm(request.POST if request.method == "POST" else None)
    key = ""
    if request.method == "POST" and form.is_valid():
        _, key = JobToken.issue(job, request.user, form.cleaned_data["name"], form.cleaned_data["days"])
        form = JobTokenForm()
    context = {
        **frame(job, "setup"),
        "form": form,
        "key": key,
        "tokens": job.tokens.select_related("created_by"),
        "environment": ENVIRONMENT,
        "server": f"{request.scheme}://{request.get_host()}",
        "panel": job.panel,
    }
    response = render(request, "training/setup.html", context, status=INVALID if form.errors else 200)
    if key:
        response["Cache-Control"] = "no-store"
    return response


@require_POST
def token_revoke(request: HttpRequest, pk: int, token_pk: int) -> HttpResponse:
    job = training.get_job(request.user, pk, Role.EDITOR)
    token = get_object_or_404(job.tokens, pk=token_pk)
    if token.revoked_at is None:
        token.revoked_at = timezone.now()
        token.save(update_fields=["revoked_at"])
    messages.success(request, f"The token “{token.name}” is revoked.")
    return redirect("training:setup", pk)
