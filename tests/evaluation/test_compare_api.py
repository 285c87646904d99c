"""GET /api/compare/ against what is said of it."""

import json
from typing import Any

import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from accounts.models import Project, User
from evaluation import large
from evaluation.models import Comparison
from evaluation.tasks import run_comparison
from predictions.models import PredictionRun, PredictionSetItem
from tests.factories import make_answer, make_dataset, make_firing, make_project, make_run, make_training_job, make_user
from tests.test_openapi import as_json_schema, complaints, operations

pytestmark = pytest.mark.django_db

KEYS = {
    "baseline", "candidate", "metric", "matched", "only_baseline", "only_candidate", "improved", "regressed", "unchanged",
    "baseline_mean", "candidate_mean", "difference", "interval", "test", "p_value", "verdict", "differences",
}  # fmt: skip


@pytest.fixture
def client(user: User, client_of: Any) -> Client:
    return client_of(user)


@pytest.fixture
def project(user: User) -> Project:
    return make_project(user, name="texts")


@pytest.fixture
def runs(project: Project) -> list[PredictionRun]:
    job = make_training_job(project)
    make_firing(job, 1, [make_answer(n, "right" if n < 9 else "wrong") for n in range(21)])
    make_firing(job, 2, [make_answer(n, "right" if n >= 9 else "wrong") for n in range(21)])
    return list(PredictionRun.objects.order_by("epoch"))


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    strict: dict[str, Any] = as_json_schema(json.loads(json.dumps(SchemaGenerator().get_schema(request=None, public=True))))
    return strict


def ask(client: Client, runs: list[PredictionRun], **query: Any) -> Any:
    return client.get("/api/compare/", {"baseline": runs[0].pk, "candidate": runs[1].pk, **query})


def test_everything_is_there_and_as_documented(client: Client, runs: list[PredictionRun], schema: dict[str, Any]) -> None:
    answer = ask(client, runs, metric="exact_match")
    found = answer.json()
    assert found.keys() >= KEYS and complaints(schema, operations(schema, "/api/compare/")["get"], answer) == []
    assert (found["baseline"], found["candidate"], found["metric"]) == (runs[0].pk, runs[1].pk, "exact_match")
    assert (found["matched"], found["improved"], found["regressed"], found["unchanged"]) == (21, 12, 9, 0)
    assert found["test"] == "exact McNemar" and found["p_value"] == pytest.approx(0.6636, abs=1e-4)
    assert found["verdict"].startswith("12 better, 9 worse, 0 the same: not decisive (p = 0.66)")
    assert found["interval"][0] < found["difference"] < found["interval"][1] and found["differences"] == []


def test_the_metric_may_be_left_out(client: Client, runs: list[PredictionRun]) -> None:
    assert ask(client, runs).json()["metric"] == "exact_match"


def test_continuous_scores_are_bootstrapped(client: Client, runs: list[PredictionRun]) -> None:
    found = ask(client, runs, metric="char_error_rate").json()
    assert found["test"] == "paired bootstrap" and found["lower_is_better"] is True


def test_an_unknown_metric_is_a_problem_that_lists_the_known(
    client: Client, runs: list[PredictionRun], schema: dict[str, Any]
) -> None:
    answer = ask(client, runs, metric="accuracy")
    assert answer.status_code == 400 and answer.headers["Content-Type"] == "application/problem+json"
    assert "exact_match, exact_match_norm, char_error_rate" in answer.json()["detail"]
    assert complaints(schema, operations(schema, "/api/compare/")["get"], answer) == []


@pytest.mark.parametrize("change", [{"baseline": ""}, {"candidate": "x"}, {"confidence": 2}, {"set": -1}, {"baseline": 2**70}])
def test_what_does_not_fit_is_told_at_its_field(client: Client, runs: list[PredictionRun], change: dict[str, Any]) -> None:
    answer = ask(client, runs, **change)
    assert answer.status_code == 400 and answer.json()["errors"][0]["field"] == next(iter(change))


def test_runs_that_one_may_not_see_are_not_there(client: Client, runs: list[PredictionRun]) -> None:
    hidden = make_run(make_dataset(make_project(make_user())))
    assert ask(client, runs, candidate=hidden.pk).status_code == 404
    assert ask(client, runs, candidate=10**9).status_code == 404


def test_nothing_shared_is_an_answer(client: Client, runs: list[PredictionRun], project: Project) -> None:
    found = ask(client, runs, candidate=make_run(make_dataset(project)).pk).json()
    assert (found["matched"], found["p_value"], found["difference"], found["test"]) == (0, None, None, "none")
    assert found["only_baseline"] == 21 and "share no items" in found["differences"][0]


def test_a_tag_is_a_slice(client: Client, runs: list[PredictionRun]) -> None:
    PredictionSetItem.objects.filter(sample_index__lt=4).update(tags=["first"])
    assert ask(client, runs, metric="exact_match", tag="first").json()["matched"] == 4
    assert ask(client, runs, metric="exact_match", tag="none").json()["verdict"] == "No shared item has this tag."


def test_large_runs_are_asked_for_again(
    client: Client, runs: list[PredictionRun], monkeypatch: pytest.MonkeyPatch, schema: dict[str, Any]
) -> None:
    monkeypatch.setattr(large, "MOST_ITEMS", 20)
    waiting = ask(client, runs, metric="exact_match")
    assert waiting.status_code == 202 and waiting.json()["status"] == "pending"
    assert complaints(schema, operations(schema, "/api/compare/")["get"], waiting) == []
    run_comparison(Comparison.objects.get().pk)
    plain = ask(client, runs, metric="exact_match").json()
    monkeypatch.undo()
    assert plain == ask(client, runs, metric="exact_match").json()
