"""Two runs, or one against several: what is not comparable, the verdict, the metrics, and the items behind them."""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from accounts.access import get_project
from accounts.models import Project
from datasets.models import JobStatus
from evaluation import jobs, large, shown
from evaluation.comparison import Judgement, default_metric, judge, judge_all, known_metrics, what_differs, worst_first
from evaluation.forms import MOST_CANDIDATES, SHOWN, CompareForm, run_ids
from evaluation.models import Comparison
from evaluation.pairing import Pairing, pair
from evaluation.runs import find_runs, search, sets_in_both
from evaluation.scores import metric_of
from evaluation.test_listing import comparable_tests
from predictions.models import PredictionRun

TEXTS, IMAGES = 25, 12


@require_safe
def compare(request: HttpRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug)
    asked = CompareForm(request.GET).asked()
    keys = run_ids(request.GET, "baseline", 1), run_ids(request.GET, "candidate", MOST_CANDIDATES)
    runs = find_runs(request.user, [*keys[0], *keys[1]])
    baseline, candidates = (runs[0] if keys[0] else None), runs[len(keys[0]) :]
    context: dict[str, Any] = {
        "project": project,
        "asked": asked,
        "baseline": baseline,
        "candidates": candidates,
        "candidate": candidates[0] if candidates else None,
        "shown_as": SHOWN,
    }
    if baseline and candidates:
        context |= _findings(request, baseline, candidates, asked)
        context["swap"] = _swapped(request.GET, baseline, candidates)
    if baseline is None or not candidates or asked["q"]:
        context["found"] = _choices(request, project, asked["q"], baseline)
    is_fragment = bool(request.htmx) and not request.htmx.history_restore_request
    response = render(request, "evaluation/compare.html#findings" if is_fragment else "evaluation/compare.html", context)
    patch_vary_headers(response, ["HX-Request"])
    return response


@require_safe
def picker(request: HttpRequest, slug: str) -> HttpResponse:
    """The fragment of runs that fit the words, each a link that adds it to the comparison in the address."""
    project = get_project(request.user, slug)
    asked = CompareForm(request.GET).asked()
    baseline = next(iter(find_runs(request.user, run_ids(request.GET, "baseline", 1))), None)
    context = {"project": project, "baseline": baseline, "found": _choices(request, project, asked["q"], baseline)}
    return render(request, "evaluation/_choices.html", context)


def _choices(
    request: HttpRequest, project: Project, words: str, baseline: PredictionRun | None
) -> list[tuple[PredictionRun, str]]:
    """Runs, each with the query that adds it: as the baseline where there is none yet, else as the first candidate."""
    name = "candidate" if baseline else "baseline"
    chosen = run_ids(request.GET, "candidate", MOST_CANDIDATES)
    found = [run for run in search(request.user, project, words, baseline) if run.pk not in chosen]
    return [(run, _with(request.GET, name, run.pk)) for run in found]


def _with(query: QueryDict, name: str, pk: int) -> str:
    changed = query.copy()
    for gone in ("q", "page", "tag"):
        changed.pop(gone, None)
    changed.setlist(name, [str(pk), *changed.getlist(name)][:MOST_CANDIDATES] if name == "candidate" else [str(pk)])
    return changed.urlencode()


def _swapped(query: QueryDict, baseline: PredictionRun, candidates: list[PredictionRun]) -> str:
    changed = query.copy()
    changed.pop("page", None)
    changed["baseline"] = str(candidates[0].pk)
    changed.setlist("candidate", [str(baseline.pk), *(str(run.pk) for run in candidates[1:])])
    return changed.urlencode()


# --- What was found ------------------------------------------------------------------------------------------------------------
def _findings(
    request: HttpRequest, baseline: PredictionRun, candidates: list[PredictionRun], asked: dict[str, Any]
) -> dict[str, Any]:
    candidate = candidates[0]
    context: dict[str, Any] = {"differences": what_differs(baseline, candidate), "sets": sets_in_both(baseline, candidate)}
    version = asked["set"] if asked["set"] in {each.pk for each in context["sets"]} else None
    context["set_version"] = version
    context["api_url"] = _api_url(request.GET, baseline, candidate)
    pairing, judged, job = _read(request, baseline, candidate, asked["confidence"], version)
    if pairing is None:
        return context | {"job": job}
    tag = asked["tag"] if asked["tag"] in pairing.tags else ""
    known = known_metrics(baseline, candidate)
    name = asked["metric"] if asked["metric"] in known else default_metric(pairing)
    judged = judged or judge_all(pairing, pairing.metrics, [tag], [metric_of(name)])
    metrics = judged[tag]
    chosen = next((one for one in metrics if one.metric.name == name), None) or judge(pairing, [metric_of(name)], tag)[0]
    context |= {
        "tag": tag,
        "metric": chosen.metric,
        "judgement": chosen,
        "metrics": metrics,
        "slices": _slices(judged, chosen.metric.name),
        "others": _others(request, baseline, candidates[1:], chosen, asked["confidence"], version),
        "is_images": baseline.dataset_id is not None,
        "tests": comparable_tests(baseline, candidate) if baseline.dataset_id else None,
    }
    return context | _listed(request, baseline, candidate, pairing, chosen, asked, tag)


