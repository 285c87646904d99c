"""Gates: the list, the rule of one in words, its history, and checking a run now."""

import json
import shlex
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import OuterRef, Prefetch, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import get_project
from accounts.models import Role
from evaluation import gates
from evaluation.alert_forms import MOST_CHOICES, run_label
from evaluation.gate_forms import CheckForm, GateForm, limit_forms, limits_of
from evaluation.gates import RunRefused
from evaluation.models import Gate, GateCheck, GateLimit
from evaluation.views.alert_rules import add_errors
from evaluation.views.alerts import frame
from predictions.views.training.jobs import INVALID

PAGE = 20


@require_safe
def gate_list(request: HttpRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug)
    last = GateCheck.objects.filter(gate=OuterRef("pk")).order_by("-pk")
    found = Gate.objects.filter(project=project).select_related(*gates.WITH)
    found = found.prefetch_related(Prefetch("limits", GateLimit.objects.select_related("gate__baseline")))
    found = found.annotate(last_outcome=Subquery(last.values("outcome")[:1]), last_at=Subquery(last.values("created_at")[:1]))
    context = {**frame(project, "gates"), "gates": found, "api_url": f"/api/gates/?project={slug}"}
    return render(request, "gates/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def gate_new(request: HttpRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug, Role.EDITOR)
    return _form(request, Gate(project=project), "")


@require_http_methods(["GET", "HEAD", "POST"])
def gate_edit(request: HttpRequest, pk: int) -> HttpResponse:
    gate = gates.get_gate(request.user, pk, Role.EDITOR)
    return _form(request, gate, gate.name)


def _form(request: HttpRequest, gate: Gate, name: str) -> HttpResponse:
    posted = request.POST if request.method == "POST" else None
    limits = list(gate.limits.all()) if gate.pk else []
    initial = {} if gate.pk else {"prediction_set": request.GET.get("set"), "job": request.GET.get("job")}
    form, lines = GateForm(posted, instance=gate, initial=initial), limit_forms(gate.project, limits, posted)
    if posted is not None and form.is_valid() and lines.is_valid():
        try:
            gates.save_gate(gate, request.user, limits_of(lines))
        except ValidationError as error:
            add_errors(form, error)
        else:
            messages.success(request, f"The gate {gate.name} is saved.")
            return redirect(gate)
    context = {
        **frame(gate.project, "gates"),
        "gate": gate if gate.pk else None,
        "gate_name": name,
        "form": form,
        "lines": lines,
    }
    is_wrong = posted is not None
    return render(request, "gates/form.html", context, status=INVALID if is_wrong else 200)


@require_safe
def gate(request: HttpRequest, pk: int) -> HttpResponse:
    found = gates.get_gate(request.user, pk)
    checks = found.checks.select_related("run", "baseline", "created_by")
    runs = [(run.pk, run_label(run)) for run in gates.eligible(request.user, found).filter(is_current=True)[:MOST_CHOICES]]
    job_id = found.job.job_id if found.job else "JOB_ID"
    context: dict[str, Any] = {
        **frame(found.project, "gates"),
        "gate": found,
        # As words of a shell: a job's id may hold blanks and quotes.
        "job_word": shlex.quote(job_id),
        "body_word": shlex.quote(json.dumps({"job_id": job_id}, ensure_ascii=False)),
        "limits": found.limits.select_related("gate__baseline"),
        "page": Paginator(checks, PAGE).get_page(request.GET.get("page")),
        "runs": runs,
        "server": f"{request.scheme}://{request.get_host()}",
        "api_url": f"/api/gates/{found.name}/?project={found.project.slug}",
    }
    return render(request, "gates/gate.html", context)


@require_POST
def gate_check(request: HttpRequest, pk: int) -> HttpResponse:
    found = gates.get_gate(request.user, pk, Role.EDITOR)
    form = CheckForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose a run to check.")
        return redirect(found)
    try:
        run = gates.find_run(request.user, found, form.cleaned_data["run"])
        baseline = gates.find_baseline(request.user, found, run, form.cleaned_data["baseline"])
    except RunRefused as refusal:
        messages.error(request, f"{refusal} {refusal.remedy}")
    else:
        gates.check(found, run, request.user, baseline)
    return redirect(f"{found.get_absolute_url()}#history")


@require_POST
def gate_delete(request: HttpRequest, pk: int) -> HttpResponse:
    found = gates.get_gate(request.user, pk, Role.EDITOR)
    found.delete()
    messages.success(request, f"The gate {found.name} is deleted, with its history.")
    return redirect("gates:list", found.project.slug)
