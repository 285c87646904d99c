"""What a job answered: the table of a firing, the runs, and the way to what changed between two."""

from typing import Any

from django.core.paginator import Paginator
from django.db.models import F, Q, QuerySet
from django.db.models.fields.json import KeyTransform
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from predictions import texts, training, trends
from predictions.models import PredictionRun, TextPrediction, TrainingJob
from predictions.record import RECORDED, record
from predictions.scoring import DEFINITIONS, SCORE_NAMES
from predictions.totals import Totals, bleu_signature
from predictions.trajectories import is_solved
from predictions.views.training.jobs import frame, is_fragment

PAGE = 50
COLUMNS = ("char_error_rate", "exact_match", "word_overlap", "chrf")
DIRECTIONS = (("Lowest first", ""), ("Highest first", "-"))
OUTCOMES = {"": "All", "wrong": "Wrong", "right": "Right"}


@require_safe
def job(request: HttpRequest, pk: int) -> HttpResponse:
    """The monitor: trends above, the answers of one firing below."""
    found = training.get_job(request.user, pk)
    runs = firings(found, superseded=request.GET.get("run", ""))
    run = chosen(runs, request)
    context = {**frame(found, "predictions"), **_table(request, run), "runs": runs, "run": run}
    context["many_sets"] = len({each.set_version_id for each in runs}) > 1
    context["follows"] = not request.GET.get("run") and not request.GET.get("epoch")
    if is_fragment(request):
        return render(request, "training/job.html#answers", context)
    context["chart"] = chart_choices(found, request)
    context["api_url"] = f"/api/training/predictions/{found.job_id}/?project={found.project.slug}"
    return render(request, "training/job.html", context)


def firings(found: TrainingJob, superseded: str = "") -> list[PredictionRun]:
    """In order of training, without the totals, which are large. A run that a later attempt took the place of can be asked for."""
    named = Q(pk=superseded) if superseded.isdecimal() and len(superseded) < 19 else Q()
    runs = PredictionRun.objects.filter(Q(is_current=True) | named, job=found).order_by("epoch", "step", "pk")
    return list(runs.select_related("set_version__prediction_set").defer("totals", "generation_params"))


def chosen(runs: list[PredictionRun], request: HttpRequest, name: str = "run") -> PredictionRun | None:
    """The firing that the address names, by run or by epoch (its last firing); else the latest."""
    wanted, epoch = request.GET.get(name, ""), request.GET.get("epoch", "") if name == "run" else ""
    by_pk = [run for run in runs if str(run.pk) == wanted]
    if by_pk:
        return by_pk[0]
    try:
        of_epoch = [run for run in runs if run.epoch == float(epoch)]
    except ValueError:
        of_epoch = []
    found = of_epoch or runs
    return found[-1] if found else None


def _orders(run: PredictionRun | None) -> dict[str, str]:
    """What answers can be ordered by, besides their place: every score, also the trainer's own, and the time they took."""
    scores = run.totals.get("scores", {}) if run else {}
    custom = {f"custom:{name}": name for name in sorted(scores.keys() - set(SCORE_NAMES))}
    return {**{name: definition.label for name, definition in DEFINITIONS.items()}, "latency_ms": "Latency, ms", **custom}


def _table(request: HttpRequest, run: PredictionRun | None) -> dict[str, Any]:
    sort, orders = request.GET.get("sort", "sample_index"), _orders(run)
    by = sort.removeprefix("-")
    if by != "sample_index" and by not in orders:
        sort = by = "sample_index"
    outcome, search = request.GET.get("outcome", ""), request.GET.get("search", "").strip()[:200]
    validator = request.GET.get("validator", "")[:80]
    rows = TextPrediction.objects.none() if run is None else _rows(run, sort, outcome, search)
    if validator:
        rows = rows.filter(texts.failed(validator))
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    for row in page:
        row.solved = is_solved(row)
        row.truth = row.item.references if row.references is None else row.references
    scored = run is not None and any(row.exact_match is not None for row in page)
    return {
        "page": page,
        "sort": sort,
        "orders": orders,
        "directions": DIRECTIONS,
        "extra": None if by in (*COLUMNS, "sample_index") else (by, orders[by]),
        "outcome": outcome,
        "outcomes": OUTCOMES,
        "search": search,
        "validator": validator,
        "failing": [] if run is None else _failing(run, validator),
        "is_filtered": bool(outcome or search or validator),
        "is_scored": scored,
        "has_checks": any(row.passed is not None for row in page),
        "columns": [(name, DEFINITIONS[name]) for name in COLUMNS],
    }


