"""Channels: where alerts are sent. For editors: the address of a webhook may be a secret in itself."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import get_project
from accounts.models import Role
from evaluation import alert_jobs, alerts
from evaluation.alert_forms import ChannelForm
from evaluation.models import AlertChannel, ChannelKind, DeliveryStatus
from evaluation.views.alert_rules import add_errors
from evaluation.views.alerts import frame
from predictions.views.training.jobs import INVALID, is_fragment


@require_http_methods(["GET", "HEAD", "POST"])
def channel_list(request: HttpRequest, slug: str) -> HttpResponse:
    """All channels, and a form for a new one. A webhook's secret is shown in the answer, this once."""
    project = get_project(request.user, slug, Role.EDITOR)
    form = ChannelForm(request.POST if request.method == "POST" else None, instance=AlertChannel(project=project))
    if request.method == "POST" and _saved(request, form):
        return channel_page(request, form.instance, secret=form.instance.secret if _is_webhook(form.instance) else "")
    channels = AlertChannel.objects.filter(project=project).annotate(rule_count=Count("rules"))
    context = {
        **frame(project, "channels"),
        "channels": channels,
        "form": form,
        "api_url": f"/api/alert-channels/?project={slug}",
    }
    return render(request, "alerts/channels.html", context, status=INVALID if form.errors else 200)


def _is_webhook(channel: AlertChannel) -> bool:
    return channel.kind == ChannelKind.WEBHOOK


def _saved(request: HttpRequest, form: ChannelForm) -> bool:
    if not form.is_valid():
        return False
    try:
        alerts.save_channel(form.instance, request.user)
    except ValidationError as error:
        add_errors(form, error)
        return False
    return True


@require_http_methods(["GET", "HEAD", "POST"])
def channel(request: HttpRequest, pk: int) -> HttpResponse:
    found = alerts.get_channel(request.user, pk)
    form = ChannelForm(request.POST if request.method == "POST" else None, instance=found)
    if request.method == "POST" and _saved(request, form):
        messages.success(request, "The channel is saved.")
        return redirect("alerts:channel", pk)
    return channel_page(request, found, form)


def channel_page(request: HttpRequest, found: AlertChannel, form: ChannelForm | None = None, secret: str = "") -> HttpResponse:
    deliveries = list(alerts.shown_deliveries(channel=found))
    context = {
        **frame(found.project, "channels"),
        "channel": found,
        "form": form or ChannelForm(instance=found),
        "secret": secret,
        "rules": found.rules.all(),
        "deliveries": deliveries,
        "is_sending": any(each.status == DeliveryStatus.PENDING for each in deliveries),
        "api_url": f"/api/alert-channels/{found.pk}/",
    }
    if is_fragment(request):
        return render(request, "alerts/_deliveries.html", context)
    response = render(request, "alerts/channel.html", context, status=INVALID if form is not None and form.errors else 200)
    if secret:
        response["Cache-Control"] = "no-store"
    return response


@require_POST
def channel_secret(request: HttpRequest, pk: int) -> HttpResponse:
    found = alerts.get_channel(request.user, pk)
    return channel_page(request, found, secret=alerts.renew_secret(found))


@require_POST
def channel_test(request: HttpRequest, pk: int) -> HttpResponse:
    found = alerts.get_channel(request.user, pk)
    try:
        alert_jobs.send_test([found])
    except alerts.TrialRefused as refusal:
        messages.error(request, f"{refusal} {refusal.remedy}")
    return redirect("alerts:channel", pk)


@require_POST
def channel_delete(request: HttpRequest, pk: int) -> HttpResponse:
    found = alerts.get_channel(request.user, pk)
    found.delete()
    messages.success(request, f"The channel “{found.name}” is deleted.")
    return redirect("alerts:channels", found.project.slug)
