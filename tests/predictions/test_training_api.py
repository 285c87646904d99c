"""Training jobs by API: for people who look, and for processes that train."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import ApiToken, Project, Role, User
from predictions import scoring
from predictions.models import JobToken, PredictionRun, PredictionSet, TextPrediction, TrainingJob
from tests.factories import make_answer, make_firing, make_project, make_training_job, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def project(user: User) -> Project:
    return make_project(user, name="texts")


@pytest.fixture
def job(project: Project) -> TrainingJob:
    return make_training_job(project, "nightly")


def client_with(key: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {key}"})


@pytest.fixture
def client(user: User) -> Client:
    return client_with(ApiToken.issue(user, "script")[1])


def post(client: Client, path: str, /, **body: Any) -> Any:
    return client.post(f"/api/training/{path}", body, content_type="application/json")


def get(client: Client, path: str) -> Any:
    return client.get(f"/api/training/predictions/{path}")


# --- Jobs ------------------------------------------------------------------------------------------------------------------
def test_a_job_is_made_in_a_project(client: Client, project: Project) -> None:
    panel = {"sample_count": 8, "sample_frequency": "steps", "every_steps": 50}
    answer = post(
        client, "jobs/", job_id="a 1", name="First", task_type="text", project=project.slug, config={"predictions": panel}
    )
    job = TrainingJob.objects.get()
    assert (answer.status_code, answer.json()["job_id"], job.project, job.panel.every_steps) == (201, "a 1", project, 50)


def test_without_an_id_one_is_made(client: Client, user: User) -> None:
    answer = post(client, "jobs/").json()
    assert answer["job_id"].startswith("job-") and answer["name"] == answer["job_id"] and answer["project"] == user.username


def test_an_id_in_use_is_a_conflict(client: Client, job: TrainingJob) -> None:
    answer = post(client, "jobs/", job_id="nightly", project=job.project.slug)
    assert answer.status_code == 409 and "nightly" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"predictions": {"sample_count": 0}}, "predictions.sample_count: Must be a whole number from 1"),
        ({"predictions": {"sample_frequency": "steps"}}, "predictions.every_steps"),
        ({"predictions": {"source": "set"}}, "predictions.prediction_set"),
        ({"predictions": {"unheard": 1}}, "predictions.unheard: Unknown"),
        ({"predictions": {"validators": [{"type": "regex", "value": "("}]}}, "does not compile"),
        ({"predictions": 3}, "must be an object"),
        ([], "Must be an object"),
    ],
)
def test_a_panel_that_does_not_fit_names_its_field(client: Client, config: Any, said: str) -> None:
    answer = post(client, "jobs/", config=config)
    assert answer.status_code == 400 and said in answer.json()["detail"] and answer.json()["errors"][0]["field"] == "config"


@pytest.mark.parametrize("job_id", ["a/b", " a", "a\nb", ".."])
def test_ids_stand_in_addresses(client: Client, job_id: str) -> None:
    assert post(client, "jobs/", job_id=job_id).status_code == 400 or job_id == " a"


def test_ids_in_two_projects_ask_which(client: Client, user: User, job: TrainingJob) -> None:
    other = make_training_job(make_project(user, name="other"), "nightly")
    answer = get(client, "nightly/")
    assert answer.status_code == 409 and "?project=" in answer.json()["remedy"]
    assert get(client, f"nightly/?project={other.project.slug}").status_code == 200


def test_a_job_goes_with_its_answers(client: Client, job: TrainingJob) -> None:
    make_firing(job)
    assert client.delete("/api/training/jobs/nightly/").status_code == 204
    assert not TextPrediction.objects.exists() and not PredictionRun.objects.exists() and PredictionSet.objects.exists()


def test_the_list_asks_the_same_for_ten_and_twenty(client: Client, project: Project, django_assert_num_queries: Any) -> None:
    for number in range(10):
        make_training_job(project, f"a{number}")
    client.get("/api/training/jobs/")
    with django_assert_num_queries(3):
        client.get("/api/training/jobs/")
    for number in range(10):
        make_training_job(project, f"b{number}")
    with django_assert_num_queries(3):
        client.get("/api/training/jobs/")


# --- A process -------------------------------------------------------------------------------------------------------------
def test_first_contact_makes_the_job(client: Client, project: Project) -> None:
    answer = post(client, "jobs/fresh/start/", attempt=1, name="Fresh", project=project.slug, framework="transformers")
    job = TrainingJob.objects.get()
    assert answer.json() | {"url": ""} == {"job_id": "fresh", "attempt": 1, "url": "", "panel": None, "prediction_set": None}
    assert (job.project, job.status, job.framework, job.name) == (project, "running", "transformers", "Fresh")


def test_each_start_is_an_attempt(client: Client, job: TrainingJob) -> None:
    assert [post(client, "jobs/nightly/start/", attempt=asked).json()["attempt"] for asked in (1, 1, 7, 1)] == [1, 2, 7, 8]


def test_the_panel_of_the_job_comes_back(client: Client, job: TrainingJob) -> None:
    job.config = {"predictions": {"sample_count": 5}}
    job.save()
    panel = post(client, "jobs/nightly/start/").json()["panel"]
    assert (panel["sample_count"], panel["seed"], panel["enabled"]) == (5, 42, True)


ITEMS = [{"item_key": f"k{n}", "sample_index": n, "prompt": f" {n}\n", "references": [f"a{n}"]} for n in range(3)]


def test_a_set_comes_back_item_by_item(client: Client, job: TrainingJob) -> None:
    assert post(client, "jobs/nightly/sets/", name="golden", items=ITEMS).json() == {
        "name": "golden", "version": 1, "prediction_set": "golden@1", "item_count": 3,
    }  # fmt: skip
    found = post(client, "jobs/nightly/start/", prediction_set="golden@latest").json()["prediction_set"]
    assert (found["name"], found["version"], [item["prompt"] for item in found["items"]]) == (
        "golden",
        1,
        [" 0\n", " 1\n", " 2\n"],
    )


def test_a_set_that_is_not_there_is_told(client: Client, job: TrainingJob) -> None:
    answer = post(client, "jobs/nightly/start/", prediction_set="golden@3")
    assert answer.status_code == 400 and "golden@3" in answer.json()["detail"]


def test_a_set_with_an_item_twice_is_refused(client: Client, job: TrainingJob) -> None:
    assert post(client, "jobs/nightly/sets/", name="golden", items=[ITEMS[0], ITEMS[0]]).status_code == 400


def test_a_missed_firing_counts_once_though_sent_twice(client: Client, job: TrainingJob) -> None:
    for _ in range(2):
        post(client, "jobs/nightly/progress/", missed={"epoch": 1, "step": 5, "reason": "Out of memory"})
    job.refresh_from_db()
    assert (job.missed_count, job.missed) == (1, [{"epoch": 1.0, "step": 5, "reason": "Out of memory"}])


def test_an_end_is_noted(client: Client, job: TrainingJob) -> None:
    assert post(client, "jobs/nightly/progress/", status="failed", message="ZeroDivisionError").json()["status"] == "failed"
    job.refresh_from_db()
    assert job.has_ended and job.finished_at and job.message == "ZeroDivisionError"


def test_progress_never_goes_back(client: Client, job: TrainingJob) -> None:
    for step in (20, 10):
        post(client, "jobs/nightly/progress/", epoch=step / 10, step=step, total_steps=100)
    job.refresh_from_db()
    assert (job.epoch, job.step, job.total_steps) == (2, 20, 100)


def test_a_checkpoint_names_the_runs_of_its_step(client: Client, job: TrainingJob) -> None:
    make_firing(job, 1)
    for _ in range(2):
        answer = post(
            client, "jobs/nightly/checkpoints/", path="/out/checkpoint-10", epoch=1, step=10, metrics={"eval_loss": 0.5}
        )
    assert (
        answer.status_code == 200
        and job.checkpoints.count() == 1
        and PredictionRun.objects.get().checkpoint == "/out/checkpoint-10"
    )


# --- Answers ---------------------------------------------------------------------------------------------------------------
def send(client: Client, **body: Any) -> Any:
    return post(client, "predictions/", **({"job_id": "nightly", "epoch": 1, "step": 10} | body))


def test_answers_are_stored_and_updated(client: Client, job: TrainingJob) -> None:
    rows = [make_answer(n) for n in range(3)]
    assert send(client, predictions=rows).json() == {"stored": 3, "updated": 0, "rejected": []}
    assert send(client, predictions=rows).json() == {"stored": 0, "updated": 3, "rejected": []}


def test_bad_rows_are_named(client: Client, job: TrainingJob) -> None:
    answer = send(client, predictions=[{"sample_index": 0}, make_answer(1)]).json()
    assert answer == {"stored": 1, "updated": 0, "rejected": [{"index": 0, "reason": "prediction is missing."}]}


def test_a_thousand_rows_and_no_more(client: Client, job: TrainingJob) -> None:
    rows = [make_answer(n) for n in range(1001)]
    assert [send(client, predictions=rows[:1000]).status_code, send(client, predictions=rows).status_code] == [200, 400]


def test_more_than_the_server_takes_is_told(client: Client, job: TrainingJob, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    assert send(client, predictions=[make_answer(n) for n in range(99)]).status_code == 413


@pytest.mark.parametrize(
    "body", [{"epoch": None, "step": None}, {"epoch": -1}, {"step": "x"}, {"attempt": 0}, {"predictions": "all"}]
)
def test_a_call_that_makes_no_sense_is_refused(client: Client, job: TrainingJob, body: dict[str, Any]) -> None:
    assert send(client, **({"predictions": []} | body)).status_code == 400


def test_a_loop_without_epochs_counts_in_steps(client: Client, job: TrainingJob) -> None:
    post(client, "predictions/", job_id="nightly", step=7, predictions=[make_answer()])
    assert get(client, "nightly/epochs/").json()["epochs"] == [{"epoch": 0, "prediction_count": 1, "latest_step": 7}]


def test_an_unknown_job_is_not_found(client: Client, job: TrainingJob) -> None:
    assert send(client, job_id="gone", predictions=[]).status_code == 404


# --- Reading ---------------------------------------------------------------------------------------------------------------
def test_answers_come_in_order_and_in_pages(client: Client, job: TrainingJob) -> None:
    for epoch in (2, 1, 3):
        make_firing(job, epoch, [make_answer(n, f"{epoch}-{n}") for n in (2, 0, 1)])
    whole = [f"{epoch}-{n}" for epoch in (1, 2, 3) for n in range(3)]
    for offset in range(10):
        answer = get(client, f"nightly/?limit=4&offset={offset}").json()
        assert [row["prediction"] for row in answer["predictions"]] == whole[offset : offset + 4]
        assert (answer["total_count"], answer["epoch_count"]) == (9, 3)


def test_one_epoch_of_them(client: Client, job: TrainingJob) -> None:
    for epoch in (1, 2):
        make_firing(job, epoch)
    answer = get(client, "nightly/?epoch=2&limit=2").json()
    assert ([row["epoch"] for row in answer["predictions"]], answer["total_count"], answer["epoch_count"]) == ([2, 2], 3, 2)


@pytest.mark.parametrize("query", ["epoch=x", "limit=-1", "offset=x", "epoch=nan"])
def test_numbers_that_are_none_are_told(client: Client, job: TrainingJob, query: str) -> None:
    assert get(client, f"nightly/?{query}").status_code == 400


TREND = {
    "epoch", "step", "sample_count", "avg_exact_match", "avg_char_error_rate", "avg_length_ratio", "avg_word_overlap",
    "min_char_error_rate", "max_char_error_rate", "validation_pass_rate",
}  # fmt: skip


def test_trends_are_the_means_of_each_epoch(client: Client, job: TrainingJob) -> None:
    make_firing(job, 1, [make_answer(0, "right"), make_answer(1, "wrong")])
    make_firing(job, 2, [make_answer(0, "right"), make_answer(1, "right")])
    answer = get(client, "nightly/trends/").json()
    first, second = answer["trends"]
    rate = scoring.score("wrong", "right").char_error_rate
    assert first.keys() >= TREND and answer["job_id"] == "nightly"
    assert (first["avg_exact_match"], first["avg_char_error_rate"], first["max_char_error_rate"]) == (0.5, rate / 2, rate)
    assert (second["sample_count"], second["avg_exact_match"], answer["overall_improvement"]) == (2, 1.0, 100.0)


def test_trends_of_a_superseded_attempt_do_not_count(client: Client, job: TrainingJob) -> None:
    make_firing(job, 1, [make_answer(0, "wrong")])
    make_firing(job, 1, [make_answer(0, "right")], attempt=2)
    assert [row["avg_exact_match"] for row in get(client, "nightly/trends/").json()["trends"]] == [1.0]


def test_improvement_has_a_direction(client: Client, job: TrainingJob) -> None:
    make_firing(job, 1, [make_answer(0, "righ")])
    make_firing(job, 2, [make_answer(0, "rig")])
    assert get(client, "nightly/trends/").json()["overall_improvement"] == pytest.approx(-100)


def test_without_answers_lists_are_empty(client: Client, job: TrainingJob) -> None:
    assert get(client, "nightly/").json() == {"predictions": [], "total_count": 0, "epoch_count": 0}
    assert get(client, "nightly/epochs/").json() == {"epochs": []}
    trends = get(client, "nightly/trends/").json()
    assert (trends["trends"], trends["overall_improvement"]) == ([], None)
    sample = get(client, "nightly/samples/0/trend/").json()
    assert sample == {"job_id": "nightly", "sample_index": 0, "prompt": None, "ground_truth": None, "trend": []}


def test_without_references_scores_are_null(client: Client, job: TrainingJob) -> None:
    make_firing(job, 1, [make_answer(0, ground_truth=None)])
    trend = get(client, "nightly/trends/").json()["trends"][0]
    assert {trend[name] for name in TREND - {"epoch", "step", "sample_count"}} == {None}


def test_one_sample_over_the_epochs(client: Client, job: TrainingJob) -> None:
    for epoch, said in ((1, "wrong"), (2, "right")):
        make_firing(job, epoch, [make_answer(4, said)])
    answer = get(client, "nightly/samples/4/trend/").json()
    assert (answer["prompt"], answer["ground_truth"]) == ("question 4", "right")
    assert [(row["epoch"], row["prediction"], row["exact_match"]) for row in answer["trend"]] == [
        (1, "wrong", 0),
        (2, "right", 1),
    ]


def test_trends_ask_the_same_whatever_the_rows(client: Client, job: TrainingJob, django_assert_num_queries: Any) -> None:
    for epoch in range(3):
        make_firing(job, epoch, [make_answer(n) for n in range(30)])
    get(client, "nightly/trends/")
    with django_assert_num_queries(4):
        get(client, "nightly/trends/")


@pytest.mark.parametrize("end", ["", "epochs/", "trends/", "samples/0/trend/"])
def test_another_user_s_job_does_not_exist(job: TrainingJob, end: str) -> None:
    stranger = client_with(ApiToken.issue(make_user(), "script")[1])
    assert get(stranger, f"nightly/{end}").status_code == 404


# --- Job tokens ------------------------------------------------------------------------------------------------------------
@pytest.fixture
def key(job: TrainingJob, user: User) -> str:
    return JobToken.issue(job, user, "gpu-1", 30)[1]


WRITES = [
    ("jobs/nightly/start/", {}),
    ("jobs/nightly/sets/", {"name": "drawn", "items": ITEMS}),
    ("jobs/nightly/progress/", {"step": 1}),
    ("jobs/nightly/checkpoints/", {"path": "/x", "epoch": 1, "step": 1}),
    ("predictions/", {"job_id": "nightly", "epoch": 1, "predictions": [make_answer()]}),
]


@pytest.mark.parametrize(("path", "body"), WRITES)
def test_a_job_s_token_writes_to_its_job(key: str, path: str, body: dict[str, Any]) -> None:
    assert post(client_with(key), path, **body).status_code == 200


@pytest.mark.parametrize(("path", "body"), WRITES)
def test_it_writes_to_no_other(key: str, job: TrainingJob, path: str, body: dict[str, Any]) -> None:
    make_training_job(job.project, "other")
    body = body | ({"job_id": "other"} if "job_id" in body else {})
    assert post(client_with(key), path.replace("nightly", "other"), **body).status_code == 404


@pytest.mark.parametrize("url", ["jobs/", "jobs/nightly/", "predictions/nightly/", "predictions/nightly/trends/"])
def test_it_reads_nothing(key: str, url: str) -> None:
    assert client_with(key).get(f"/api/training/{url}").status_code == 401


def test_it_makes_no_jobs(key: str) -> None:
    assert post(client_with(key), "jobs/", job_id="x").status_code == 401


def test_it_is_stored_as_its_digest_alone(key: str) -> None:
    token = JobToken.objects.get()
    assert key not in str(vars(token)) and token.digest == JobToken.digest_of(key) and key.startswith("tsj_")


def test_its_use_is_noted(key: str) -> None:
    post(client_with(key), "jobs/nightly/progress/", step=1)
    assert JobToken.objects.get().last_used_at is not None


@pytest.mark.parametrize("end", ["expired", "revoked", "viewer", "gone", "switched off"])
def test_it_ends(key: str, job: TrainingJob, user: User, end: str) -> None:
    token, membership = JobToken.objects.get(), job.project.memberships.get(user=user)
    if end == "expired":
        JobToken.objects.update(expires_at=token.created_at)
    elif end == "revoked":
        JobToken.objects.update(revoked_at=token.created_at)
    elif end == "viewer":
        membership.role = Role.VIEWER
        membership.save()
    elif end == "gone":
        membership.delete()
    else:
        User.objects.update(is_active=False)
    answer = post(client_with(key), "jobs/nightly/progress/", step=1)
    assert answer.status_code == 401 and "Set-up tab" in answer.json()["detail"]


def test_the_project_is_the_token_s_whatever_the_payload_says(key: str, job: TrainingJob) -> None:
    make_training_job(make_project(make_user("eve"), name="eves"), "nightly")
    post(client_with(key), "jobs/nightly/start/", project="eves")
    assert list(TrainingJob.objects.filter(status="running")) == [job]


def test_viewers_write_nothing(job: TrainingJob) -> None:
    viewer = make_user()
    job.project.memberships.create(user=viewer, role=Role.VIEWER)
    client = client_with(ApiToken.issue(viewer, "script")[1])
    assert {post(client, path, **body).status_code for path, body in WRITES} == {403}


def test_the_address_of_the_page_is_told(client: Client, job: TrainingJob) -> None:
    assert post(client, "jobs/nightly/start/").json()["url"].endswith(reverse("training:job", args=[job.pk]))
