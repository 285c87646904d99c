"""Gates: pass, fail or undecided, by where the whole interval lies."""

import html
import json
import re
import shlex
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from accounts.models import ApiToken, Project, User
from evaluation import gates
from evaluation.deciding import decide, overall, side
from evaluation.models import Gate, GateCheck, GateLimit
from predictions.models import JobToken, PredictionRun, TrainingJob
from predictions.prediction_sets import NewItem, register_sampled
from tests.factories import make_answer, make_firing, make_gate, make_project, make_training_job


# --- Deciding --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("interval", "lower_is_better", "outcome"),
    [
        ((0.8, 0.9), False, "pass"), ((0.81, 0.9), False, "pass"), ((0.7, 0.79), False, "fail"), ((0.7, 0.8), False, "undecided"),
        ((0.7, 0.9), False, "undecided"), ((0.7, 0.8), True, "pass"), ((0.81, 0.9), True, "fail"), ((0.79, 0.81), True, "undecided"),
        ((0.8, 0.8), False, "pass"), ((0.8, 0.8), True, "pass"),
    ],
)  # fmt: skip
def test_the_whole_interval_decides(interval: tuple[float, float], lower_is_better: bool, outcome: str) -> None:
    assert side(interval, 0.8, lower_is_better=lower_is_better) == outcome


@pytest.mark.parametrize(
    ("outcomes", "outcome"),
    [(["pass", "pass"], "pass"), (["pass", "undecided"], "undecided"), (["undecided", "fail"], "fail"), ([], "undecided")],
)
def test_one_that_fails_is_enough(outcomes: list[str], outcome: str) -> None:
    assert overall(outcomes) == outcome


def test_over_too_few_items_nothing_is_decided() -> None:
    found = decide("m", "M", "limit", 0.5, 0.9, (0.8, 1.0), 19, lower_is_better=False, least_items=20)
    assert found.outcome == "undecided" and found.reason == "M is known of 19 items; the gate needs 20 to decide."


# --- Checking --------------------------------------------------------------------------------------------------------------
@pytest.fixture
def project(user: User) -> Project:
    return make_project(user, name="texts")


@pytest.fixture
def job(project: Project) -> TrainingJob:
    return make_training_job(project, "nightly", status="running")


def fire(job: TrainingJob, epoch: float, right: int, of: int = 100, **fields: Any) -> PredictionRun:
    make_firing(job, epoch, [make_answer(n, "right" if n < right else "wrong") for n in range(of)], **fields)
    return PredictionRun.objects.filter(job=job, epoch=epoch).latest("pk")


def check(gate: Gate, run: PredictionRun, user: User, baseline: PredictionRun | None = None) -> GateCheck:
    return gates.check(gate, run, user, gates.find_baseline(user, gate, run, baseline.pk if baseline else None))


@pytest.mark.parametrize(("right", "outcome"), [(95, "pass"), (50, "fail"), (78, "undecided")])
def test_a_limit_of_a_rate_is_decided_by_wilsons_interval(
    job: TrainingJob, user: User, right: int, outcome: str, db: None
) -> None:
    found = check(make_gate(job, exact_match={"limit": 0.8}), fire(job, 1, right), user)
    assert found.outcome == outcome


def test_the_reason_has_its_figures(job: TrainingJob, user: User) -> None:
    found = check(make_gate(job, exact_match={"limit": 0.8}), fire(job, 1, 50), user)
    assert found.reasons == [
        "Exact match 0.500 (95 % interval 0.404 to 0.596, 100 items); at least 0.8 is asked: "
        "the whole interval is beyond the limit."
    ]
    assert found.figures[0]["interval"] == pytest.approx([0.4038, 0.5962], abs=1e-4)


def test_where_lower_is_better_the_limit_is_the_highest(job: TrainingJob, user: User) -> None:
    gate = make_gate(job, char_error_rate={"limit": 0.3})
    assert [check(gate, fire(job, epoch, right), user).outcome for epoch, right in ((1, 99), (2, 10))] == ["pass", "fail"]


