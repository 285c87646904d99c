"""Alerts: the list, settling them, and the pieces that other pages show of them."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from accounts.access import get_project
from accounts.models import Project, Role
from evaluation import alerts
from evaluation.alert_forms import AlertFilterForm
from evaluation.models import Alert, AlertRule
from predictions import training
from predictions.views.training.jobs import is_fragment

PAGE = 50
SHOWN_IN_BANNER = 5


@require_safe
def alert_list(request: HttpRequest, slug: str) -> HttpResponse:
    """The project's alerts, newest first; the list asks again by itself."""
    project = get_project(request.user, slug)
    form = AlertFilterForm(request.GET, project=project)
    chosen = form.cleaned_data if form.is_valid() else {}
    found = Alert.objects.filter(rule__project=project).for_page()
    status = chosen.get("status") or ""
    if status not in ("", "all"):
        found = found.filter(status=status)
    elif status == "":
        found = found.unresolved()
    for name in ("rule", "job"):
        if chosen.get(name):
            found = found.filter(**{name: chosen[name]})
    context = {
        **frame(project, "alerts"),
        "form": form,
        "page": Paginator(found, PAGE).get_page(request.GET.get("page")),
        "is_filtered": bool(status or chosen.get("rule") or chosen.get("job")),
        "has_rules": AlertRule.objects.filter(project=project).exists(),
        "api_url": f"/api/alerts/?project={project.slug}",
    }
    return render(request, "alerts/list.html#alert-table" if is_fragment(request) else "alerts/list.html", context)


def frame(project: Project, tab: str) -> dict[str, Any]:
    """What every page of alerts shows."""
    return {"project": project, "tab": tab}


@require_POST
def acknowledge(request: HttpRequest, pk: int) -> HttpResponse:
    alert = alerts.get_alert(request.user, pk, Role.EDITOR)
    alerts.acknowledge(alert, request.user)
    return _back(request, alert)


@require_POST
def resolve(request: HttpRequest, pk: int) -> HttpResponse:
    alert = alerts.get_alert(request.user, pk, Role.EDITOR)
    if alerts.resolve(alert, request.user):
        messages.success(request, "The alert is resolved.")
    return _back(request, alert)


def _back(request: HttpRequest, alert: Alert) -> HttpResponse:
    """To the list as it was filtered."""
    asked = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(asked, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    return redirect(asked if is_ours else reverse("alerts:list", args=[alert.rule.project.slug]))


@require_safe
def badge(request: HttpRequest, slug: str) -> HttpResponse:
    """The fragment in the sidebar: how many alerts are not resolved."""
    count = alerts.unresolved_count(get_project(request.user, slug))
    return render(request, "alerts/_badge.html", {"count": count})


@require_safe
def job_banner(request: HttpRequest, pk: int) -> HttpResponse:
    """The fragment on the pages of a training job: its alerts that are not resolved."""
    job = training.get_job(request.user, pk)
    found = Alert.objects.unresolved().filter(job=job).for_page()
    context = {"job": job, "project": job.project, "count": found.count(), "alerts": found[:SHOWN_IN_BANNER]}
    return render(request, "alerts/_banner.html", context)
