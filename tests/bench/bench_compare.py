"""Comparisons: two runs with 10,000 answers each, statistics included; 20 runs x 1,000 items; 5,000 images x 475,000 predictions.

The reference of a page is one query that reads the rows it is about. Each answer changes by chance, so that nothing is spared.
"""

from collections.abc import Callable
from functools import partial

from django.conf import settings
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.projects import personal_project
from evaluation.comparison import judge
from evaluation.pairing import pair
from predictions import training
from predictions.models import PredictionRun, TextPrediction, TrainingJob
from predictions.prediction_sets import version_for_answers
from predictions.scoring import SCORE_NAMES
from tests.bench.bench_training import totals
from tests.bench.stage import files, imported_truth, manage, median_seconds

TAGS = ("short", "long", "numbers", "names", "dates")


def run(runs: int) -> None:
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = ["testserver"], False
    user = User.objects.get(username="bench")
    pages = Client()
    pages.force_login(user)
    slug = personal_project(user).slug

    two = filled("compare-10000", 2, 10_000)
    query = {"baseline": two[0].pk, "candidate": two[1].pk}
    for metric in ("exact_match", "char_error_rate"):
        address = reverse("compare:compare", args=[slug], query=query | {"metric": metric})
        tell(f"page of 2 x 10,000 by {metric}", partial(pages.get, address), partial(read, two), runs, 1.0)
    address = f"/api/compare/?baseline={two[0].pk}&candidate={two[1].pk}&metric=exact_match"
    tell("API, 2 x 10,000, exact match", partial(pages.get, address), partial(read, two), runs, 1.0)

    twenty = filled("matrix-1000", 20, 1_000)
    for metric in ("exact_match", "char_error_rate"):
        address = f"{reverse('compare:matrix', args=[slug])}?job={twenty[0].job_id}&metric={metric}"
        tell(f"matrix of 20 x 1,000 by {metric}", partial(pages.get, address), partial(read, twenty), runs, 1.0)

    images = image_runs()
    seconds = median_seconds(partial(_judged, images), runs)
    print(f"{'images: 2 runs of 475,000 boxes over 5,000 images (a job)':<58} {seconds:8.3f} s", flush=True)


def tell(label: str, ours: Callable[[], object], reference: Callable[[], object], runs: int, aim: float) -> None:
    ours()  # once to warm up
    mine, theirs = median_seconds(ours, runs), median_seconds(reference, runs)
    print(f"{label:<58} {mine:8.3f} s / {theirs:8.3f} s = ratio {mine / theirs:5.2f} (aim: {aim:g} s)", flush=True)


def read(runs: list[PredictionRun]) -> list[tuple[object, ...]]:
    return list(TextPrediction.objects.filter(run__in=runs).order_by().values_list("item__key", *SCORE_NAMES))


def _judged(images: list[PredictionRun]) -> object:
    pairing = pair(images[0], images[1])
    return judge(pairing, pairing.metrics)


def filled(job_id: str, epochs: int, items: int) -> list[PredictionRun]:
    """A job with rows made by the database."""
    found = TrainingJob.objects.filter(job_id=job_id).first()
    if found and TextPrediction.objects.filter(run__job=found).count() == epochs * items:
        return list(PredictionRun.objects.of_training(found))
    if found:
        training.delete_job(found)
    user = User.objects.get(username="bench")
    job = training.create_job(personal_project(user), user, job_id=job_id)
    version = version_for_answers(job, "")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM predictions_predictionsetitem WHERE version_id = %s", [version.pk])
        cursor.execute(
            'INSERT INTO predictions_predictionsetitem (version_id, key, sample_index, prompt, messages, "references", metadata,'
            " validators, tags, weight, notes)"
            " SELECT %s, md5(%s || n), n, 'Say it again, number ' || n, NULL, ARRAY['the true answer number ' || n], '{}',"
            " '[]', ARRAY[(%s::text[])[1 + n %% 5]], 1, '' FROM generate_series(0, %s) n",
            [version.pk, job_id, list(TAGS), items - 1],
        )
        for epoch in range(1, epochs + 1):
            made = PredictionRun.objects.create(
                project=job.project, job=job, set_version=version, epoch=epoch, step=epoch * 100, attempt=1, name=f"epoch {epoch}",
                origin="training", status="completed", prediction_count=items, totals=totals(epoch), score_version="1",
            )  # fmt: skip
            cursor.execute(
                "INSERT INTO predictions_textprediction (run_id, item_id, sample_index, prediction, exact_match, exact_match_norm,"
                " char_error_rate, char_edits, reference_length, length_ratio, word_overlap, token_f1, chrf, finish_reason)"
                " SELECT %s, id, sample_index, 'the answer of epoch ' || %s || ' to number ' || sample_index, round(random()),"
                " round(random()), random(), 5, 25, 1 + random(), random(), random(), 100 * random(), 'eos'"
                " FROM predictions_predictionsetitem WHERE version_id = %s",
                [made.pk, epoch, version.pk],
            )
        cursor.execute("ANALYZE predictions_textprediction")
    return list(PredictionRun.objects.of_training(job))


def image_runs() -> list[PredictionRun]:
    dataset = imported_truth()
    for name in ("compare-a", "compare-b"):
        if not PredictionRun.objects.completed().filter(dataset=dataset, name=name, prediction_count=475_000).exists():
            manage("import_predictions", dataset.slug, str(files(475_000)[1]), "--name", name)
    return list(
        PredictionRun.objects.completed().filter(dataset=dataset, name__startswith="compare-").select_related("dataset")
    )
