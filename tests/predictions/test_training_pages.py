"""The pages of training jobs."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Project, User
from predictions.diffs import word_diff
from predictions.models import JobToken, PredictionRun, TextPrediction, TrainingJob
from predictions.training_forms import as_line, as_validator
from tests.factories import make_answer, make_firing, make_project, make_training_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def project(user: User) -> Project:
    return make_project(user, name="texts")


@pytest.fixture
def job(project: Project) -> TrainingJob:
    return make_training_job(project, "nightly", status="running")


@pytest.fixture
def client(user: User, client_of: Any) -> Client:
    return client_of(user)


def page(client: Client, name: str, /, *arguments: Any, **query: Any) -> str:
    response = client.get(reverse(f"training:{name}", args=arguments), query)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


FORM = {
    "name": "Nightly", "job_id": "n 1", "task_type": "text", "enabled": "on", "source": "dataset", "dataset_path": "train.jsonl",
    "sample_count": "8", "sample_frequency": "steps", "every_steps": "50", "seed": "1", "max_new_tokens": "16", "batch_size": "4",
    "validators": "is_json\nnot contains: Sorry\nmax_length: 20",
}  # fmt: skip


def test_a_job_is_made_with_its_panel(client: Client, project: Project) -> None:
    response = client.post(reverse("training:new", args=[project.slug]), FORM)
    job = TrainingJob.objects.get()
    assert response.headers["Location"] == reverse("training:setup", args=[job.pk])
    panel = job.panel
    assert (panel.every_steps, panel.sample_count, panel.dataset_path) == (50, 8, "train.jsonl")
    assert panel.validators == [
        {"type": "is_json"}, {"type": "contains", "value": "Sorry", "not": True}, {"type": "max_length", "value": 20},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"every_steps": ""}, "Say after how many steps"),
        ({"source": "set"}, "Choose a prediction set"),
        ({"sample_count": "0"}, "greater than or equal to 1"),
        ({"validators": "contans: x"}, "validator 1: must be an object whose type is one of"),
        ({"validators": "levenshtein: Paris"}, "validator 1: levenshtein needs a threshold"),
        ({"validators": "label_is: cat"}, "label_is is for images, not for texts."),
        ({"validators": '{"type": "regex"'}, "validator 1: must be an object whose type is one of"),
        ({"job_id": "a/b"}, "without slashes"),
        ({"name": ""}, "required"),
    ],
)
def test_what_does_not_fit_is_told_at_its_field(client: Client, project: Project, change: dict[str, str], said: str) -> None:
    response = client.post(reverse("training:new", args=[project.slug]), FORM | change)
    assert response.status_code == 422 and said in response.content.decode() and not TrainingJob.objects.exists()


@pytest.mark.parametrize(
    ("line", "validator"),
    [
        ("contains: a: b", {"type": "contains", "value": "a: b"}),
        ("not is_json", {"type": "is_json", "not": True}),
        ("not_is_json", {"type": "not_is_json"}),
        ("equals: 5", {"type": "equals", "value": "5"}),
        ("latency: 12.5", {"type": "latency", "value": 12.5}),
        ('contains_any: ["a", "b"]', {"type": "contains_any", "value": ["a", "b"]}),
        ('json_schema: {"type": "object"}', {"type": "json_schema", "value": {"type": "object"}}),
        ('{"type": "contains", "value": "two\\nlines"}', {"type": "contains", "value": "two\nlines"}),
        ('{"type": "contains", "value": " x "}', {"type": "contains", "value": " x "}),
        ('{"type": "score", "value": "chrf", "min": 5}', {"type": "score", "value": "chrf", "min": 5}),
    ],
)
def test_a_line_stands_for_a_validator_and_back(line: str, validator: dict[str, Any]) -> None:
    assert as_validator(line) == validator and as_line(validator) == line


def test_an_id_in_use_is_told(client: Client, job: TrainingJob) -> None:
    response = client.post(reverse("training:new", args=[job.project.slug]), FORM | {"job_id": "nightly"})
    assert response.status_code == 422 and "already" in response.content.decode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epochs": "3", "steps_per_epoch": "100"}, '8</b> items × <b class="num">6</b> firings'),
        ({"sample_frequency": "epoch", "epochs": "3"}, '= at most <b class="num">384</b> tokens'),
        ({"sample_count": "x"}, "once the fields above are complete"),
    ],
)
def test_the_cost_is_told_before(client: Client, project: Project, change: dict[str, str], said: str) -> None:
    assert said in page(client, "cost", project.slug, **(FORM | change))


def test_the_panel_is_changed_later(client: Client, job: TrainingJob) -> None:
    job.config = {"lr": 0.1}
    job.save()
    client.post(reverse("training:config", args=[job.pk]), FORM)
    job.refresh_from_db()
    assert (job.panel.sample_count, job.config["lr"], job.name) == (8, 0.1, "Nightly")


def test_a_token_is_shown_once(client: Client, job: TrainingJob) -> None:
    answer = client.post(reverse("training:setup", args=[job.pk]), {"name": "gpu", "days": "3"}).content.decode()
    key = re.search(r"tsj_[\w-]+", answer)
    assert key and JobToken.objects.get().digest == JobToken.digest_of(key[0])
    assert key[0] not in page(client, "setup", job.pk)


def test_a_token_is_revoked(client: Client, job: TrainingJob, user: User) -> None:
    token, _ = JobToken.issue(job, user, "gpu", 3)
    client.post(reverse("training:token_revoke", args=[job.pk, token.pk]))
    token.refresh_from_db()
    assert not token.is_usable and "revoked" in page(client, "setup", job.pk)


def test_the_lines_to_paste_name_the_job(client: Client, job: TrainingJob) -> None:
    text = page(client, "setup", job.pk)
    assert "TOUCHSTONE_JOB_ID=nightly" in text and "trainer.add_callback(TouchstoneCallback(" in text


# --- The monitor -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "said"),
    [("pending", "Waiting for the training"), ("running", "No predictions yet"), ("completed", "It ended without predictions")],
)
def test_without_answers_the_page_says_what_to_do(client: Client, job: TrainingJob, status: str, said: str) -> None:
    TrainingJob.objects.update(status=status)
    assert said in page(client, "job", job.pk)


def test_without_references_it_says_so(client: Client, job: TrainingJob) -> None:
    make_firing(job, 1, [make_answer(ground_truth=None)])
    assert "came without references" in page(client, "job", job.pk)


def test_it_polls_until_the_job_has_ended(client: Client, job: TrainingJob) -> None:
    assert 'hx-trigger="every' in page(client, "live", job.pk)
    TrainingJob.objects.update(status="completed")
    assert 'hx-trigger="every' not in page(client, "live", job.pk)


def test_new_answers_are_announced(client: Client, job: TrainingJob) -> None:
    make_firing(job, 1)
    url = reverse("training:live", args=[job.pk])
    answer = client.get(url, {"seen": "0-0.000"})
    assert "answers-changed" in answer.headers["HX-Trigger-After-Settle"]
    seen = re.search(r"seen=([\d.-]+)", answer.content.decode())
    assert seen and "HX-Trigger-After-Settle" not in client.get(url, {"seen": seen[1]}).headers


def test_the_latest_firing_is_shown_unless_the_address_says_another(client: Client, job: TrainingJob) -> None:
    for epoch in (1, 2):
        make_firing(job, epoch, [make_answer(0, f"said in {epoch}")])
    run = PredictionRun.objects.get(epoch=1)
    assert "said in 2" in page(client, "job", job.pk)
    assert "said in 1" in page(client, "job", job.pk, run=run.pk)
    assert "said in 1" in page(client, "job", job.pk, epoch=1)


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ({"sort": "-char_error_rate"}, "xxxxx"),
        ({"sort": "char_error_rate"}, "right"),
        ({"sort": "-sample_index"}, "righ"),
        ({"sort": "evil"}, "xxxxx"),
    ],
)
def test_it_is_sorted_by_any_score(client: Client, job: TrainingJob, query: dict[str, str], first: str) -> None:
    make_firing(job, 1, [make_answer(0, "xxxxx"), make_answer(1, "right"), make_answer(2, "righ")])
    rows = client.get(reverse("training:job", args=[job.pk]), query).context["page"].object_list
    assert rows[0].prediction == first


def test_it_is_filtered(client: Client, job: TrainingJob) -> None:
    make_firing(job, 1, [make_answer(0, "xxxxx"), make_answer(1, "right")])
    url = reverse("training:job", args=[job.pk])
    assert [row.prediction for row in client.get(url, {"outcome": "wrong"}).context["page"]] == ["xxxxx"]
    assert [row.prediction for row in client.get(url, {"search": "question 1"}).context["page"]] == ["right"]
    assert "No prediction fits" in page(client, "job", job.pk, search="nowhere")


def test_texts_of_strangers_stay_texts(client: Client, job: TrainingJob) -> None:
    evil = "<script>alert(1)</script>"
    make_firing(job, 1, [make_answer(0, evil, prompt=evil, ground_truth=evil + "x")])
    make_firing(job, 2, [make_answer(0, evil + "y", prompt=evil, ground_truth=evil + "x")])
    key = TextPrediction.objects.select_related("item").first().item.key  # type: ignore[union-attr]
    for text in (
        page(client, "job", job.pk),
        page(client, "item", job.pk, key),
        client.get(reverse("training:changes", args=[job.pk]), follow=True).content.decode(),
        page(client, "items", job.pk),
    ):
        assert evil not in text


def test_the_table_asks_the_same_for_few_and_many(client: Client, job: TrainingJob, django_assert_max_num_queries: Any) -> None:
    make_firing(job, 1, [make_answer(n) for n in range(10)])
    with django_assert_max_num_queries(12):
        page(client, "job", job.pk)
    for epoch in range(2, 8):
        make_firing(job, epoch, [make_answer(n) for n in range(40)])
    with django_assert_max_num_queries(12):
        page(client, "job", job.pk)


# --- Charts ------------------------------------------------------------------------------------------------------------------
def test_a_chart_holds_a_line_per_job(client: Client, job: TrainingJob) -> None:
    other = make_training_job(job.project, "other")
    for each in (job, other):
        make_firing(each, 1, [make_answer(0, "wrong"), make_answer(1)])
    data = client.get(reverse("training:chart", args=[job.pk]), {"metric": "exact_match", "compare": other.pk}).json()
    assert [line["label"] for line in data["datasets"]] == ["nightly", "other"]
    point = data["datasets"][0]["data"][0]
    assert (point["x"], point["y"], point["count"], point["step"], data["lower_is_better"]) == (1, 0.5, 2, 10, False)
    assert 0 <= point["low"] <= 0.5 <= point["high"] <= 1


def test_a_stranger_s_job_is_not_compared_with(client: Client, job: TrainingJob) -> None:
    other = make_training_job(make_project(name="other"))
    make_firing(job)
    make_firing(other)
    data = client.get(reverse("training:chart", args=[job.pk]), {"compare": [other.pk, "x"]}).json()
    assert [line["label"] for line in data["datasets"]] == ["nightly"]


def test_custom_scores_are_charted(client: Client, job: TrainingJob) -> None:
    make_firing(job, 1, [make_answer(0, scores={"reward": 3})])
    assert 'value="custom:reward"' in page(client, "job", job.pk)
    data = client.get(reverse("training:chart", args=[job.pk]), {"metric": "custom:reward", "axis": "step"}).json()
    assert (data["datasets"][0]["data"][0]["x"], data["datasets"][0]["data"][0]["y"]) == (10, 3)


def test_trends_as_a_table(client: Client, job: TrainingJob) -> None:
    make_firing(job, 1, [make_answer(0, scores={"=cmd()": 3})])
    lines = client.get(reverse("training:trends_csv", args=[job.pk])).content.decode().splitlines()
    assert lines[0].startswith("epoch,step,sample_count") and lines[0].endswith("'=cmd()") and lines[1].startswith("1.0,10,1")


# --- Items and changes -------------------------------------------------------------------------------------------------------
def test_the_story_of_an_item(client: Client, job: TrainingJob) -> None:
    for epoch, said in enumerate(["wrong", "wrong", "right", "right", "wrong", "right"], 1):
        make_firing(job, epoch, [make_answer(0, said)])
    key = TextPrediction.objects.select_related("item").first().item.key  # type: ignore[union-attr]
    text = page(client, "item", job.pk, key)
    assert "First solved in epoch 3, lost in 5, solved again in 6" in text and "2 flips" in text
    assert text.count('data-outcome="wrong"') >= 3


def test_an_item_that_was_never_asked_is_not_found(client: Client, job: TrainingJob) -> None:
    assert client.get(reverse("training:item", args=[job.pk, "none"])).status_code == 404


def test_an_item_knows_other_jobs(client: Client, job: TrainingJob) -> None:
    other = make_training_job(job.project, "other")
    for each in (job, other):
        make_firing(each, 1, [make_answer(0)])
    key = TextPrediction.objects.select_related("item").first().item.key  # type: ignore[union-attr]
    assert reverse("training:item", args=[other.pk, key]) in page(client, "item", job.pk, key)


def test_changes_are_a_comparison_of_the_first_and_the_latest_run(client: Client, job: TrainingJob) -> None:
    for epoch in (1, 2, 3):
        make_firing(job, epoch)
    first, middle, last = PredictionRun.objects.order_by("epoch")
    to = client.get(reverse("training:changes", args=[job.pk])).headers["Location"]
    assert to.endswith(f"/compare/?metric=char_error_rate&baseline={first.pk}&candidate={last.pk}")
    to = client.get(
        reverse("training:changes", args=[job.pk]), {"before": middle.pk, "run": first.pk, "score": "chrf"}
    ).headers["Location"]
    assert to.endswith(f"?metric=chrf&baseline={middle.pk}&candidate={first.pk}")


def test_one_epoch_alone_waits_for_another(client: Client, job: TrainingJob) -> None:
    assert client.get(reverse("training:changes", args=[job.pk]), follow=True).status_code == 200
    make_firing(job, 1)
    answer = client.get(reverse("training:changes", args=[job.pk]), follow=True)
    assert answer.context["baseline"] == PredictionRun.objects.get() and "Choose a candidate" in answer.content.decode()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("a b", "a b", [("same", "a b")]),
        ("the cat", "the dog", [("same", "the "), ("delete", "cat"), ("insert", "dog")]),
        ("", "x", [("insert", "x")]),
    ],
)
def test_diffs_are_by_word(old: str, new: str, expected: list[tuple[str, str]]) -> None:
    assert [(piece.kind, piece.text) for piece in word_diff(old, new)] == expected


def test_a_diff_of_frequent_words_is_still_one() -> None:
    """difflib's autojunk would call every word of a long repetitive text junk."""
    old = "the " * 300 + "end"
    assert [piece.kind for piece in word_diff(old, old.replace("end", "beginning"))] == ["same", "delete", "insert"]


def test_a_job_is_deleted_with_its_count(client: Client, job: TrainingJob) -> None:
    make_firing(job)
    assert "its 3 predictions" in page(client, "config", job.pk)
    client.post(reverse("training:delete", args=[job.pk]))
    assert not TrainingJob.objects.exists() and not TextPrediction.objects.exists()


def test_the_list_finds_by_name_and_status(client: Client, job: TrainingJob) -> None:
    make_training_job(job.project, "weekly", status="completed")
    assert "weekly" not in page(client, "list", job.project.slug, status="running")
    assert "weekly" in page(client, "list", job.project.slug, search="week")
    assert "No job fits" in page(client, "list", job.project.slug, search="yearly")
