"""Training jobs: the list, a new one, and what keeps a job's page live."""

from typing import Any

from django.contrib import messages
from django.contrib.humanize.templatetags.humanize import intcomma
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import trigger_client_event

from accounts.access import get_project
from accounts.models import Role
from predictions import texts, training, trends
from predictions.models import TrainingJob, TrainingStatus
from predictions.models.training import task_type_choices
from predictions.training import JobConflict
from predictions.training_forms import PanelForm, PlanForm, TrainingJobForm, panel_initial

PAGE = 50
INVALID = 422


@require_safe
def job_list(request: HttpRequest, slug: str) -> HttpResponse:
    """The project's training jobs; the list asks again by itself while one of them runs."""
    project = get_project(request.user, slug)
    jobs = TrainingJob.objects.filter(project=project).select_related("owner")
    search, status = request.GET.get("search", "").strip()[:120], request.GET.get("status", "")
    if search:
        jobs = jobs.filter(name__icontains=search) | jobs.filter(job_id__icontains=search)
    if status in TrainingStatus.values:
        jobs = jobs.filter(status=status)
    page = Paginator(jobs, PAGE).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "page": page,
        "search": search,
        "status": status,
        "statuses": TrainingStatus.choices,
        "is_filtered": bool(search or status),
        "is_live": any(job.status == TrainingStatus.RUNNING and not job.is_silent for job in page),
        "api_url": f"/api/training/jobs/?project={project.slug}",
    }
    template = "training/list.html#job-table" if is_fragment(request) else "training/list.html"
    return render(request, template, context)


def is_fragment(request: HttpRequest) -> bool:
    return bool(request.htmx) and not request.htmx.history_restore_request


@require_http_methods(["GET", "HEAD", "POST"])
def job_new(request: HttpRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug, Role.EDITOR)
    posted = request.POST if request.method == "POST" else None
    form, panel_form = TrainingJobForm(posted), PanelForm(posted, project=project)
    if request.method == "POST" and form.is_valid() and panel_form.is_valid():
        given = form.cleaned_data
        try:
            job = training.create_job(
                project, request.user, **given, config={"predictions": panel_form.cleaned_data["panel"].as_dict()}
            )
        except JobConflict as conflict:
            form.add_error("job_id", f"{conflict} {conflict.remedy}")
        except ValidationError as error:
            form.add_error(None, error.messages)
        else:
            messages.success(request, f"{job.name} is ready. Paste the lines below into your training script.")
            return redirect("training:setup", job.pk)
    plan = PlanForm(posted)
    context = {"project": project, "form": form, "panel_form": panel_form, "plan": plan, **cost(panel_form, plan)}
    return render(request, "training/new.html", context, status=INVALID if request.method == "POST" else 200)


@require_safe
def cost_preview(request: HttpRequest, slug: str) -> HttpResponse:
    """The fragment below the panel: items x firings x tokens, for what is in the form now."""
    project = get_project(request.user, slug)
    return render(request, "training/_cost.html", cost(PanelForm(request.GET, project=project), PlanForm(request.GET)))


def cost(panel_form: PanelForm, plan: PlanForm) -> dict[str, Any]:
    """What the panel as it stands would cost at most; `cost` is None where it cannot be told."""
    if not panel_form.is_bound:
        return {"cost": None}
    if not panel_form.is_valid() or not plan.is_valid():
        return {"cost": None}
    panel = panel_form.cleaned_data["panel"]
    items = panel_form.set_sizes.get(panel.prediction_set) if panel.source == "set" else panel.sample_count
    epochs, steps = plan.cleaned_data["epochs"] or 0, plan.cleaned_data["steps_per_epoch"]
    firings = panel.firings(epochs=epochs, steps_per_epoch=steps)
    if firings is None or items is None:
        return {"cost": None}
    return {"cost": {"items": items, "firings": firings, "each": panel.max_new_tokens, "tokens": panel.tokens(firings, items)}}


@require_http_methods(["GET", "HEAD", "POST"])
def config(request: HttpRequest, pk: int) -> HttpResponse:
    """The panel may be changed; a running process takes it at its next start."""
    job = training.get_job(request.user, pk, Role.EDITOR if request.method == "POST" else Role.VIEWER)
    posted = request.POST if request.method == "POST" else None
    panel_form = PanelForm(posted, initial=panel_initial(job), project=job.project)
    if request.method == "POST" and panel_form.is_valid():
        name = request.POST.get("name", "").strip()[:200]
        job.name = name or job.name
        job.config = {**job.config, "predictions": panel_form.cleaned_data["panel"].as_dict()}
        job.save(update_fields=["name", "config"])
        messages.success(request, "Saved. A process takes it when it starts next.")
        return redirect("training:config", pk)
    context = {**frame(job, "config"), "panel_form": panel_form, "plan": PlanForm(), "cost": None, "answers": texts.total(job)}
    context["other_config"] = {name: value for name, value in job.config.items() if name != "predictions"}
    return render(request, "training/config.html", context, status=INVALID if panel_form.errors else 200)


@require_POST
def job_delete(request: HttpRequest, pk: int) -> HttpResponse:
    job = training.get_job(request.user, pk, Role.EDITOR)
    slug = job.project.slug
    count = training.delete_job(job)
    messages.success(request, f"{job.name} is deleted, with {intcomma(count)} predictions.")
    return redirect("training:list", slug)


@require_POST
def job_end(request: HttpRequest, pk: int) -> HttpResponse:
    """Somebody says that a silent process is no more. When it starts again, it is running again."""
    job = training.get_job(request.user, pk, Role.EDITOR)
    training.set_status(job, TrainingStatus.CANCELLED, f"Marked as ended by {request.user}.")
    job.save()
    return redirect("training:job", pk)


@require_safe
def live(request: HttpRequest, pk: int) -> HttpResponse:
    """The head of a job's pages. It asks again by itself while the job runs, and says when new answers have come."""
    job = training.get_job(request.user, pk)
    response = render(request, "training/_head.html", frame(job, request.GET.get("tab", "")))
    if request.GET.get("seen", "") not in ("", str(seen(job))):
        if request.GET.get("tab") == "predictions":
            rows = [trends.as_row(point) for point in trends.points(job)]
            news = {"improvement": trends.overall_improvement(rows), "is_news": True}
            response.write(render_to_string("training/_improvement.html", news))
        trigger_client_event(response, "answers-changed", {"firings": job.firing_count}, after="settle")
    return response


def seen(job: TrainingJob) -> str:
    """Changes when answers come in: by a new firing, or by more rows of the last one."""
    moment = job.last_seen_at.timestamp() if job.last_seen_at else 0
    return f"{job.firing_count}-{moment:.3f}"


def frame(job: TrainingJob, tab: str) -> dict[str, Any]:
    """What every page of a job shows."""
    return {
        "job": job,
        "project": job.project,
        "tab": tab,
        "seen": seen(job),
        "task_label": dict(task_type_choices()).get(job.task_type, job.task_type),
        "api_url": f"/api/training/jobs/{job.job_id}/?project={job.project.slug}",
    }
