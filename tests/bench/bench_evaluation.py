"""A whole test run against pycocotools on the same predictions; the slider and a confusion cell at the server; memory.

Ours reads 475,000 predictions from PostgreSQL, matches, takes every figure and writes a row per image. pycocotools loads the
same two JSON files, evaluates and accumulates.
"""

import statistics
from functools import partial

from django.conf import settings
from django.test import Client

from accounts.models import ApiToken, User
from evaluation.models import TestRun
from evaluation.stored_matches import Tables, tables
from predictions.models import PredictionRun
from tests.bench import stage

COUNT, MANY = 475_000, 4_750_000
REQUESTS = 15
REFERENCE = """
import contextlib, io, sys, time
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
started = time.perf_counter()
with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO(sys.argv[1])
    evaluation = COCOeval(truth, truth.loadRes(sys.argv[2]), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
print(time.perf_counter() - started)
"""
CHILD = """
import sys
import django
django.setup()
from django.core.management import call_command, get_commands, load_command_class

def kilobytes(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field))

command = load_command_class(get_commands()["run_test"], "run_test")
idle = kilobytes("VmRSS")
call_command(command, *sys.argv[1:], stdout=open("/dev/null", "w"))
print(kilobytes("VmHWM") / 1024, idle / 1024)
"""
# The first request opens the connection and loads the code; the second is the slider's first.
FRESH = """
import sys, time
import django
django.setup()
from django.conf import settings
from django.test import Client
settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = ["testserver"], False
client = Client(headers={"Authorization": f"Bearer {sys.argv[1]}"})
assert client.get(sys.argv[2]).status_code == 200
started = time.perf_counter()
assert client.get(sys.argv[2] + sys.argv[3]).status_code == 200
print(time.perf_counter() - started)
"""


def run(runs: int) -> None:
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = ["testserver"], False
    stage.imported_truth()
    truth, results = stage.files(COUNT)
    run_of(COUNT)
    stage.compare(
        "a whole test run / pycocotools, in the process",
        lambda: stage.command("run_test", stage.SLUG, "--run", name_of(COUNT)),
        lambda: float(stage.process("-c", REFERENCE, str(truth), str(results))),
        min(runs, 3),
        target=0.1,
    )
    answers()
    for count in (COUNT, MANY):
        run_of(count)
        seconds = stage.command("run_test", stage.SLUG, "--run", name_of(count))
        peak, idle = stage.process("-c", CHILD, stage.SLUG, "--run", name_of(count)).split()
        aim = " (aim: 600)" if count == COUNT else ""
        print(
            f"{count:>9,} predictions: {seconds:6.1f} s, peak {float(peak):7.1f} MB{aim}, of them {float(idle):.1f} idle",
            flush=True,
        )


def answers() -> None:
    """A slider at many places, and cells, as the API answers them; the reference is the test run's own address."""
    user = User.objects.get(username="bench")
    _, key = ApiToken.issue(user, "bench")
    client = Client(headers={"Authorization": f"Bearer {key}"})
    test_run = TestRun.objects.filter(prediction_run__name=name_of(COUNT), status="completed").latest("pk")
    address = f"/api/inference/test-runs/{test_run.pk}/"

    def ask(path: str) -> None:
        assert client.get(address + path).status_code == 200, path

    def cold(path: str) -> None:
        tables._kept.clear()
        ask(path)

    assert isinstance(tables, Tables)
    for label, call in {
        "operating point at 0.3": partial(ask, "operating-point/?confidence=0.3"),
        "operating point at 0.001": partial(ask, "operating-point/?confidence=0.001"),
        "operating point, the table not in memory": partial(cold, "operating-point/?confidence=0.3"),
        "confusion cell, the table not in memory": partial(cold, "confusion/?true=0&predicted=1&confidence=0.05"),
        "confusion cell of two classes": partial(ask, "confusion/?true=0&predicted=1&confidence=0.05"),
        "confusion cell of background": partial(ask, "confusion/?true=-1&predicted=0&confidence=0.05"),
        "false positives, first page": partial(ask, "objects/?outcome=fp&confidence=0.05"),
        "images, worst first": partial(ask, "images/?sort=f1"),
    }.items():
        aim = 150 if "cell" in label else 100
        print(f"{label:<46} {1000 * stage.median_seconds(call, REQUESTS):7.1f} ms (aim: {aim})", flush=True)

    fresh = [float(stage.process("-c", FRESH, key, address, "operating-point/?confidence=0.3")) for _ in range(5)]
    print(f"{'operating point, the first of a process':<46} {1000 * statistics.median(fresh):7.1f} ms (aim: 100)", flush=True)


def name_of(count: int) -> str:
    return f"evaluation-{count}"


def run_of(count: int) -> None:
    if not PredictionRun.objects.completed().filter(name=name_of(count), prediction_count__gt=0).exists():
        _, results = stage.files(count)
        stage.manage("import_predictions", stage.SLUG, str(results), "--name", name_of(count))
