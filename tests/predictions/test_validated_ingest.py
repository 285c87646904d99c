"""Validators at ingest: those of the version, of the items and of the panel; weights, thresholds, totals, rescoring, pages, API."""

from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from predictions import trends
from predictions.ingest import recomputed_scores
from predictions.models import (
    PredictionRun,
    PredictionSet,
    PredictionSetItem,
    PredictionSetVersion,
    SetKind,
    TextPrediction,
    TrainingJob,
)
from predictions.rescoring import outdated
from predictions.texts import failing_validators
from predictions.totals import Totals
from tests.factories import make_answer, make_firing, make_training_job

pytestmark = pytest.mark.django_db

SORRY = {"type": "not_icontains", "value": "sorry"}
SHORT = {"type": "max_length", "value": 10}


@pytest.fixture
def job() -> TrainingJob:
    return make_training_job()


def golden(job: TrainingJob, *items: dict[str, Any], **fields: Any) -> PredictionSetVersion:
    """A published set, asked as golden@1."""
    golden = PredictionSet.objects.create(project=job.project, name="golden", kind=SetKind.CURATED)
    version = PredictionSetVersion.objects.create(prediction_set=golden, number=1, item_count=len(items), **fields)
    for place, item in enumerate(items):
        PredictionSetItem.objects.create(
            version=version,
            **({"key": f"k{place}", "sample_index": place, "prompt": f"question {place}", "references": ["right"]} | item),
        )
    PredictionSetVersion.objects.filter(pk=version.pk).update(content_hash="h" * 64)
    version.refresh_from_db()
    return version


def answer(place: int, prediction: str, **fields: Any) -> dict[str, Any]:
    return make_answer(place, prediction, item_key=f"k{place}", **fields)


def outcomes(row: TextPrediction) -> list[tuple[str, str]]:
    return [(result["type"], result["outcome"]) for result in row.validations or []]


def test_version_panel_and_item_each_have_their_say(job: TrainingJob) -> None:
    golden(job, {"validators": [{"type": "equals", "value": "right"}]}, {}, validators=[SORRY])
    job.config = {"predictions": {"validators": [SHORT]}}
    job.save()
    make_firing(job, answers=[answer(0, "right"), answer(1, "I am sorry, no")], prediction_set="golden@1")
    first, second = TextPrediction.objects.order_by("sample_index")
    assert outcomes(first) == [("not_icontains", "pass"), ("max_length", "pass"), ("equals", "pass")] and first.passed
    assert outcomes(second) == [("not_icontains", "fail"), ("max_length", "fail")] and second.passed is False
    assert second.validations == [
        {"type": "not_icontains", "value": "sorry", "outcome": "fail", "message": "It contains 'sorry'.", "detail": {}},
        {"type": "max_length", "value": 10, "outcome": "fail", "message": "It has 14 characters; the limit is 10.", "detail": {"length": 14}},
    ]  # fmt: skip


def test_the_threshold_of_the_version_is_a_share_of_weight(job: TrainingJob) -> None:
    golden(job, {}, {}, validators=[SORRY | {"weight": 3}, SHORT], pass_threshold=0.75)
    make_firing(job, answers=[answer(0, "a long answer"), answer(1, "sorry")], prediction_set="golden@1")
    assert list(TextPrediction.objects.order_by("sample_index").values_list("passed", flat=True)) == [True, False]


def test_validators_see_scores_latency_and_the_end(job: TrainingJob) -> None:
    asked = [
        {"type": "score", "value": "char_error_rate", "threshold": 0.2},
        {"type": "score", "value": "reward", "min": 0.5},
        {"type": "latency", "threshold": 20},
        {"type": "finish_reason", "value": ["eos"]},
    ]
    golden(job, {}, {}, validators=asked)
    told = {"scores": {"reward": 0.9}, "latency_ms": 12.5, "finish_reason": "eos"}
    make_firing(job, answers=[answer(0, "right", **told), answer(1, "wrong")], prediction_set="golden@1")
    first, second = TextPrediction.objects.order_by("sample_index")
    assert [outcome for _, outcome in outcomes(first)] == ["pass"] * 4
    assert [outcome for _, outcome in outcomes(second)] == ["fail", "error", "error", "error"]


