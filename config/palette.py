"""Ctrl-K: the places one can jump to, grouped, best first."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from accounts.last_project import remembered_slug
from accounts.models import Project, User
from datasets.models import Dataset
from evaluation.models import TestRun
from evaluation.test_listing import HEAVY
from predictions.models import PredictionRun, PredictionSet, TrainingJob

PER_GROUP = 5


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere to go: an icon of the sprite, the words, where it belongs, the address."""

    icon: str
    name: str
    note: str
    url: str


@require_GET
def jump(request: HttpRequest) -> HttpResponse:
    """A fragment of links for the words typed; every word must occur."""
    words = request.GET.get("q", "")[:120].split()
    groups = {
        "Datasets": list(_datasets(request.user, words)),
        "Sets": list(_sets(request.user, words)),
        "Runs": list(_runs(request.user, words)),
        "Tests": list(_tests(request.user, words)),
        "Trainings": list(_trainings(request.user, words)),
        "Projects": list(_projects(request.user, words)),
        "Pages": list(_pages(request, words)),
    }
    return render(request, "_palette.html", {"groups": {name: places for name, places in groups.items() if places}})


def _datasets(user: User, words: list[str]) -> Iterator[Place]:
    found = Dataset.objects.visible_to(user).select_related("project").order_by("-updated_at")
    for word in words:
        found = found.filter(name__icontains=word)
    for dataset in found[:PER_GROUP]:
        yield Place("dataset", dataset.name, dataset.project.name, dataset.get_absolute_url())


def _runs(user: User, words: list[str]) -> Iterator[Place]:
    found = PredictionRun.objects.visible_to(user).completed().of_images().select_related("dataset").order_by("-pk")
    for word in words:
        found = found.filter(Q(name__icontains=word) | Q(dataset__name__icontains=word))
    for run in found[:PER_GROUP]:
        yield Place("run", run.name, run.dataset.name, run.get_absolute_url())


def _sets(user: User, words: list[str]) -> Iterator[Place]:
    found = PredictionSet.objects.visible_to(user).select_related("project").order_by("kind", "-pk")
    for word in words:
        found = found.filter(name__icontains=word)
    for asked in found[:PER_GROUP]:
        yield Place("check", asked.name, asked.project.name, asked.get_absolute_url())


def _tests(user: User, words: list[str]) -> Iterator[Place]:
    found = TestRun.objects.visible_to(user).select_related("dataset").defer(*HEAVY).order_by("-pk")
    for word in words:
        found = found.filter(Q(name__icontains=word) | Q(dataset__name__icontains=word))
    for test_run in found[:PER_GROUP]:
        yield Place("check", str(test_run), test_run.dataset.name, test_run.get_absolute_url())


def _trainings(user: User, words: list[str]) -> Iterator[Place]:
    found = TrainingJob.objects.visible_to(user).select_related("project").order_by("-pk")
    for word in words:
        found = found.filter(Q(name__icontains=word) | Q(job_id__icontains=word))
    for job in found[:PER_GROUP]:
        yield Place("chart", job.name, job.project.name, job.get_absolute_url())


def _projects(user: User, words: list[str]) -> Iterator[Place]:
    found = Project.objects.visible_to(user)
    for word in words:
        found = found.filter(name__icontains=word)
    for project in found[:PER_GROUP]:
        yield Place("overview", project.name, "", project.get_absolute_url())


def _pages(request: HttpRequest, words: list[str]) -> Iterator[Place]:
    pages = [
        ("grid", "All projects and invitations", reverse("accounts:projects")),
        ("plus", "New project", reverse("accounts:project_new")),
        ("key", "API tokens", reverse("accounts:tokens")),
        ("lock", "Change password", reverse("accounts:password")),
        ("book", "API docs", reverse("api-docs")),
    ]
    project = Project.objects.visible_to(request.user).filter(slug=remembered_slug(request)).first()
    if project:
        pages = [
            ("dataset", f"Datasets of {project}", reverse("datasets:list", args=[project.slug])),
            ("check", f"Sets of {project}", reverse("sets:list", args=[project.slug])),
            ("chart", f"Training in {project}", reverse("training:list", args=[project.slug])),
            ("check", f"Tests in {project}", reverse("tests:list", args=[project.slug])),
            ("plus", f"New test run in {project}", reverse("tests:new", args=[project.slug])),
            ("compare", f"Test runs of {project}, A against B", reverse("tests:against", args=[project.slug])),
            ("image", f"Try an image in {project}", reverse("inference:try", args=[project.slug])),
            ("compare", f"Compare runs of {project}", reverse("compare:compare", args=[project.slug])),
            ("alert", f"Alerts of {project}", reverse("alerts:list", args=[project.slug])),
            ("shield", f"Gates of {project}", reverse("gates:list", args=[project.slug])),
            ("members", f"Members of {project}", reverse("accounts:members", args=[project.slug])),
            *pages,
        ]
    for symbol, name, url in pages:
        if all(word.casefold() in name.casefold() for word in words):
            yield Place(symbol, name, "", url)
