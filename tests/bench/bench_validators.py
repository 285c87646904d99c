"""Validators at ingest: rows a second with ten plain ones on each row, against the same rows without.

One process and no HTTP, calls of 500 rows of about 12 words: what the validators cost beside scoring and storing.
"""

import json
import statistics
import time
from typing import Any

from accounts.models import User
from accounts.projects import personal_project
from predictions import training
from predictions.ingest import Firing, ingest
from predictions.models import TextPrediction, TrainingJob
from predictions.validators import Claim, validate
from tests.bench.bench_ingest import BATCH, make_bodies

AIM = 2_000
CALLS = 8
PLAIN: list[dict[str, Any]] = [
    {"type": "not_equals", "value": "I do not know."},
    {"type": "not_iequals", "value": "sorry"},
    {"type": "contains_any", "value": ["a", "the", "of"]},
    {"type": "not_icontains", "value": "as a language model"},
    {"type": "not_starts_with", "value": "Sure"},
    {"type": "regex", "value": r"^[a-z ]+$"},
    {"type": "not_is_json"},
    {"type": "max_length", "value": 200},
    {"type": "min_length", "value": 3, "unit": "words"},
    {"type": "score", "value": "char_error_rate", "threshold": 0.9},
]


def run(runs: int) -> None:
    calls = [json.loads(body)["predictions"] for body in make_bodies("validated")[:CALLS]]
    rows = BATCH * CALLS
    without, validated = [], []
    for number in range(runs):  # by turns, so that a busy machine slows both
        without.append(rows / seconds(calls, [], f"plain-{number}"))
        validated.append(rows / seconds(calls, PLAIN, f"validated-{number}"))
    ratio = statistics.median(a / b for a, b in zip(validated, without, strict=True))
    print(f"rows a second, with {len(PLAIN)} validators (aim: {AIM:,}) {statistics.median(validated):10,.0f}")
    print(f"rows a second, the same without            {statistics.median(without):10,.0f}   ratio {ratio:5.2f}")
    print(f"rows a second, validators alone            {rows / alone(calls):10,.0f}", flush=True)


def seconds(calls: list[list[dict[str, Any]]], validators: list[dict[str, Any]], job_id: str) -> float:
    user = User.objects.get(username="bench")
    config = {"predictions": {"validators": validators}}
    TrainingJob.objects.filter(job_id=job_id).exists() and training.delete_job(TrainingJob.objects.get(job_id=job_id))
    job = training.create_job(personal_project(user), user, job_id=job_id, config=config)
    ingest(job, Firing(epoch=0, step=0, attempt=1), calls[0])  # the items, and references that are prepared once
    started = time.perf_counter()
    for epoch, call in enumerate(calls, start=1):
        ingest(job, Firing(epoch=epoch, step=epoch, attempt=1), call)
    took = time.perf_counter() - started
    judged = TextPrediction.objects.filter(run__job=job).exclude(passed=None).count()
    assert judged == (BATCH * (CALLS + 1) if validators else 0)
    return took


def alone(calls: list[list[dict[str, Any]]]) -> float:
    claims = [Claim(row["prediction"]) for call in calls for row in call]
    started = time.perf_counter()
    for claim in claims:
        validate(PLAIN, claim)
    return time.perf_counter() - started
