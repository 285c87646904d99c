"""Rules: made, changed, switched, deleted and tested."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Prefetch
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import get_project
from accounts.models import Role
from evaluation import alert_jobs, alerts
from evaluation.alert_forms import RuleForm
from evaluation.models import Alert, AlertChannel, AlertRule, DeliveryStatus
from evaluation.standing import standings
from evaluation.views.alerts import frame
from predictions.views.training.jobs import INVALID, is_fragment


@require_safe
def rule_list(request: HttpRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug)
    rules = AlertRule.objects.filter(project=project).with_open_count().select_related("job", "prediction_set", "baseline")
    channels = Prefetch("channels", AlertChannel.objects.only("name", "kind"))
    context = {
        **frame(project, "rules"),
        "rules": rules.prefetch_related(channels),
        "api_url": f"/api/alert-rules/?project={slug}",
    }
    return render(request, "alerts/rules.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def rule_new(request: HttpRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug, Role.EDITOR)
    initial = {"job": request.GET.get("job"), "prediction_set": request.GET.get("set")}
    form = RuleForm(request.POST if request.method == "POST" else None, instance=AlertRule(project=project), initial=initial)
    if request.method == "POST" and saved(request, form):
        messages.success(request, f"The rule “{form.instance.name}” watches what comes from now on.")
        return redirect("alerts:rule", form.instance.pk)
    context = {**frame(project, "rules"), "form": form}
    return render(request, "alerts/rule_form.html", context, status=INVALID if form.errors else 200)


def saved(request: HttpRequest, form: RuleForm) -> bool:
    """Whether what was typed is stored; else the form says why not."""
    if not form.is_valid():
        return False
    try:
        alerts.save_rule(form.instance, request.user, form.cleaned_data["channels"])
    except ValidationError as error:
        add_errors(form, error)
        return False
    return True


def add_errors(form: ModelForm, error: ValidationError) -> None:
    for name, found in alerts.form_errors(error, form.fields).items():
        form.add_error(name, found)


@require_safe
def rule(request: HttpRequest, pk: int) -> HttpResponse:
    """What it watches, how the last firings stand, what it has raised and sent. The messages ask again while one is pending."""
    found = alerts.get_rule(request.user, pk)
    deliveries = alerts.deliveries_of_rule(found, request.user)
    context = {
        **frame(found.project, "rules"),
        "rule": found,
        "channels": found.channels.all(),
        "deliveries": deliveries,
        "is_sending": any(each.status == DeliveryStatus.PENDING for each in deliveries),
    }
    if is_fragment(request):
        return render(request, "alerts/_deliveries.html", context)
    context["standings"] = standings(found)
    context["raised"] = Alert.objects.filter(rule=found).for_page()[:10]
    context["api_url"] = f"/api/alert-rules/{found.pk}/"
    return render(request, "alerts/rule.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def rule_edit(request: HttpRequest, pk: int) -> HttpResponse:
    found = alerts.get_rule(request.user, pk, Role.EDITOR)
    name = found.name
    form = RuleForm(request.POST if request.method == "POST" else None, instance=found)
    if request.method == "POST" and saved(request, form):
        messages.success(request, "The rule is saved.")
        return redirect("alerts:rule", pk)
    context = {**frame(found.project, "rules"), "rule": found, "rule_name": name, "form": form}
    return render(request, "alerts/rule_form.html", context, status=INVALID if form.errors else 200)


@require_POST
def rule_switch(request: HttpRequest, pk: int) -> HttpResponse:
    """On where it is off, off where it is on: the form says which is meant, so that a second click changes nothing."""
    found = alerts.get_rule(request.user, pk, Role.EDITOR)
    found.is_on = request.POST.get("on") == "1"
    alerts.save_rule(found, request.user)
    messages.success(
        request, "The rule watches from now on." if found.is_on else "The rule is off, and its alerts are resolved."
    )
    return redirect("alerts:rule", pk)


@require_POST
def rule_delete(request: HttpRequest, pk: int) -> HttpResponse:
    found = alerts.get_rule(request.user, pk, Role.EDITOR)
    found.delete()
    messages.success(request, f"The rule “{found.name}” is deleted, with its alerts.")
    return redirect("alerts:rules", found.project.slug)


@require_POST
def rule_test(request: HttpRequest, pk: int) -> HttpResponse:
    found = alerts.get_rule(request.user, pk, Role.EDITOR)
    try:
        alert_jobs.send_test(list(found.channels.all()), found)
    except alerts.TrialRefused as refusal:
        messages.error(request, f"{refusal} {refusal.remedy}")
    return redirect(f"{found.get_absolute_url()}#messages")
