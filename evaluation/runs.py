"""Finding runs to compare."""

from collections.abc import Sequence

from django.db.models import Q, QuerySet
from django.http import Http404

from accounts.models import Project, User
from predictions.models import ImageOutcome, PredictionRun, PredictionSetVersion, RunStatus, TrainingJob

SHOWN = 30
WITH = ("project", "dataset", "split", "job", "set_version__prediction_set")


def comparable(user: User) -> "QuerySet[PredictionRun]":
    """Of what the user may see: imports that are done, and whatever a training has answered so far."""
    runs = PredictionRun.objects.visible_to(user).exclude(dataset__isnull=False, status=RunStatus.RUNNING)
    return runs.select_related(*WITH)


def find_runs(user: User, keys: Sequence[int]) -> list[PredictionRun]:
    """In the order of the keys. Raises Http404 where one is not for this user to see, or is not there."""
    found = {run.pk: run for run in comparable(user).filter(pk__in=keys)}
    if len(found) < len(set(keys)):
        raise Http404
    return [found[key] for key in keys]


def search(user: User, project: Project, words: str, beside: PredictionRun | None = None) -> list[PredictionRun]:
    """Runs of the project in whose name, job, dataset, set or epoch every word occurs, newest first; superseded ones last.

    With `beside`, those first that answered the same questions.
    """
    runs = comparable(user).filter(project=project).defer("totals", "generation_params")
    for word in words.split():
        fits = Q(name__icontains=word) | Q(job__name__icontains=word) | Q(job__job_id__icontains=word)
        fits |= Q(dataset__name__icontains=word) | Q(set_version__prediction_set__name__icontains=word)
        if word.replace(".", "", 1).isdecimal() and len(word) < 12:
            fits |= Q(epoch=float(word))
        runs = runs.filter(fits)
    if beside is not None:
        runs = runs.exclude(pk=beside.pk)
        alike = runs.filter(dataset=beside.dataset_id, set_version=beside.set_version_id)
        found = list(alike.order_by("-is_current", "-created_at", "-pk")[:SHOWN])
        if len(found) == SHOWN:
            return found
        rest = runs.exclude(pk__in=[run.pk for run in found])
        return found + list(rest.order_by("-is_current", "-created_at", "-pk")[: SHOWN - len(found)])
    return list(runs.order_by("-is_current", "-created_at", "-pk")[:SHOWN])


def sets_in_both(baseline: PredictionRun, candidate: PredictionRun) -> list[PredictionSetVersion]:
    """Versions of curated image sets against whose validators both runs were held."""
    if baseline.dataset_id is None or candidate.dataset_id is None:
        return []
    both = PredictionSetVersion.objects.filter(pk__in=ImageOutcome.objects.filter(run=baseline).values("item__version")).filter(
        pk__in=ImageOutcome.objects.filter(run=candidate).values("item__version")
    )
    return list(both.select_related("prediction_set"))


def of_job(user: User, job: TrainingJob, most: int) -> list[PredictionRun]:
    """The job's current runs in order of training, thinned out evenly where there are more; the last one is always there."""
    runs = list(comparable(user).filter(job=job, is_current=True).order_by("epoch", "step", "pk"))
    if len(runs) <= most:
        return runs
    every = len(runs) / most
    return [runs[int(number * every)] for number in range(most - 1)] + [runs[-1]]
