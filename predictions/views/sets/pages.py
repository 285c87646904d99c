"""Sets of questions: the list, a new one, one with its versions and items, and its end."""

from typing import Any

from django.contrib import messages
from django.contrib.humanize.templatetags.humanize import intcomma
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import get_project
from accounts.models import Role
from predictions import curation, leakage_checks, set_files
from predictions.models import PredictionSet, PredictionSetVersion, SetKind
from predictions.prediction_sets import SetRefused, find_version
from predictions.set_items import items_of, tag_counts, users_of, validator_counts
from predictions.sets_access import get_set, get_version
from predictions.sets_forms import NewSetForm

PAGE = 50
INVALID = 422


def is_fragment(request: HttpRequest) -> bool:
    return bool(request.htmx) and not request.htmx.history_restore_request


@require_safe
def set_list(request: HttpRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug)
    sets = PredictionSet.objects.filter(project=project).with_versions().order_by("kind", "name")
    search, kind = request.GET.get("search", "").strip()[:120], request.GET.get("kind", "")
    if search:
        sets = sets.filter(name__icontains=search)
    if kind in SetKind.values:
        sets = sets.filter(kind=kind)
    context = {
        "project": project,
        "page": Paginator(sets, PAGE).get_page(request.GET.get("page")),
        "search": search,
        "kind": kind,
        "kinds": SetKind.choices,
        "is_filtered": bool(search or kind),
        "api_url": f"/api/sets/?project={project.slug}",
    }
    response = render(request, "sets/list.html#set-table" if is_fragment(request) else "sets/list.html", context)
    patch_vary_headers(response, ["HX-Request"])
    return response


@require_http_methods(["GET", "HEAD", "POST"])
def set_new(request: HttpRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug, Role.EDITOR)
    form = NewSetForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            made = curation.create_set(project, request.user, **form.cleaned_data)
        except SetRefused as refusal:
            form.add_error("name", f"{refusal} {refusal.remedy}")
        else:
            messages.success(request, f"{made.name} is made. Add items to its draft, or import them.")
            return redirect(made)
    return render(request, "sets/new.html", {"project": project, "form": form}, status=INVALID if form.errors else 200)


@require_safe
def set_find(request: HttpRequest, slug: str) -> HttpResponse:
    """The page of a version by `?reference=golden@3`, for links that know no more than the name."""
    project = get_project(request.user, slug)
    try:
        version = find_version(project, request.GET.get("reference", ""))
    except SetRefused:
        raise Http404 from None
    return redirect(f"{version.prediction_set.get_absolute_url()}?version={version.number}")


@require_safe
def set_options(request: HttpRequest, slug: str) -> HttpResponse:
    """The golden sets of a project to choose from; loaded after a page that adds to them."""
    project = get_project(request.user, slug)
    return render(request, "sets/_options.html", {"golden_sets": curation.golden_sets(project)})


@require_safe
def set_page(request: HttpRequest, pk: int) -> HttpResponse:
    """The versions as a timeline, and the items of one of them."""
    asked = get_set(request.user, pk)
    versions = list(asked.versions.select_related("published_by").order_by("-number"))
    version = _shown(asked, versions, request.GET.get("version", ""))
    context = {
        **frame(asked),
        **_table(request, version),
        "versions": versions,
        "version": version,
        "formats": set_files.FORMATS,
    }
    if is_fragment(request):
        response = render(request, "sets/set.html#items", context)
    else:
        used = users_of(asked)
        for each in versions:
            each.jobs = used.get(each.number, [])
        context["asking"] = curation.jobs_asking(asked) if asked.is_curated else []
        context["leaks"] = [check for check in leakage_checks.of_set(asked.pk) if version == check.version and check.leaked]
        response = render(request, "sets/set.html", context)
    patch_vary_headers(response, ["HX-Request"])
    return response


def posted(request: HttpRequest) -> tuple[Any, Any]:
    """Fields and files of a form that was sent, None and None before."""
    return (request.POST, request.FILES) if request.method == "POST" else (None, None)


def frame(asked: PredictionSet) -> dict[str, Any]:
    """What every page of a set shows."""
    return {"set": asked, "project": asked.project, "api_url": f"/api/sets/{asked.pk}/"}


def _shown(asked: PredictionSet, versions: list[PredictionSetVersion], name: str) -> PredictionSetVersion | None:
    """The version that the address names; else the draft, else the newest."""
    if name:
        return get_version(asked, name)
    drafts = [each for each in versions if each.is_open]
    return next(iter(drafts or versions), None)


def _table(request: HttpRequest, version: PredictionSetVersion | None) -> dict[str, Any]:
    if version is None:
        return {"page": None}
    search = request.GET.get("search", "").strip()[:200]
    tag, validator = request.GET.get("tag", "")[:60], request.GET.get("validator", "")[:60]
    return {
        "page": Paginator(items_of(version, search, tag, validator), PAGE).get_page(request.GET.get("page")),
        "search": search,
        "tag": tag,
        "validator": validator,
        "tags": tag_counts(version),
        "validators": validator_counts(version),
        "is_filtered": bool(search or tag or validator),
    }


@require_POST
def set_delete(request: HttpRequest, pk: int) -> HttpResponse:
    asked = get_set(request.user, pk, Role.EDITOR)
    try:
        count = curation.delete_set(asked)
    except SetRefused as refusal:
        return refused(request, refusal, asked)
    messages.success(request, f"{asked.name} is deleted, with {intcomma(count)} items.")
    return redirect("sets:list", asked.project.slug)


def refused(request: HttpRequest, refusal: SetRefused, asked: PredictionSet) -> HttpResponse:
    """Back to the set, with the reason and how to mend it."""
    messages.error(request, f"{refusal} {refusal.remedy}")
    return redirect(reverse("sets:set", args=[asked.pk]))