def _api_url(query: QueryDict, baseline: PredictionRun, candidate: PredictionRun) -> str:
    kept = query.copy()
    for name in list(kept):
        if name not in ("metric", "tag", "confidence", "set"):
            kept.pop(name)
    kept["baseline"], kept["candidate"] = str(baseline.pk), str(candidate.pk)
    return f"/api/compare/?{kept.urlencode()}"


def _read(
    request: HttpRequest, baseline: PredictionRun, candidate: PredictionRun, confidence: float, version: int | None
) -> tuple[Pairing | None, dict[str, list[Judgement]], Comparison | None]:
    """The pairing, and what is judged already; of large runs the job that makes both, until it is done."""
    if not large.is_large(baseline, candidate):
        return pair(baseline, candidate, confidence=confidence, set_version=version), {}, None
    job = jobs.comparison_of(request.user, baseline, candidate, confidence, version)
    if job.status != JobStatus.COMPLETED:
        return None, {}, job
    pairing, judged = large.kept(job)
    return pairing, judged, job


def _slices(judged: dict[str, list[Judgement]], metric: str) -> list[Judgement]:
    return worst_first([one for tag, found in judged.items() if tag for one in found if one.metric.name == metric])


def _others(
    request: HttpRequest,
    baseline: PredictionRun,
    candidates: list[PredictionRun],
    chosen: Judgement,
    confidence: float,
    version: int | None,
) -> list[dict[str, Any]]:
    """The further candidates by the chosen metric, each with the query that puts it first."""
    found = []
    for run in candidates:
        query = request.GET.copy()
        query.pop("page", None)
        rest = [key for key in query.getlist("candidate") if key != str(run.pk)]
        query.setlist("candidate", rest)
        without = query.urlencode()
        query.setlist("candidate", [str(run.pk), *rest])
        one = None
        if not large.is_large(baseline, run):
            [one] = judge(pair(baseline, run, confidence=confidence, set_version=version), [chosen.metric])
        found.append({"run": run, "judgement": one, "query": query.urlencode(), "without": without})
    return found


def _listed(
    request: HttpRequest,
    baseline: PredictionRun,
    candidate: PredictionRun,
    pairing: Pairing,
    chosen: Judgement,
    asked: dict[str, Any],
    tag: str,
) -> dict[str, Any]:
    """The page of items that the address asks for."""
    show, size = asked["show"], IMAGES if baseline.dataset_id else TEXTS
    if show in ("only_baseline", "only_candidate"):
        keys = pairing.only_baseline if show == "only_baseline" else pairing.only_candidate
        page = Paginator(keys if len(pairing) else [], size).get_page(request.GET.get("page"))
        run = baseline if show == "only_baseline" else candidate
        return {"page": page, "alone": shown.alone(run, page.object_list), "alone_run": run}
    page = Paginator(shown.places(pairing, chosen.metric, show, tag), size).get_page(request.GET.get("page"))
    values = shown.values_at(pairing, chosen.metric, page.object_list)
    if baseline.dataset_id is None:
        return {"page": page, "rows": shown.text_rows(baseline, candidate, values)}
    return {"page": page, "rows": shown.image_rows(baseline, candidate, values, asked["confidence"])}


# --- Large ones ----------------------------------------------------------------------------------------------------------------
@require_safe
def progress(request: HttpRequest, pk: int) -> HttpResponse:
    """How far a large comparison is; when it is over, the page around it is asked for again."""
    job = get_object_or_404(Comparison.objects.visible_to(request.user).defer("pairing", "report"), pk=pk)
    response = render(request, "evaluation/_progress.html", {"job": job})
    if not job.is_active:
        response["HX-Refresh"] = "true"
    return response


@require_POST
def retry(request: HttpRequest, pk: int) -> HttpResponse:
    """Once more after a failure; back to the page that asked."""
    visible = Comparison.objects.visible_to(request.user).select_related("baseline__project")
    job = get_object_or_404(visible.defer("pairing", "report"), pk=pk)
    jobs.retry(job)
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}, require_https=request.is_secure()):
        return redirect("compare:compare", job.baseline.project.slug)
    return redirect(back)
