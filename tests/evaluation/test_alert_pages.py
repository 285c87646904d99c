"""Alerts, rules and channels on pages and by API."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Membership, Project, Role, User
from evaluation import notifying
from evaluation.models import Alert, AlertChannel, AlertRule, Delivery
from predictions.models import PredictionRun, TrainingJob
from tests.factories import make_alert, make_channel, make_firing, make_project, make_rule, make_training_job, make_user

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


@pytest.fixture
def alert(job: TrainingJob) -> Alert:
    make_firing(job, 1)
    return make_alert(make_rule(job, name="golden"), PredictionRun.objects.get())


def page(client: Client, path: str, **headers: str) -> str:
    response = client.get(path, headers=headers)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


RULE = {"name": "drops", "kind": "previous", "metric": "exact_match", "threshold": "0.1", "debounce_minutes": "5"}


# --- Rules -----------------------------------------------------------------------------------------------------------------
def test_a_rule_is_made_changed_switched_and_deleted(client: Client, job: TrainingJob) -> None:
    channel = make_channel(job.project)
    client.post(f"/projects/{job.project.slug}/alerts/rules/new/", RULE | {"job": job.pk, "channels": [channel.pk]})
    rule = AlertRule.objects.get()
    assert rule.in_words == "Exact match worse than at the firing before by more than 0.1" and rule.channels.get() == channel
    client.post(f"/alerts/rules/{rule.pk}/edit/", RULE | {"job": job.pk, "threshold": "0.2"})
    client.post(f"/alerts/rules/{rule.pk}/switch/", {"on": "0"})
    rule.refresh_from_db()
    assert (rule.threshold, rule.is_on, rule.channels.count()) == (0.2, False, 0)
    client.post(f"/alerts/rules/{rule.pk}/delete/")
    assert not AlertRule.objects.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"job": ""}, "Choose a training job or a prediction set"),
        ({"kind": "baseline"}, "Choose the run that is the baseline"),
        ({"kind": "pass_rate", "threshold": "90"}, "between 0 and 1"),
        ({"kind": "silence", "threshold": "0.5"}, "at least 1 minute"),
        ({"threshold": "-1"}, "greater than or equal to 0"),
        ({"threshold": "nan"}, "Enter a number"),
        ({"metric": "fun"}, "not one of the available choices"),
        ({"name": ""}, "required"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(client: Client, job: TrainingJob, change: dict[str, str], words: str) -> None:
    answer = client.post(f"/projects/{job.project.slug}/alerts/rules/new/", RULE | {"job": job.pk} | change)
    assert answer.status_code == 422 and words in answer.content.decode() and not AlertRule.objects.exists()


def test_a_name_in_use_is_told(client: Client, alert: Alert) -> None:
    slug = alert.rule.project.slug
    answer = client.post(f"/projects/{slug}/alerts/rules/new/", RULE | {"job": alert.job.pk, "name": "golden"})
    assert answer.status_code == 422 and "of that name already" in answer.content.decode()


@pytest.mark.parametrize(
    "body",
    [
        {"baseline": 999_999, "kind": "baseline"},
        {"job": "elsewhere"},
        {"metric": "fun"},
        {"threshold": None},
        {"threshold": "nan"},
        {"threshold": "inf"},
    ],
)
def test_the_api_refuses_the_same(client: Client, job: TrainingJob, body: dict[str, Any]) -> None:
    make_training_job(make_project(name="foreign"), "elsewhere")
    sent = {"project": job.project.slug, "job": "nightly"} | RULE | body
    answer = client.post("/api/alert-rules/", sent, content_type="application/json")
    assert answer.status_code == 400 and not AlertRule.objects.exists()


def test_a_channel_of_another_project_is_refused(client: Client, job: TrainingJob) -> None:
    foreign = make_channel(make_project(name="foreign"))
    sent = {"project": job.project.slug, "job": "nightly", "channels": [foreign.pk]} | RULE
    assert client.post("/api/alert-rules/", sent, content_type="application/json").status_code == 400


def test_the_rules_page_shows_how_firings_stand(client: Client, job: TrainingJob) -> None:
    rule = make_rule(job, threshold=0.1)
    make_firing(job, 1)
    make_firing(job, 2, [{"sample_index": 0, "prompt": "question 0", "ground_truth": "right", "prediction": "wrong"}])
    text = page(client, rule.get_absolute_url())
    assert "nothing before it" in text and "0.000" in text and " alert</span>" in text


# --- Alerts ----------------------------------------------------------------------------------------------------------------
def test_an_alert_is_shown_where_people_look(client: Client, alert: Alert) -> None:
    slug = alert.rule.project.slug
    assert alert.message in page(client, f"/projects/{slug}/alerts/")
    assert alert.message in page(client, f"/projects/{slug}/overview/")
    assert alert.message in page(client, f"/training/{alert.job_id}/alerts/")
    assert ">1<" in page(client, f"/projects/{slug}/alerts/badge/")
    assert f'hx-get="/training/{alert.job_id}/alerts/"' in page(client, f"/training/{alert.job_id}/")


def test_an_alert_is_acknowledged_and_resolved(client: Client, alert: Alert, user: User) -> None:
    for _ in range(2):  # the second time does nothing
        client.post(f"/alerts/{alert.pk}/acknowledge/")
    alert.refresh_from_db()
    assert (alert.status, alert.acknowledged_by) == ("acknowledged", user)
    back = f"/projects/{alert.rule.project.slug}/alerts/?rule={alert.rule_id}"
    assert client.post(f"/alerts/{alert.pk}/resolve/", {"next": back}).headers["Location"] == back
    assert "Resolved by alice" in page(client, f"{back}&status=all")
    client.post(f"/alerts/{alert.pk}/acknowledge/")
    alert.refresh_from_db()
    assert alert.status == "resolved"


def test_nobody_is_led_elsewhere(client: Client, alert: Alert) -> None:
    answer = client.post(f"/alerts/{alert.pk}/resolve/", {"next": "https://evil.example.org/"})
    assert answer.headers["Location"] == f"/projects/{alert.rule.project.slug}/alerts/"


def test_one_that_resolved_by_itself_says_so(client: Client, alert: Alert) -> None:
    alert.resolve("Epoch 4 is back at 0.800, within the limit.")
    alert.save()
    text = page(client, f"/projects/{alert.rule.project.slug}/alerts/?status=resolved")
    assert "Resolved by itself" in text and "Epoch 4 is back" in text


@pytest.mark.parametrize("query", ["?status=nonsense", "?rule=999999", "?rule=x", "?job=99999999999999999999999", "?page=x"])
def test_filters_that_make_no_sense_are_left_out(client: Client, alert: Alert, query: str) -> None:
    page(client, f"/projects/{alert.rule.project.slug}/alerts/{query}")


def test_the_list_comes_as_a_fragment(client: Client, alert: Alert) -> None:
    text = page(client, f"/projects/{alert.rule.project.slug}/alerts/", **{"HX-Request": "true"})
    assert 'id="alert-table"' in text and "<html" not in text


def test_lists_ask_no_more_for_more(client: Client, job: TrainingJob, django_assert_max_num_queries: Any) -> None:
    for epoch in range(1, 21):
        make_firing(job, epoch)
        rule = make_rule(job, channels=[make_channel(job.project, name=f"hook {epoch}")])
        make_alert(rule, PredictionRun.objects.get(epoch=epoch))
    slug = job.project.slug
    for path, most in ((f"/projects/{slug}/alerts/", 9), (f"/projects/{slug}/alerts/rules/", 7), (f"/projects/{slug}/alerts/channels/", 7),
                       ("/api/alerts/", 4), ("/api/alert-rules/", 5), (AlertRule.objects.first().get_absolute_url(), 12)):  # fmt: skip
        with django_assert_max_num_queries(most):
            assert client.get(path).status_code == 200


def test_the_api_filters_alerts(client: Client, alert: Alert) -> None:
    def found(query: str) -> int:
        return len(client.get(f"/api/alerts/?{query}").json()["results"])

    queries = ["status=open", "status=resolved", f"rule={alert.rule_id}", "rule=0", "job_id=nightly", "job_id=x"]
    assert [found(query) for query in queries] == [1, 0, 1, 0, 1, 0]


# --- Channels --------------------------------------------------------------------------------------------------------------
def test_a_webhooks_secret_is_shown_once(client: Client, project: Project) -> None:
    form = {"name": "ops", "kind": "webhook", "target": "https://hooks.example.org/x"}
    made = client.post(f"/projects/{project.slug}/alerts/channels/", form)
    channel = AlertChannel.objects.get()
    assert channel.secret in made.content.decode() and made.headers["Cache-Control"] == "no-store"
    assert channel.secret not in page(client, f"/alerts/channels/{channel.pk}/")
    old = channel.secret
    renewed = client.post(f"/alerts/channels/{channel.pk}/secret/").content.decode()
    channel.refresh_from_db()
    assert channel.secret in renewed and channel.secret != old


@pytest.mark.parametrize(
    ("kind", "target", "words"),
    [
        ("webhook", "http://127.0.0.1/", "no public address"),
        ("webhook", "http://0x7f000001/", "no public address"),
        ("webhook", "ftp://example.org", "must begin with"),
        ("webhook", "https://a:b@example.org/", "no user name"),
        ("email", "nobody", "is not an e-mail address"),
        ("email", "a@example.org\nBcc: b@example.org", "is not an e-mail address"),
        ("email", ",".join(["a@example.org"] * 21), "1 to 20"),
        ("email", " ", "required"),
    ],
)
def test_an_address_that_cannot_be_is_refused(client: Client, project: Project, kind: str, target: str, words: str) -> None:
    form = {"name": "ops", "kind": kind, "target": target}
    answer = client.post(f"/projects/{project.slug}/alerts/channels/", form)
    assert answer.status_code == 422 and words in answer.content.decode() and not AlertChannel.objects.exists()


def test_a_test_goes_through_the_real_channels_and_shows_what_was_answered(
    client: Client, job: TrainingJob, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.CELERY_TASK_ALWAYS_EAGER = True
    settings.EMAIL_HOST = "mail.example.org"
    rule = make_rule(job, channels=[make_channel(job.project, "email", "ada@example.org")])
    with django_capture_on_commit_callbacks(execute=False):
        client.post(f"/alerts/rules/{rule.pk}/test/")
    assert notifying.deliver(Delivery.objects.get().pk)
    assert "mail.example.org took it for ada@example.org" in page(client, rule.get_absolute_url())


def test_tests_are_not_sent_in_a_hurry(client: Client, job: TrainingJob) -> None:
    rule = make_rule(job, channels=[make_channel(job.project)])
    assert client.post(f"/api/alert-rules/{rule.pk}/test/").status_code == 202
    assert client.post(f"/api/alert-rules/{rule.pk}/test/").status_code == 409
    Delivery.objects.update(created_at=timezone.now() - timezone.timedelta(minutes=1))
    assert client.post(f"/api/alert-rules/{rule.pk}/test/").status_code == 202


def test_a_rule_without_channels_has_nothing_to_test(client: Client, job: TrainingJob) -> None:
    assert client.post(f"/api/alert-rules/{make_rule(job).pk}/test/").status_code == 409


def test_viewers_do_not_read_addresses_in_what_a_channel_answered(client: Client, client_of: Any, job: TrainingJob) -> None:
    rule, channel = make_rule(job, name="golden"), make_channel(job.project)
    answer = "hooks.example.org/T0/secret could not be resolved"
    Delivery.objects.create(channel=channel, rule=rule, event="test", body={}, status="failed", answer=answer)
    viewer = make_user("vic")
    Membership.objects.create(project=job.project, user=viewer, role=Role.VIEWER)
    paths = (f"/alerts/rules/{rule.pk}/", f"/api/alert-rules/{rule.pk}/deliveries/")
    assert all(answer in page(client, path) for path in paths)
    assert not any("hooks.example.org" in page(client_of(viewer), path) for path in paths)
