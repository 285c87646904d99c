"""The prediction runs of a dataset."""

from django.contrib import messages
from django.contrib.humanize.templatetags.humanize import intcomma
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import require_role
from accounts.models import Role
from datasets.access import get_dataset
from datasets.importers.problems import REASONS
from predictions.models import PredictionRun
from predictions.runs import delete_run


@require_safe
def runs(request: HttpRequest, pk: int) -> HttpResponse:
    dataset = get_dataset(request.user, pk)
    found = list(
        PredictionRun.objects.completed().filter(dataset=dataset).select_related("split", "created_by").order_by("-pk")
    )
    for run in found:
        run.skipped_in_words = [(REASONS[key].label if key in REASONS else key, count) for key, count in run.skipped.items()]
    context = {
        "dataset": dataset,
        "runs": found,
        "has_skipped": any(run.skipped_count for run in found),
        "api_url": f"/api/datasets/{pk}/runs/",
    }
    return render(request, "predictions/runs.html", context)


@require_POST
def run_delete(request: HttpRequest, pk: int) -> HttpResponse:
    runs = PredictionRun.objects.visible_to(request.user).select_related("dataset__project")
    run = get_object_or_404(runs, pk=pk)
    require_role(request.user, run.dataset.project, Role.EDITOR)
    count = delete_run(run)
    messages.success(request, f"{run.name} is deleted, with {intcomma(count)} predictions.")
    return redirect("predictions:runs", run.dataset_id)