def _failing(run: PredictionRun, chosen: str) -> list[dict[str, Any]]:
    """The run's validators that failed or could not be run, by how often; the one that the address names, whatever it holds."""
    found = texts.failing_validators(run)
    counts = found | ({} if not chosen or chosen in found else {chosen: 0})
    return [{"type": name, "count": count} for name, count in counts.items()]


def _rows(run: PredictionRun, sort: str, outcome: str, search: str) -> "QuerySet[TextPrediction]":
    rows = TextPrediction.objects.filter(run=run).select_related("item")
    if outcome == "wrong":
        rows = rows.filter(Q(passed=False) | Q(passed=None, exact_match__lt=1))
    elif outcome == "right":
        rows = rows.filter(Q(passed=True) | Q(passed=None, exact_match=1))
    if search:
        rows = rows.filter(Q(prediction__icontains=search) | Q(item__prompt__icontains=search))
    by = sort.removeprefix("-")
    field = KeyTransform(by.removeprefix("custom:"), "custom_scores") if by.startswith("custom:") else F(by)
    order = field.desc(nulls_last=True) if sort.startswith("-") else field.asc(nulls_last=True)
    return rows.order_by(order, "sample_index", "pk")


def chart_choices(found: TrainingJob, request: HttpRequest) -> dict[str, Any]:
    """What can be charted, and what the address asks to see."""
    points = trends.points(found)
    custom = trends.custom_names(points)
    names = {name: definition.label for name, definition in DEFINITIONS.items()} | {"bleu": "Corpus BLEU"}
    names |= {name: trends.RATES[name].label for name in trends.rates(points)}
    names |= {f"custom:{name}": name for name in custom}
    wanted = [name for name in request.GET.getlist("metric") if name in names]
    usual = ["char_error_rate", "exact_match", *(["pass_rate"] if "pass_rate" in names else ["word_overlap"])]
    rows = [trends.as_row(point) for point in points]
    others = TrainingJob.objects.filter(project=found.project, task_type=found.task_type, firing_count__gt=0).exclude(
        pk=found.pk
    )
    return {
        "names": names,
        "shown": wanted or usual,
        "axis": "step" if request.GET.get("axis") == "step" else "epoch",
        "improvement": trends.overall_improvement(rows),
        "others": list(others[:50]),
        "compare": request.GET.getlist("compare"),
        "is_scored": any(point.totals.scores for point in points),
        "has_points": bool(points),
    }


@require_safe
def changes(request: HttpRequest, pk: int) -> HttpResponse:
    """What changed between two firings, the first and the latest unless the address names others: a comparison of their runs."""
    found = training.get_job(request.user, pk)
    listed = firings(found)
    after = chosen(listed, request)
    alike = [run for run in listed if after and run.set_version_id == after.set_version_id]
    before = chosen(listed if request.GET.get("before") else alike[:1], request, "before")
    query: dict[str, Any] = {"metric": request.GET.get("score", "char_error_rate")}
    if before and after and before.pk != after.pk:
        query |= {"baseline": before.pk, "candidate": after.pk}
    elif after:
        query["baseline"] = after.pk
    return redirect(reverse("compare:compare", args=[found.project.slug], query=query))


@require_safe
def runs(request: HttpRequest, pk: int) -> HttpResponse:
    """Every firing with its record: how the answers were made."""
    found = training.get_job(request.user, pk)
    listed = list(PredictionRun.objects.filter(job=found).select_related(*RECORDED).order_by("-epoch", "-step", "-attempt"))
    for run in listed:
        run.sums = Totals.from_json(run.totals)
        run.error_rate, run.bleu = run.sums.mean("char_error_rate"), run.sums.corpus_bleu
        run.record = record(run)
    context = {**frame(found, "runs"), "has_checks": any(run.sums.validated for run in listed)}
    context |= {"listed": listed, "missed": found.missed[::-1], "bleu_signature": bleu_signature()}
    context["checkpoints"] = list(found.checkpoints.order_by("-step", "-pk")[:100])
    return render(request, "training/runs.html", context)
