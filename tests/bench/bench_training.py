"""A training job with 1,000,000 predictions over 100 epochs: trends, and the first page of its table in any order.

The reference of the trends is a request that reads one row: the job itself.
"""

from functools import partial

from django.conf import settings
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.models import ApiToken, User
from accounts.projects import personal_project
from predictions import training
from predictions.models import PredictionRun, TextPrediction, TrainingJob
from predictions.totals import Moments, Totals
from tests.bench.stage import median_seconds

JOB, EPOCHS, ITEMS = "million", 100, 10_000
REQUESTS = 25
SCORES = ("exact_match", "exact_match_norm", "char_error_rate", "length_ratio", "word_overlap", "token_f1", "chrf")
ORDERS = ("sample_index", "-char_error_rate", "char_error_rate", "chrf", "-word_overlap", "-latency_ms")


def run(runs: int) -> None:
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = ["testserver"], False
    job = filled()
    user = User.objects.get(username="bench")
    _, key = ApiToken.issue(user, "bench")
    api = Client(headers={"Authorization": f"Bearer {key}"})
    print(f"predictions of the job: {TextPrediction.objects.filter(run__job=job).count():,} over {EPOCHS} epochs")
    one_row = median_seconds(partial(api.get, f"/api/training/jobs/{JOB}/"), REQUESTS)
    for label, path in {
        "trends (aim: 3)": f"/api/training/predictions/{JOB}/trends/",
        "epochs": f"/api/training/predictions/{JOB}/epochs/",
        "answers, 50 from the middle": f"/api/training/predictions/{JOB}/?offset=500000&limit=50",
        "one sample over all epochs": f"/api/training/predictions/{JOB}/samples/77/trend/",
    }.items():
        seconds = median_seconds(partial(api.get, path), REQUESTS)
        print(f"{label:<46} {1000 * seconds:7.1f} ms / {1000 * one_row:7.1f} ms = ratio {seconds / one_row:5.2f}", flush=True)
    pages = Client()
    pages.force_login(user)
    for order in ORDERS:
        for epoch in (1, EPOCHS):
            address = f"{reverse('training:job', args=[job.pk])}?epoch={epoch}&sort={order}"
            seconds = median_seconds(partial(pages.get, address, headers={"HX-Request": "true"}), REQUESTS)
            print(f"table of epoch {epoch:<3} by {order:<18} (aim: 100 ms) {1000 * seconds:7.1f} ms", flush=True)
    whole = median_seconds(partial(pages.get, reverse("training:job", args=[job.pk])), REQUESTS)
    print(f"the whole page, with what its charts offer {1000 * whole:24.1f} ms", flush=True)


def filled() -> TrainingJob:
    """The job, with rows made by the database; totals as ingest keeps them."""
    found = TrainingJob.objects.filter(job_id=JOB).first()
    if found and found.runs.count() == EPOCHS and TextPrediction.objects.filter(run__job=found).count() == EPOCHS * ITEMS:
        return found
    if found:
        training.delete_job(found)
    user = User.objects.get(username="bench")
    job = training.create_job(personal_project(user), user, job_id=JOB)
    from predictions.prediction_sets import version_for_answers

    version = version_for_answers(job, "")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM predictions_predictionsetitem WHERE version_id = %s", [version.pk])
        cursor.execute(
            'INSERT INTO predictions_predictionsetitem (version_id, key, sample_index, prompt, messages, "references", metadata,'
            " validators, tags, weight, notes)"
            " SELECT %s, md5(n::text), n, 'Say it again, number ' || n, NULL, ARRAY['the true answer number ' || n], '{}',"
            " '[]', '{}', 1, ''"
            " FROM generate_series(0, %s) n",
            [version.pk, ITEMS - 1],
        )
        for epoch in range(1, EPOCHS + 1):
            made = PredictionRun.objects.create(
                project=job.project, job=job, set_version=version, epoch=epoch, step=epoch * 100, attempt=1, name=f"epoch {epoch}",
                origin="training", status="completed", prediction_count=ITEMS, totals=totals(epoch), score_version="1",
            )  # fmt: skip
            cursor.execute(
                "INSERT INTO predictions_textprediction (run_id, item_id, sample_index, prediction, exact_match, exact_match_norm,"
                " char_error_rate, char_edits, reference_length, length_ratio, word_overlap, token_f1, chrf, latency_ms, finish_reason)"
                " SELECT %s, id, sample_index, 'the answer of epoch ' || %s || ' to number ' || sample_index, round(random()), round(random()),"
                " random(), 5, 25, 1 + random(), random(), random(), 100 * random(), 50 * random(), 'eos'"
                " FROM predictions_predictionsetitem WHERE version_id = %s",
                [made.pk, epoch, version.pk],
            )
        cursor.execute("ANALYZE predictions_textprediction")
    TrainingJob.objects.filter(pk=job.pk).update(firing_count=EPOCHS)
    return job


def totals(epoch: int) -> dict[str, object]:
    mean = 1 / epoch
    sums = {name: Moments(ITEMS, mean * ITEMS, mean * mean * ITEMS, 0.0, 1.0) for name in SCORES}
    bleu = [ITEMS * 12] * 2 + [ITEMS * 6] * 4 + [ITEMS * 9] * 4
    return Totals(ITEMS, sums, 5 * ITEMS, 25 * ITEMS, bleu).as_json()