@pytest.mark.parametrize(("after", "outcome"), [(90, "pass"), (60, "fail"), (84, "undecided"), (100, "pass")])
def test_a_drop_is_decided_by_the_paired_interval(job: TrainingJob, user: User, after: int, outcome: str) -> None:
    baseline = fire(job, 1, 90)
    gate = make_gate(job, against="run", baseline=baseline, exact_match={"most_drop": 0.1})
    found = check(gate, fire(job, 2, after), user)
    assert found.outcome == outcome and found.baseline == baseline


def test_a_rise_of_an_error_rate_is_a_drop(job: TrainingJob, user: User) -> None:
    gate = make_gate(job, against="run", baseline=fire(job, 1, 99), char_error_rate={"most_drop": 0.1})
    found = check(gate, fire(job, 2, 30), user)
    assert found.outcome == "fail" and "worse than the baseline's" in found.reasons[0]


def test_the_last_that_passed_is_the_baseline(job: TrainingJob, user: User) -> None:
    gate = make_gate(job, against="passed", exact_match={"most_drop": 0.05})
    first, second, third = fire(job, 1, 90), fire(job, 2, 92), fire(job, 3, 50)
    waiting = check(gate, first, user)
    assert waiting.outcome == "undecided" and "no run of the job has passed yet" in waiting.reasons[0]
    assert check(gate, second, user, first).outcome == "pass"
    failed = check(gate, third, user)
    assert (failed.outcome, failed.baseline) == ("fail", second)
    # What failed is no baseline.
    assert check(gate, fire(job, 4, 93), user).baseline == second


def test_what_is_not_comparable_is_undecided_unless_allowed(job: TrainingJob, user: User) -> None:
    first = fire(job, 1, 90, generation_params={"temperature": 0})
    second = fire(job, 2, 91, generation_params={"temperature": 1})
    gate = make_gate(job, exact_match={"most_drop": 0.1})
    found = check(gate, second, user, first)
    assert found.outcome == "undecided" and "Temperature: 0 against 1." in found.reasons[0] and found.differences
    gate.allows_differences = True
    assert check(gate, second, user, first).outcome == "pass"


def test_a_run_that_is_half_there_does_not_pass(job: TrainingJob, user: User) -> None:
    items = [NewItem(f"question {n}", n, f"question {n}", references=["right"]) for n in range(100)]
    register_sampled(job, user, "golden", items)
    rows = [make_answer(n, item_key=f"question {n}") for n in range(60)]
    make_firing(job, 1, rows, prediction_set="golden")
    found = check(make_gate(job, exact_match={"limit": 0.5}), PredictionRun.objects.get(), user)
    assert found.outcome == "undecided"
    assert found.reasons[0] == "The run has answered 60 of the 100 items of golden@1."


def test_several_limits_hold_together(job: TrainingJob, user: User) -> None:
    gate = make_gate(job, exact_match={"limit": 0.5}, chrf={"limit": 99.0})
    found = check(gate, fire(job, 1, 90), user)
    assert found.outcome == "fail" and found.reasons[0].startswith("chrF")


def test_what_is_not_defined_is_undecided(job: TrainingJob, user: User) -> None:
    found = check(make_gate(job, passed={"limit": 0.5}), fire(job, 1, 90), user)
    assert (found.outcome, found.reasons) == ("undecided", ["Passed is not defined for this run."])


def test_a_check_outlives_its_runs(job: TrainingJob, user: User) -> None:
    other = make_training_job(job.project, "old")
    gate = make_gate(prediction_set=fire(other, 1, 90).set_version.prediction_set, exact_match={"limit": 0.5})
    found = check(gate, PredictionRun.objects.get(), user)
    other.runs.get().delete()
    found.refresh_from_db()
    assert found.run is None and found.run_name == "old, epoch 1, step 10"


