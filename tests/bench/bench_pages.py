"""Pages with 475,000 and with 4,750,000 predictions in the table: queries, server time, and the ratio of both.

Ten runs of 475,000 predictions each; the reference is the same page with one run in the table.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial

from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from predictions.models import PredictedObject, PredictionRun
from predictions.runs import delete_run
from tests.bench import stage

RUNS = 10
REQUESTS = 15


def run(runs: int) -> None:
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.SECURE_SSL_REDIRECT = False
    dataset = stage.imported_truth()
    _, results = stage.files(475_000)
    for old in PredictionRun.objects.filter(dataset=dataset):
        delete_run(old)
    stage.manage("import_predictions", stage.SLUG, str(results), "--name", "run 0")
    few = measure(dataset.pk)
    for number in range(1, RUNS):
        stage.manage("import_predictions", stage.SLUG, str(results), "--name", f"run {number}")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE predictions_predictedobject")
    print(f"predictions in the table: 475,000, then {PredictedObject.objects.count():,}")
    many = measure(dataset.pk)
    for label, (queries, seconds) in many.items():
        _, before = few[label]
        print(
            f"{label:<46} {queries:3} queries {1000 * seconds:7.1f} ms / {1000 * before:7.1f} ms = ratio {seconds / before:5.2f}",
            flush=True,
        )


def measure(dataset: int) -> dict[str, tuple[int, float]]:
    """Queries and median seconds by page."""
    client = Client()
    client.force_login(User.objects.get(username="bench"))
    runs = list(PredictionRun.objects.completed().filter(dataset=dataset).order_by("pk"))
    first = PredictionRun.objects.get(pk=runs[0].pk)
    sample = PredictedObject.objects.filter(run=first).order_by("pk").first()
    assert sample is not None
    grid = reverse("predictions:images", args=[dataset])
    page = reverse("predictions:sample", args=[dataset, sample.sample_id])
    six = "&".join(f"run={run.pk}" for run in runs[:6])
    last = PredictedObject.objects.filter(run=first).order_by("-sample").first()
    assert last is not None
    addresses = {
        "grid of 50 with overlays of one run (aim: 1.5)": f"{grid}?run={first.pk}",
        "its page after the middle": f"{grid}?run={first.pk}&after={(sample.sample_id + last.sample_id) // 2}",
        "grid, confidence from 0.9 in one run": f"{grid}?run={first.pk}&low=0.9",
        "grid in the order of file names": f"{grid}?run={first.pk}&sort=name",
        "sample page with up to six runs": f"{page}?{six}",
        "sample page with one run": f"{page}?run={first.pk}",
    }
    return {
        label: (count_queries(client, address), time_of(partial(client.get, address))) for label, address in addresses.items()
    }


def count_queries(client: Client, address: str) -> int:
    client.get(address)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


def time_of(call: Callable[[], object]) -> float:
    def once() -> float:
        started = time.perf_counter()
        call()
        return time.perf_counter() - started

    return statistics.median(once() for _ in range(REQUESTS))
