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
from inference.views.starting import chosen, fit_context

INVALID = 422


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug, Role.EDITOR)
    form = NewTestForm(project, request.POST if request.method == "POST" else None, initial=request.GET.dict())
    if form.is_valid():
        try:
            return redirect(_start(request, form.cleaned_data))
        except TestRefused as refused:
            named = refused.field.removeprefix("rules.")
            form.add_error(named if named in form.fields else None, f"{refused.message} {refused.remedy}".strip())
        except RequestRefused as refused:
            form.add_error(None, f"{refused.message} {refused.remedy}".strip())
    fit = fit_context(chosen(form["checkpoint"]), chosen(form["split"]), request.POST or request.GET)
    context = {"project": project, "form": form} | fit
    return render(request, "tests/new.html", context, status=INVALID if form.errors else 200)


def _start(request: HttpRequest, wanted: dict[str, Any]) -> Any:
    if wanted["run"]:
        return test_jobs.start_from_run(request.user, wanted["run"], wanted["asked"])
    split = wanted["split"]
    return test_jobs.start_from_checkpoint(
        request.user, wanted["checkpoint"], split.dataset, split, wanted["asked"], wanted["predicting"]
    )