# --- Saving ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fields", "limits", "field"),
    [
        ({"name": "a b"}, [{"metric": "chrf", "limit": 1}], "name"),
        ({"against": "run"}, [{"metric": "chrf", "limit": 1}], "baseline"),
        ({"least_items": 1}, [{"metric": "chrf", "limit": 1}], "least_items"),
        ({"job": None}, [{"metric": "chrf", "limit": 1}], "prediction_set"),
        ({}, [], "limits"),
        ({}, [{"metric": "fun", "limit": 1}], "limits"),
        ({}, [{"metric": "chrf"}], "limits"),
        ({}, [{"metric": "chrf", "most_drop": -1}], "limits"),
        ({}, [{"metric": "chrf", "limit": float("nan")}], "limits"),
        ({}, [{"metric": "chrf", "limit": 1}, {"metric": "chrf", "limit": 2}], "limits"),
    ],
)
def test_a_gate_that_makes_no_sense_is_refused(
    job: TrainingJob, user: User, fields: dict[str, Any], limits: list[dict[str, Any]], field: str
) -> None:
    gate = Gate(**({"project": job.project, "name": "release", "job": job} | fields))
    with pytest.raises(ValidationError) as error:
        gates.save_gate(gate, user, [GateLimit(**limit) for limit in limits])
    assert field in error.value.message_dict and not Gate.objects.exists()


# --- API -------------------------------------------------------------------------------------------------------------------
@pytest.fixture
def api(user: User) -> Client:
    return Client(headers={"Authorization": f"Bearer {ApiToken.issue(user, 'ci')[1]}"})


def post(api: Client, path: str, /, **body: Any) -> Any:
    return api.post(f"/api/gates/{path}", body, content_type="application/json")


def test_a_gate_is_made_and_checked_by_api(api: Client, job: TrainingJob) -> None:
    run = fire(job, 2, 95)
    fire(job, 1, 10)
    limits = [{"metric": "exact_match", "limit": 0.8}]
    assert post(api, "", project=job.project.slug, name="release", job="nightly", limits=limits).status_code == 201
    for body in ({"run": run.pk}, {"job_id": "nightly"}, {"job_id": "nightly", "epoch": 2}):
        found = post(api, "release/check/", **body)
        assert found.status_code == 200, found.content
        assert (found.json()["outcome"], found.json()["run"]) == ("pass", run.pk)
    assert len(api.get("/api/gates/release/checks/").json()["results"]) == 3


def test_a_checkpoint_names_a_run(api: Client, job: TrainingJob) -> None:
    make_gate(job, exact_match={"limit": 0.8})
    fire(job, 1, 10, checkpoint="/out/1"), fire(job, 2, 95, checkpoint="/out/2")
    assert post(api, "release/check/", job_id="nightly", checkpoint="/out/1").json()["outcome"] == "fail"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "Name a run"),
        ({"run": 1, "job_id": "nightly"}, "Name a run"),
        ({"run": 999_999}, "none of these"),
        ({"job_id": "nightly", "epoch": 7}, "no run at epoch 7"),
        ({"job_id": "other"}, "no run"),
        ({"job_id": "nightly", "baseline": 999_999}, "no run 999999"),
    ],
)
def test_a_run_that_is_not_there_is_told(api: Client, job: TrainingJob, body: dict[str, Any], words: str) -> None:
    make_gate(job, exact_match={"limit": 0.8})
    fire(job, 1, 95)
    answer = post(api, "release/check/", **body)
    assert answer.status_code == 400 and words in answer.json()["detail"] and not GateCheck.objects.exists()


def test_a_name_in_two_projects_needs_its_project(api: Client, job: TrainingJob, user: User) -> None:
    make_gate(job, exact_match={"limit": 0.8})
    make_gate(make_training_job(make_project(user, name="others"), "nightly"), exact_match={"limit": 0.8})
    fire(job, 1, 95)
    assert post(api, "release/check/", job_id="nightly").status_code == 409
    assert post(api, f"release/check/?project={job.project.slug}", job_id="nightly").status_code == 200


