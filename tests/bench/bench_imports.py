"""Imports through the management commands, from file to commit, against a bare ijson loop with psycopg's binary COPY.

The floor's table has the same columns, foreign keys and indexes. Every run is a fresh process that has loaded its code and
then takes the time itself; whole processes, Python's start included, are told beside.
"""

import time

from predictions.models import PredictionRun
from predictions.runs import delete_run
from tests.bench import stage

FLOOR = "tests/bench/floor.py"


def run(runs: int) -> None:
    truth, results = stage.files(475_000)
    stage.imported_truth()
    stage.compare(
        "predictions, 475,000 into a new run",
        lambda: _fresh_import(str(results)),
        lambda: _floor("predictions", str(results)),
        runs,
        target=1.2,
    )
    stage.compare(
        "ground truth, 5,000 images and 37,000 boxes, a new dataset",
        lambda: _fresh_truth(str(truth)),
        lambda: _floor("truth", str(truth)),
        runs,
        target=1.2,
    )
    _fresh_import(str(results))
    replaced = stage.manage("import_predictions", stage.SLUG, str(results), "--name", "bench")
    print(f"{'the same again, replacing the run, whole process':<58} {replaced:8.3f} s")
    standing = PredictionRun.objects.get(dataset__slug=stage.SLUG, name="bench")
    started = time.perf_counter()
    delete_run(standing)
    print(f"{'deleting the run':<58} {time.perf_counter() - started:8.3f} s")


def _fresh_import(results: str) -> float:
    for old in PredictionRun.objects.filter(dataset__slug=stage.SLUG, name="bench"):
        delete_run(old)
    return stage.command("import_predictions", stage.SLUG, results, "--name", "bench")


def _fresh_truth(truth: str) -> float:
    from datasets.deleting import delete_dataset
    from datasets.models import Dataset

    for old in Dataset.objects.filter(slug="bench-truth"):
        delete_dataset(old)
    return stage.command("import_coco", "bench-truth", truth)


def _floor(kind: str, path: str) -> float:
    return float(stage.process(FLOOR, kind, path))
