"""Answers of trainings by HTTP, with all default scores: rows a second, against scoring alone on as many cores.

Two web processes as `up` starts them, eight senders, batches of 500 rows of about 12 words (65 characters).
"""

import http.client
import json
import multiprocessing
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings

from accounts.models import ApiToken, User
from accounts.projects import personal_project
from predictions import scoring, training
from predictions.models import TextPrediction, TrainingJob
from tests.bench.stage import ROOT

BATCH, BATCHES, SENDERS = 500, 48, 8
AIM = 5_000
COMMON = "the of and a to in is that it was for on are as with his they at be this from have or by one had not but what".split()
SYLLABLES = "ra me ti lo su ken dar vi pol na ber gi shu tor el fa min ho".split()
# As in what people write: few words make half of a text, many make the rest.
WORDS = COMMON * 15 + [first + second for first in SYLLABLES for second in SYLLABLES] * 2
Body = dict[str, Any]


def run(runs: int) -> None:
    user = User.objects.get(username="bench")
    _, key = ApiToken.issue(user, "bench")
    rates, alone = [], []
    with served() as port:
        for number in range(runs):
            job_id = f"ingest-{number}"
            TrainingJob.objects.filter(job_id=job_id).exists() and training.delete_job(TrainingJob.objects.get(job_id=job_id))
            training.create_job(personal_project(user), user, job_id=job_id)
            bodies = make_bodies(job_id)
            rates.append(BATCH * BATCHES / send_all(port, key, bodies))
            alone.append(2 * BATCH * BATCHES / seconds_of_scoring(bodies))
    assert TextPrediction.objects.filter(run__job__job_id="ingest-0").count() == BATCH * BATCHES
    ratio = statistics.median(a / b for a, b in zip(rates, alone, strict=True))
    print(f"rows a second, ingested (aim: {AIM:,})     {statistics.median(rates):10,.0f}")
    print(f"rows a second, scored and nothing else {statistics.median(alone):10,.0f}   ratio {ratio:5.2f}", flush=True)


def make_bodies(job_id: str) -> list[bytes]:
    """An epoch of 500 rows each; references come again every epoch, answers differ."""
    chooser = random.Random(5)
    truths = [" ".join(chooser.choices(WORDS, k=12)) for _ in range(BATCH)]

    def answer(truth: str) -> str:
        return " ".join(word if chooser.random() < 0.7 else chooser.choice(WORDS) for word in truth.split())

    return [
        json.dumps(
            {
                "job_id": job_id,
                "epoch": epoch,
                "step": epoch * 100,
                "predictions": [
                    {
                        "sample_index": n,
                        "prompt": f"Say number {n} again: {truth}",
                        "ground_truth": truth,
                        "prediction": answer(truth),
                        "latency_ms": 12.5,
                        "finish_reason": "eos",
                        "token_counts": {"prompt": 20, "completion": 14},
                    }
                    for n, truth in enumerate(truths)
                ],
            }
        ).encode()
        for epoch in range(BATCHES)
    ]


def send_all(port: int, key: str, bodies: list[bytes]) -> float:
    """Seconds until all are stored; a sender is a process, so that it costs what a trainer elsewhere would not."""
    send(port, key, bodies[:1])
    started = time.perf_counter()
    senders = [
        multiprocessing.get_context("fork").Process(target=send, args=(port, key, bodies[place::SENDERS]))
        for place in range(SENDERS)
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
        assert sender.exitcode == 0
    return time.perf_counter() - started


def send(port: int, key: str, bodies: list[bytes]) -> None:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    for body in bodies:
        # A connection each, as of many trainings: the system spreads connections over the processes, not requests.
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", "/api/training/predictions/", body, headers)
        response = connection.getresponse()
        answer = json.load(response)
        connection.close()
        assert response.status == 200 and answer["stored"] + answer["updated"] == BATCH, answer


def seconds_of_scoring(bodies: list[bytes]) -> float:
    rows = [row for body in bodies for row in json.loads(body)["predictions"]]
    started = time.perf_counter()
    for row in rows:
        scoring.score(row["prediction"], row["ground_truth"])
    return time.perf_counter() - started


@contextmanager
def served() -> Iterator[int]:
    """The web server of `up`, with its two processes, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "granian",
        "--interface",
        "wsgi",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "2",
    ]
    command += ["--blocking-threads", "4", "--no-ws", "--log-level", "warning", "config.wsgi:application"]
    environment = os.environ | {"TOUCHSTONE_DATA": str(settings.DATA_DIR)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        time.sleep(1)
        yield port
    finally:
        process.terminate()
        process.wait(30)
