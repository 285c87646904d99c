"""What the clock's look raises, resolves and tells."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from accounts.models import Project, User
from evaluation import alerts, notifying
from evaluation.models import Alert, AlertRule, Delivery
from evaluation.standing import standings
from evaluation.watching import look
from predictions import training
from predictions.models import PredictionRun, PredictionSet, TrainingJob
from predictions.prediction_sets import NewItem, register_sampled
from tests.factories import make_answer, make_channel, make_firing, make_project, make_rule, make_training_job

pytestmark = pytest.mark.django_db
LATER = timedelta(minutes=1)


@pytest.fixture
def project(user: User) -> Project:
    return make_project(user, name="texts")


@pytest.fixture
def job(project: Project) -> TrainingJob:
    return make_training_job(project, "nightly", status="running", last_seen_at=timezone.now())


def answers(right: int, of: int = 10) -> list[dict[str, Any]]:
    return [make_answer(n, "right" if n < right else "wrong") for n in range(of)]


def fire(job: TrainingJob, epoch: float, right: int, **fields: Any) -> PredictionRun:
    make_firing(job, epoch, answers(right), **fields)
    return PredictionRun.objects.filter(job=job, epoch=epoch).latest("pk")


def settled() -> int:
    """A look when no rows have come for a while."""
    return look(timezone.now() + LATER)


# --- Raising ---------------------------------------------------------------------------------------------------------------
def test_a_drop_against_the_firing_before_is_raised_once(job: TrainingJob) -> None:
    make_rule(job, threshold=0.1)
    fire(job, 1, 9), fire(job, 2, 7)
    assert [settled(), settled(), settled()] == [1, 0, 0]
    alert = Alert.objects.get()
    assert (alert.value, alert.reference, alert.run.epoch) == (0.7, 0.9, 2)
    assert alert.message == ("Epoch 2, step 20: Exact match 0.700, 0.200 worse than the firing before (0.900); 0.1 is allowed")


def test_exactly_what_is_allowed_is_allowed(job: TrainingJob) -> None:
    make_rule(job, threshold=0.1)
    fire(job, 1, 8), fire(job, 2, 7)
    assert settled() == 0


def test_where_lower_is_better_a_rise_is_worse(job: TrainingJob) -> None:
    make_rule(job, metric="char_error_rate", threshold=0.05)
    fire(job, 1, 9), fire(job, 2, 7), fire(job, 3, 10)
    settled()
    assert [alert.run.epoch for alert in Alert.objects.all()] == [2]


def test_the_length_ratio_is_best_at_1(job: TrainingJob) -> None:
    make_rule(job, metric="length_ratio", threshold=0.1)
    make_firing(job, 1, [make_answer(0, "right")])
    make_firing(job, 2, [make_answer(0, "right right right")])
    assert settled() == 1


def test_a_score_of_the_trainers_own_goes_the_way_the_rule_says(job: TrainingJob) -> None:
    make_rule(job, metric="custom:loss", lower_is_better=True, threshold=0.1)
    make_rule(job, metric="custom:loss", threshold=0.1)
    for epoch, loss in ((1, 0.5), (2, 0.9)):
        make_firing(job, epoch, [make_answer(0, scores={"loss": loss})])
    settled()
    assert [alert.rule.lower_is_better for alert in Alert.objects.all()] == [True]


def test_a_baseline_of_another_job_is_held_against(project: Project, job: TrainingJob) -> None:
    other = make_training_job(project, "old")
    items = [NewItem(str(n), n, f"question {n}", references=["right"]) for n in range(10)]
    for each in (other, job):
        register_sampled(each, None, "golden", items)
    keyed = [row | {"item_key": str(row["sample_index"])} for row in answers(9)]
    make_firing(other, 1, keyed, prediction_set="golden")
    make_rule(job, kind="baseline", baseline=PredictionRun.objects.get(), threshold=0.2)
    keyed = [row | {"item_key": str(row["sample_index"])} for row in answers(6)]
    make_firing(job, 1, keyed, prediction_set="golden")
    assert look() == 1  # all of the set is answered: nothing to wait for


def test_a_baseline_of_other_questions_is_no_measure(job: TrainingJob, project: Project) -> None:
    other = make_training_job(project, "old")
    rule = make_rule(job, kind="baseline", baseline=fire(other, 1, 9), threshold=0.2)
    fire(job, 1, 1)
    assert settled() == 0
    assert "not comparable" in standings(rule)[0].why_not


def test_a_pass_rate_under_the_threshold(job: TrainingJob) -> None:
    job.config = {"predictions": {"validators": [{"type": "equals", "value": "right"}]}}
    job.save()
    make_rule(job, kind="pass_rate", metric="passed", threshold=0.8)
    fire(job, 1, 8), fire(job, 2, 7)
    settled()
    assert [alert.run.epoch for alert in Alert.objects.all()] == [2]


def test_a_set_is_watched_in_every_job_that_answers_it(project: Project, job: TrainingJob) -> None:
    other = make_training_job(project, "other")
    fire(job, 1, 9, prediction_set="golden")
    make_rule(prediction_set=PredictionSet.objects.get(name="golden"), threshold=0.1)
    fire(job, 2, 5, prediction_set="golden"), fire(job, 2, 5)
    fire(other, 1, 9, prediction_set="golden"), fire(other, 2, 9, prediction_set="golden")
    settled()
    assert [(alert.job, str(alert.run.set_version.prediction_set)) for alert in Alert.objects.all()] == [(job, "golden")]


def test_rules_that_are_off_raise_nothing(job: TrainingJob) -> None:
    make_rule(job, is_on=False)
    fire(job, 1, 9), fire(job, 2, 1)
    assert settled() == 0


def test_a_rule_watches_what_comes_after_it(job: TrainingJob) -> None:
    fire(job, 1, 9), fire(job, 2, 5)
    now = timezone.now()
    make_rule(job, watches_from=now, looked_at=now)
    assert settled() == 0
    fire(job, 3, 1)
    assert settled() == 1 and Alert.objects.get().run.epoch == 3


# --- Rows that come late ---------------------------------------------------------------------------------------------------
def test_a_half_arrived_firing_raises_nothing(job: TrainingJob) -> None:
    make_rule(job, threshold=0.1)
    fire(job, 1, 9)
    make_firing(job, 2, answers(0, of=2))  # wrong ones come first
    assert look() == 0
    make_firing(job, 2, answers(10)[2:])
    assert settled() == 0


def test_a_known_set_is_waited_for_longer(job: TrainingJob, user: User) -> None:
    register_sampled(job, user, "drawn", [NewItem(str(n), n, f"question {n}", references=["right"]) for n in range(10)])
    rows = [row | {"item_key": str(row["sample_index"])} for row in answers(10)]
    make_rule(job, threshold=0.1)
    make_firing(job, 1, rows, prediction_set="drawn")
    wrong = [row | {"prediction": "wrong"} for row in rows]
    make_firing(job, 2, wrong[:5], prediction_set="drawn")
    assert settled() == 0
    assert look(timezone.now() + timedelta(minutes=4)) == 1


def test_rows_that_come_late_have_a_run_judged_anew(job: TrainingJob) -> None:
    make_rule(job, threshold=0.3)
    fire(job, 1, 9), fire(job, 2, 5)
    settled()
    make_firing(job, 2, [make_answer(n, "right") for n in range(10, 60)])
    settled()
    alert = Alert.objects.get()
    assert alert.status == "resolved" and alert.resolved_by is None and "More answers" in alert.resolution


def test_a_run_that_is_sent_again_worse_is_open_again(job: TrainingJob) -> None:
    make_rule(job, threshold=0.3)
    fire(job, 1, 9), fire(job, 2, 5)
    settled()
    for right, status in ((9, "resolved"), (2, "open")):
        make_firing(job, 2, answers(right))
        settled()
        assert Alert.objects.get().status == status


def test_who_is_compared_with_a_changed_run_is_judged_anew(job: TrainingJob) -> None:
    make_rule(job, threshold=0.3)
    fire(job, 1, 5), fire(job, 2, 5)
    assert settled() == 0
    fire(job, 1, 10)
    assert settled() == 1


def test_nothing_is_missed_while_nobody_looked(job: TrainingJob) -> None:
    long_ago = timezone.now() - timedelta(days=3)
    make_rule(job, watches_from=long_ago, looked_at=long_ago)
    fire(job, 1, 9), fire(job, 2, 1)
    PredictionRun.objects.update(changed_at=timezone.now() - timedelta(days=2))
    assert look() == 1


def test_a_call_that_commits_after_the_look_is_seen_by_the_next(job: TrainingJob) -> None:
    """Its rows say an earlier time than the look that could not see them."""
    make_rule(job)
    fire(job, 1, 9)
    settled()
    fire(job, 2, 1)
    PredictionRun.objects.filter(epoch=2).update(changed_at=timezone.now() - timedelta(minutes=2))
    assert settled() == 1


# --- Resolving -------------------------------------------------------------------------------------------------------------
def test_an_alert_resolves_by_itself_when_the_score_is_back(job: TrainingJob) -> None:
    make_rule(job, threshold=0.1)
    fire(job, 1, 9), fire(job, 2, 5), fire(job, 3, 6)
    settled()
    assert Alert.objects.get().status == "open"  # better than before, not back
    fire(job, 4, 8)
    settled()
    alert = Alert.objects.get()
    assert alert.status == "resolved" and alert.resolution == "Epoch 4, step 40 is back at 0.800, within the limit."


def test_what_somebody_resolved_stays_so(job: TrainingJob, user: User) -> None:
    make_rule(job)
    fire(job, 1, 9), fire(job, 2, 1)
    settled()
    alerts.resolve(Alert.objects.get(), user, "known")
    settled()
    assert Alert.objects.get().resolution == "known"


def test_a_later_attempt_takes_the_alert_with_it(job: TrainingJob) -> None:
    make_rule(job)
    fire(job, 1, 9), fire(job, 2, 1)
    settled()
    fire(job, 2, 9, attempt=2)
    settled()
    assert Alert.objects.get().resolution == "A later attempt has answered in place of this run."


def test_a_rule_that_judges_otherwise_starts_anew(job: TrainingJob, user: User) -> None:
    rule = make_rule(job)
    fire(job, 1, 9), fire(job, 2, 1)
    settled()
    rule.threshold = 0.5
    alerts.save_rule(rule, user)
    assert Alert.objects.get().resolution == "The rule was changed." and settled() == 0


# --- Silence ---------------------------------------------------------------------------------------------------------------
def test_silence_is_raised_once_and_ends_with_a_sign_of_life(job: TrainingJob) -> None:
    make_rule(job, kind="silence", metric="", threshold=5)
    now = timezone.now()
    assert look(now + timedelta(minutes=4)) == 0
    assert [look(now + timedelta(minutes=6)) for _ in range(3)] == [1, 0, 0]
    training.note_progress(job, {"epoch": 2})
    look()
    assert Alert.objects.get().resolution.startswith("It gave a sign of life")
    assert look(now + timedelta(minutes=12)) == 1


def test_a_silence_that_somebody_resolved_is_not_raised_again(job: TrainingJob, user: User) -> None:
    make_rule(job, kind="silence", metric="", threshold=5)
    then = timezone.now() + timedelta(minutes=6)
    look(then)
    alerts.resolve(Alert.objects.get(), user)
    assert look(then + LATER) == 0


def test_a_job_that_ended_is_not_silent(job: TrainingJob) -> None:
    make_rule(job, kind="silence", metric="", threshold=5)
    look(timezone.now() + timedelta(minutes=6))
    training.note_progress(job, {"status": "completed"})
    look(timezone.now() + timedelta(minutes=20))
    assert Alert.objects.get().resolution == "The job is completed."


def test_silence_of_a_set_is_that_of_jobs_which_answer_it(job: TrainingJob, project: Project) -> None:
    fire(job, 1, 9, prediction_set="golden")
    make_training_job(project, "elsewhere", status="running", last_seen_at=timezone.now())
    make_rule(prediction_set=PredictionSet.objects.get(), kind="silence", metric="", threshold=5)
    look(timezone.now() + timedelta(minutes=6))
    assert [alert.job for alert in Alert.objects.all()] == [job]


# --- Telling ---------------------------------------------------------------------------------------------------------------
def told() -> list[tuple[str, int]]:
    return [(delivery.event, delivery.body["count"]) for delivery in Delivery.objects.order_by("created_at")]


def test_channels_are_told_once_and_when_it_is_over(job: TrainingJob, project: Project) -> None:
    make_rule(job, channels=[make_channel(project)])
    fire(job, 1, 9), fire(job, 2, 1)
    settled(), settled()
    assert told() == [("alert.fired", 1)]
    fire(job, 3, 9)
    settled(), settled()
    assert told() == [("alert.fired", 1), ("alert.resolved", 1)]


def test_while_the_debounce_lasts_alerts_wait_and_come_as_one(job: TrainingJob, project: Project) -> None:
    make_rule(job, channels=[make_channel(project)], debounce_minutes=30)
    fire(job, 1, 10), fire(job, 2, 8)
    settled()
    for epoch, right in ((3, 6), (4, 4)):
        fire(job, epoch, right)
        settled()
    assert told() == [("alert.fired", 1)]
    look(timezone.now() + timedelta(minutes=40))
    assert told() == [("alert.fired", 1), ("alert.fired", 2)]


def test_an_alert_that_is_over_before_it_was_told_is_not_told(job: TrainingJob, project: Project) -> None:
    make_rule(job, channels=[make_channel(project)])
    fire(job, 1, 9), fire(job, 2, 1), fire(job, 3, 9)
    settled()
    assert Alert.objects.get().status == "resolved" and told() == []


def test_mail_goes_to_all_addresses(job: TrainingJob, project: Project, settings: Any) -> None:
    settings.EMAIL_HOST, settings.PUBLIC_URL = "mail.example.org", "https://touchstone.example.org"
    make_rule(job, name="golden\nscore", channels=[make_channel(project, "email", "ada@example.org, bob@example.org")])
    fire(job, 1, 9), fire(job, 2, 1)
    settled()
    assert notifying.deliver(notifying.due()[0])
    [message] = mail.outbox
    assert message.to == ["ada@example.org", "bob@example.org"] and message.subject == "[Touchstone] Alert: golden score"
    assert "Exact match 0.100" in message.body and "https://touchstone.example.org/training/" in message.body


def test_without_a_mail_server_the_delivery_says_so(project: Project, settings: Any) -> None:
    settings.EMAIL_HOST = ""
    [delivery] = notifying.test_messages([make_channel(project, "email", "ada@example.org")])
    notifying.deliver(delivery.pk)
    delivery.refresh_from_db()
    assert delivery.status == "failed" and "TOUCHSTONE_EMAIL_HOST" in delivery.answer


def test_old_deliveries_go(project: Project) -> None:
    notifying.test_messages([make_channel(project, "email", "ada@example.org")])
    Delivery.objects.update(status="completed", finished_at=timezone.now() - timedelta(days=31))
    assert notifying.forget_old_deliveries() == 1


# --- Cost and endings ------------------------------------------------------------------------------------------------------
def test_a_look_costs_no_more_queries_for_more_runs_and_rules(job: TrainingJob, django_assert_max_num_queries: Any) -> None:
    for _ in range(10):
        make_rule(job, metric="token_f1", threshold=0.9)
    for epoch in range(1, 20):
        fire(job, epoch, 9)
    with django_assert_max_num_queries(13):
        settled()


def test_deleting_the_job_takes_rules_and_alerts_with_it(job: TrainingJob, project: Project) -> None:
    other = make_rule(make_training_job(project, "other"), kind="baseline", baseline=fire(job, 1, 9))
    make_rule(job)
    fire(job, 2, 1)
    settled()
    training.delete_job(job)
    other.refresh_from_db()
    assert not Alert.objects.exists() and AlertRule.objects.get() == other and other.baseline is None
    assert settled() == 0 and "the baseline was deleted" not in [each.why_not for each in standings(other)]