def test_image_validators_of_a_mixed_set_leave_texts_alone(job: TrainingJob) -> None:
    golden(job, {}, validators=[{"type": "label_is", "value": "cat"}, SHORT])
    make_firing(job, answers=[answer(0, "right")], prediction_set="golden@1")
    assert outcomes(TextPrediction.objects.get()) == [("max_length", "pass")]


def test_totals_know_the_weights(job: TrainingJob) -> None:
    golden(job, {"weight": 3}, {"weight": 1}, {"weight": 2}, validators=[SHORT])
    answers = [answer(0, "right"), answer(1, "far too long"), answer(2, "right")]
    make_firing(job, answers=answers, prediction_set="golden@1")
    run = PredictionRun.objects.get()
    stored = Totals.from_json(run.totals)
    assert (stored.passed, stored.validated, stored.weighted_pass_rate) == (2, 3, pytest.approx(5 / 6))
    assert run.validator_version == "1"
    make_firing(job, answers=[answer(0, "far too long")], prediction_set="golden@1")
    again = Totals.from_json(PredictionRun.objects.get().totals)
    assert (again.passed, again.weighted_pass_rate) == (1, pytest.approx(2 / 6))
    assert recomputed_scores(run).passed_weight == again.passed_weight


def test_totals_from_before_the_weights_still_read() -> None:
    old = Totals.from_json(
        {"rows": 4, "edits": 0, "reference_length": 0, "bleu": [], "scores": {}, "passed": 3, "validated": 4}
    )
    old.merge(Totals.from_json({}))
    assert old.pass_rate == old.weighted_pass_rate == 0.75


