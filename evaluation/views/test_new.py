"""Asking for a test run: one click from a run that exists, or a form."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.access import get_project
from accounts.models import Role
from evaluation import test_jobs
from evaluation.test_new_form import NewTestForm
from evaluation.test_runs import TestRefused
from inference.requests import RequestRefused

INVALID = 422


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug, Role.EDITOR)
    if request.method != "POST":
        form = NewTestForm(project, initial=request.GET.dict())
        return render(request, "tests/new.html", {"project": project, "form": form})
    form = NewTestForm(project, request.POST)
    if form.is_valid():
        try:
            return redirect(_start(request, form.cleaned_data))
        except (TestRefused, RequestRefused) as refused:
            named = refused.field.removeprefix("rules.")
            words = " ".join(part for part in (refused.message, refused.remedy) if part)
            form.add_error(named if named in form.fields else None, words)
    return render(request, "tests/new.html", {"project": project, "form": form}, status=INVALID)


def _start(request: HttpRequest, chosen: dict[str, Any]) -> Any:
    if chosen["run"]:
        return test_jobs.start_from_run(request.user, chosen["run"], chosen["asked"])
    split = chosen["split"]
    return test_jobs.start_from_checkpoint(request.user, chosen["checkpoint"], split.dataset, split, chosen["asked"])
