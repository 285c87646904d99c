"""Requests that no honest trainer sends: each is refused with a reason or kept as far as it can be; none is a server's error."""

import json
from typing import Any

import pytest
from django.test import Client

from accounts.models import ApiToken, User
from predictions.models import PredictionRun, TextPrediction, TrainingJob
from predictions.totals import Totals
from tests.factories import make_answer, make_firing, make_project, make_training_job

pytestmark = pytest.mark.django_db
HUGE = 10**400
DEEP = "[" * 600 + "]" * 600


@pytest.fixture
def job(user: User) -> TrainingJob:
    return make_training_job(make_project(user), "nightly")


@pytest.fixture
def client(user: User) -> Client:
    headers = {"Authorization": f"Bearer {ApiToken.issue(user, 'script')[1]}"}
    return Client(headers=headers, raise_request_exception=False)


def post(client: Client, path: str, body: dict[str, Any]) -> Any:
    text = json.dumps(body).replace('"DEEP"', DEEP).replace('"ENDLESS"', "1e999")
    return client.post(f"/api/training/{path}", text, content_type="application/json")


ITEM = {"item_key": "k", "sample_index": 0, "prompt": "q"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("predictions/", {"epoch": "ENDLESS"}),
        ("predictions/", {"epoch": "nan"}),
        ("predictions/", {"step": 10**30}),
        ("predictions/", {"prediction_set": "n" * 130}),
        ("predictions/", {"generation_params": {"a": "DEEP"}}),
        ("jobs/nightly/progress/", {"step": 10**30}),
        ("jobs/nightly/progress/", {"total_steps": 10**30}),
        ("jobs/nightly/checkpoints/", {"path": "/x", "epoch": "ENDLESS", "step": 1}),
        ("jobs/nightly/checkpoints/", {"path": "/x", "epoch": 1, "step": 10**30}),
        ("jobs/nightly/sets/", {"name": "s", "items": [ITEM | {"sample_index": 10**30}]}),
        ("jobs/nightly/sets/", {"name": "s", "items": [ITEM], "seed": 10**30}),
        ("jobs/nightly/sets/", {"name": "s", "items": [ITEM | {"metadata": {"a": "DEEP"}}]}),
        ("jobs/", {"job_id": "other", "config": {"note": "a\x00"}}),
        ("jobs/", {"job_id": "other", "config": {"note": "ENDLESS"}}),
        ("jobs/", {"job_id": "other", "config": {"note": "\ud800"}}),
        ("jobs/nightly/start/", {"environment": {"a": "DEEP"}}),
    ],
)
def test_what_makes_no_sense_is_the_sender_s_error(client: Client, job: TrainingJob, path: str, body: dict[str, Any]) -> None:
    answers = {"job_id": "nightly", "predictions": [make_answer()]} | ({} if "step" in body else {"epoch": 1})
    answer = post(client, path, (answers if path == "predictions/" else {}) | body)
    assert answer.status_code == 400, (answer.status_code, answer.content[:300])


@pytest.mark.parametrize(
    "row",
    [{"latency_ms": HUGE}, {"metadata": {"a": "DEEP"}}, {"sample_index": HUGE}, {"token_counts": "DEEP"}],
)
def test_a_bad_row_costs_no_good_one(client: Client, job: TrainingJob, row: dict[str, Any]) -> None:
    body = {"job_id": "nightly", "epoch": 1, "predictions": [make_answer(0), make_answer(1) | row]}
    answer = post(client, "predictions/", body)
    assert answer.status_code == 200, (answer.status_code, answer.content[:300])
    assert (answer.json()["stored"], [refusal["index"] for refusal in answer.json()["rejected"]]) == (1, [1])


def test_an_endless_score_is_not_measured(client: Client, job: TrainingJob) -> None:
    rows = [make_answer(scores={"a": HUGE, "b": "ENDLESS", "c": 1})]
    assert post(client, "predictions/", {"job_id": "nightly", "epoch": 1, "predictions": rows}).status_code == 200
    assert TextPrediction.objects.get().custom_scores == {"c": 1.0}


def test_a_score_whose_square_is_endless_stops_nothing(client: Client, job: TrainingJob) -> None:
    body = {"job_id": "nightly", "epoch": 1, "predictions": [make_answer(n, scores={"loss": 1e300}) for n in range(2)]}
    assert post(client, "predictions/", body).status_code == 200
    assert client.get("/api/training/predictions/nightly/trends/").status_code == 200


def test_scores_of_a_name_that_the_server_measures_do_not_count(job: TrainingJob) -> None:
    make_firing(job, 1, [make_answer(0, "wrong", scores={"exact_match": 1.0})])
    totals = Totals.from_json(PredictionRun.objects.get().totals)
    assert (totals.mean("exact_match"), totals.scores["exact_match"].count) == (0.0, 1)


def test_a_reference_taken_back_leaves_no_bleu(job: TrainingJob) -> None:
    make_firing(job, 1, [make_answer(0, ground_truth=None)])
    make_firing(job, 1, [make_answer(0)])
    make_firing(job, 1, [make_answer(0, ground_truth=None)])
    assert Totals.from_json(PredictionRun.objects.get().totals).corpus_bleu is None


def test_a_set_may_hold_letters_that_no_database_takes(client: Client, job: TrainingJob) -> None:
    odd = ITEM | {"prompt": "a\x00b\ud800", "references": ["\x00"]}
    assert post(client, "jobs/nightly/sets/", {"name": "s", "items": [odd]}).status_code == 200
    row = {"sample_index": 0, "item_key": "k", "prompt": odd["prompt"], "prediction": "\ufffd"}
    answer = post(client, "predictions/", {"job_id": "nightly", "epoch": 1, "prediction_set": "s", "predictions": [row]})
    assert answer.json() == {"stored": 1, "updated": 0, "rejected": []}
    assert TextPrediction.objects.get().exact_match == 1.0


def test_a_thousand_and_one_rows_are_too_many(client: Client, job: TrainingJob) -> None:
    rows = [make_answer(n) for n in range(1001)]
    answer = post(client, "predictions/", {"job_id": "nightly", "epoch": 1, "predictions": rows})
    assert answer.status_code == 400 and "1,001" in answer.json()["detail"] and not TextPrediction.objects.exists()


@pytest.mark.parametrize(
    "path",
    [
        "predictions/a%00b/",
        "predictions/nightly/?project=%00",
        "predictions/nightly/trends/?prediction_set=%00",
        "predictions/nightly/samples/99999999999999999999/trend/",
        "jobs/?project=%00",
        "jobs/a%00b/",
    ],
)
def test_addresses_that_no_database_takes_find_nothing(client: Client, job: TrainingJob, path: str) -> None:
    assert client.get(f"/api/training/{path}").status_code in (200, 400, 404)


def test_nul_in_an_address_of_the_api_is_a_problem_that_names_its_place(client: Client, job: TrainingJob) -> None:
    by_path, by_parameter = client.get("/api/training/jobs/a%00b/"), client.get("/api/training/jobs/?project=%00")
    assert [answer.json()["errors"][0]["field"] for answer in (by_path, by_parameter)] == ["path", "project"]


def test_nul_in_the_address_of_a_page_is_a_page(client: Client) -> None:
    answer = client.get("/jump/?q=%00")
    assert (answer.status_code, answer["Content-Type"]) == (400, "text/html; charset=utf-8")


def test_a_job_with_nul_in_its_id_is_not_begun(client: Client, job: TrainingJob) -> None:
    assert post(client, "jobs/a%00b/start/", {}).status_code in (400, 404)