def test_a_jobs_own_token_cannot_check_gates(job: TrainingJob, user: User) -> None:
    make_gate(job, exact_match={"limit": 0.8})
    fire(job, 1, 95)
    _, key = JobToken.issue(job, user, "training", 30)
    own = Client(headers={"Authorization": f"Bearer {key}"})
    assert post(own, "release/check/", job_id="nightly").status_code == 401


def test_limits_are_replaced_as_a_whole(api: Client, job: TrainingJob) -> None:
    gate = make_gate(job, exact_match={"limit": 0.8})
    body = {"limits": [{"metric": "chrf", "most_drop": 2}]}
    assert api.patch("/api/gates/release/", body, content_type="application/json").status_code == 200
    assert [limit.metric for limit in gate.limits.all()] == ["chrf"]


# --- Pages -----------------------------------------------------------------------------------------------------------------
FORM = {
    "name": "release", "against": "nothing", "least_items": "2", "limits-TOTAL_FORMS": "2", "limits-INITIAL_FORMS": "0",
    "limits-0-metric": "exact_match", "limits-0-limit": "0.8",
}  # fmt: skip


def test_a_gate_is_made_changed_and_checked_on_pages(client_of: Any, user: User, job: TrainingJob) -> None:
    client = client_of(user)
    made = client.post(f"/projects/{job.project.slug}/gates/new/", FORM | {"job": job.pk})
    gate = Gate.objects.get()
    assert made.headers["Location"] == gate.get_absolute_url()
    client.post(f"/gates/{gate.pk}/edit/", FORM | {"job": job.pk, "limits-0-most_drop": "0.1", "limits-INITIAL_FORMS": "1"})
    assert gate.limits.get().most_drop == 0.1
    client.post(f"/gates/{gate.pk}/check/", {"run": fire(job, 1, 10).pk})
    page = client.get(gate.get_absolute_url()).content.decode()
    assert "the whole interval is beyond the limit" in page and "touchstone gate release" in page


@pytest.mark.parametrize(
    "change", [{"name": ""}, {"name": "a b"}, {"limits-0-metric": ""}, {"limits-0-limit": ""}, {"limits-0-limit": "x"}]
)
def test_what_does_not_fit_is_told(client_of: Any, user: User, job: TrainingJob, change: dict[str, str]) -> None:
    answer = client_of(user).post(f"/projects/{job.project.slug}/gates/new/", FORM | {"job": job.pk} | change)
    assert answer.status_code == 422 and not Gate.objects.exists()


def test_the_list_asks_no_more_for_more(
    client_of: Any, user: User, job: TrainingJob, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        make_gate(job, name=f"gate-{number}", exact_match={"limit": 0.8})
    client = client_of(user)
    with django_assert_max_num_queries(8):
        assert client.get(f"/projects/{job.project.slug}/gates/").status_code == 200


def test_a_gates_page_asks_no_more_for_more(
    client_of: Any, user: User, job: TrainingJob, django_assert_max_num_queries: Any
) -> None:
    gate = make_gate(job, exact_match={"limit": 0.8})
    for epoch in range(1, 16):
        check(gate, fire(job, epoch, 3, of=3), user)
    client = client_of(user)
    with django_assert_max_num_queries(10):
        assert client.get(gate.get_absolute_url()).status_code == 200


def test_the_commands_of_a_gate_survive_any_job_id(client_of: Any, user: User, project: Project) -> None:
    gate = make_gate(make_training_job(project, "it's night"))
    page = html.unescape(client_of(user).get(f"/gates/{gate.pk}/").content.decode())
    [told] = re.findall(r"--job-id (.*) --junit", page)
    [body] = re.findall(r" -d (.*)</pre>", page)
    assert shlex.split(told) == ["it's night"] and json.loads(shlex.split(body)[0]) == {"job_id": "it's night"}