def test_a_rate_has_wilsons_interval() -> None:
    """Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    published = {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605), (0, 20): (0, 0.1611), (1, 29): (0.0061, 0.1718)}
    for (passed, validated), bounds in published.items():
        assert Totals(passed=passed, validated=validated).pass_interval == pytest.approx(bounds, abs=5e-5)
    assert Totals().pass_interval is None


# --- Rescoring -------------------------------------------------------------------------------------------------------------
def test_runs_judged_under_other_definitions_are_outdated(job: TrainingJob) -> None:
    golden(job, {}, {"weight": 3}, validators=[SORRY])
    make_firing(job, answers=[answer(0, "sorry"), answer(1, "right")], prediction_set="golden@1")
    assert not outdated(PredictionRun.objects.all()).exists()
    TextPrediction.objects.update(passed=None, validations=None)
    PredictionRun.objects.update(validator_version="0", totals={})
    assert outdated(PredictionRun.objects.all()).exists()
    call_command("rescore")
    assert list(TextPrediction.objects.order_by("sample_index").values_list("passed", flat=True)) == [False, True]
    run = PredictionRun.objects.get()
    assert run.validator_version == "1" and Totals.from_json(run.totals).weighted_pass_rate == 0.75


def test_what_nobody_asks_any_more_is_taken_back(job: TrainingJob) -> None:
    job.config = {"predictions": {"validators": [SHORT]}}
    job.save()
    make_firing(job)
    job.config = {}
    job.save()
    call_command("rescore", "--all")
    row = TextPrediction.objects.first()
    assert row is not None and row.passed is None and not TextPrediction.objects.exclude(validations__isnull=True).exists()
    assert failing_validators(row.run) == {} and Totals.from_json(PredictionRun.objects.get().totals).validated == 0


# --- Pages and API ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def judged(job: TrainingJob) -> TrainingJob:
    """k0 passes, k1 fails one check, k2 fails it and another is in error."""
    golden(job, {"weight": 5}, {}, {"validators": [{"type": "regex", "value": "^(a|aa)+$"}]}, validators=[SHORT])
    answers = [answer(0, "right"), answer(1, "x" * 11), answer(2, "a" * 5000 + "b")]
    make_firing(job, answers=answers, prediction_set="golden@1")
    return job


@pytest.fixture
def client(job: TrainingJob, client_of: Any) -> Client:
    return client_of(job.owner)


def shown(client: Client, judged: TrainingJob, **query: str) -> tuple[list[int], str]:
    response = client.get(reverse("training:job", args=[judged.pk]), query)
    return [row.sample_index for row in response.context["page"]], " ".join(response.content.decode().split())


@pytest.mark.parametrize(("validator", "rows"), [("", [0, 1, 2]), ("max_length", [1, 2]), ("regex", [2]), ("equals", [])])
def test_the_table_is_filtered_by_a_failing_validator(
    client: Client, judged: TrainingJob, validator: str, rows: list[int]
) -> None:
    assert shown(client, judged, validator=validator)[0] == rows


def test_the_table_says_which_failed_and_why(client: Client, judged: TrainingJob) -> None:
    text = shown(client, judged)[1]
    assert "<b>max length</b> It has 11 characters; the limit is 10." in text
    assert "<b>regex</b> could not run: It took longer than" in text
    assert (
        '<option value="max_length">max length (2 failed)</option> <option value="regex">regex (1 failed)</option>'
        in text.replace("</option><option", "</option> <option")
    )


def test_an_item_shows_all_its_checks_and_its_record(client: Client, judged: TrainingJob) -> None:
    text = client.get(reverse("training:item", args=[judged.pk, "k0"])).content.decode()
    assert "<b>max length</b> <code>10</code>" in text and "<dt>Prediction set</dt><dd>golden@1</dd>" in text


def test_the_runs_show_how_many_passed(client: Client, judged: TrainingJob) -> None:
    text = client.get(reverse("training:runs", args=[judged.pk])).content.decode()
    assert ">1 of 3<" in text and "<dt>Validators</dt><dd>1</dd>" in text


def test_the_pass_rate_is_among_the_trends(client: Client, judged: TrainingJob) -> None:
    names = client.get(reverse("training:job", args=[judged.pk])).context["chart"]["names"]
    assert names["pass_rate"] == "Pass rate" and names["weighted_pass_rate"] == "Pass rate, weighted"
    chart = client.get(reverse("training:chart", args=[judged.pk]), {"metric": "pass_rate"}).json()
    (point,) = chart["datasets"][0]["data"]
    assert (point["y"], point["count"], chart["label"], chart["bounded"]) == (pytest.approx(1 / 3), 3, "Pass rate", True)
    assert 0 < point["low"] < 1 / 3 < point["high"] < 1
    weighted = client.get(reverse("training:chart", args=[judged.pk]), {"metric": "weighted_pass_rate"}).json()
    assert weighted["datasets"][0]["data"][0]["y"] == pytest.approx(5 / 7)
    row = client.get(f"/api/training/predictions/{judged.job_id}/trends/").json()["trends"][0]
    assert (row["validation_pass_rate"], row["weighted_pass_rate"]) == (pytest.approx(1 / 3), pytest.approx(5 / 7))


def test_the_weighted_rate_is_left_out_where_it_says_the_same(job: TrainingJob) -> None:
    golden(job, {}, {}, validators=[SHORT])
    make_firing(job, answers=[answer(0, "right"), answer(1, "far too long")], prediction_set="golden@1")
    assert trends.rates(trends.points(job)) == ["pass_rate"]


def test_rows_return_their_results(client: Client, judged: TrainingJob) -> None:
    rows = client.get(f"/api/training/predictions/{judged.job_id}/").json()["predictions"]
    assert [row["validation_passed"] for row in rows] == [True, False, False]
    assert rows[1]["validations"][0].keys() == {"type", "value", "outcome", "message", "detail"}
    (run,) = client.get(f"/api/training/jobs/{judged.job_id}/runs/").json()["results"]
    assert (run["passed"], run["validated"], run["record"]["validator_version"]) == (1, 3, "1")
