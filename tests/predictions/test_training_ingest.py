"""What a trainer sends: stored once, updated in place, refused row by row; the totals of the run stay true."""

import threading
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections

from predictions import rescoring
from predictions.ingest import Firing, ingest
from predictions.models import PredictionRun, PredictionSetItem, TextPrediction, TrainingJob
from predictions.prediction_sets import NewItem, SetRefused, register_sampled
from predictions.scoring import SCORE_NAMES, Scores, score
from predictions.totals import Totals, bleu_statistics
from tests.factories import make_answer, make_firing, make_project, make_training_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def job() -> TrainingJob:
    return make_training_job(job_id="nightly")


def outcome(result: Any) -> tuple[int, int, list[int]]:
    return result.stored, result.updated, [refusal["index"] for refusal in result.rejected]


def true_totals(run: PredictionRun) -> Totals:
    """From the rows alone."""
    totals = Totals()
    for row in TextPrediction.objects.filter(run=run).select_related("item"):
        references = row.item.references if row.references is None else row.references
        totals.add_rows([(score(row.prediction, references), row.custom_scores, row.passed)])
        totals.add_bleu(bleu_statistics([(row.prediction, references)]))
    return totals


def is_true(run: PredictionRun) -> bool:
    run.refresh_from_db()
    stored, true = Totals.from_json(run.totals), true_totals(run)
    means = all(stored.mean(name) == pytest.approx(true.mean(name)) for name in (*SCORE_NAMES, "reward"))
    bounds = all(
        (stored.scores[name].least, stored.scores[name].greatest) == (true.scores[name].least, true.scores[name].greatest)
        for name in true.scores
    )
    whole = (stored.rows, stored.bleu, stored.edits, stored.reference_length, stored.passed, stored.validated)
    return means and bounds and whole == (true.rows, true.bleu, true.edits, true.reference_length, true.passed, true.validated)


def test_answers_are_stored_with_their_scores(job: TrainingJob) -> None:
    assert outcome(make_firing(job, answers=[make_answer(0, "wrong"), make_answer(1)])) == (2, 0, [])
    row = TextPrediction.objects.get(sample_index=0)
    expected = score("wrong", "right")
    assert Scores(*(getattr(row, name) for name in Scores.__slots__)) == expected


def test_the_same_call_twice_updates(job: TrainingJob) -> None:
    make_firing(job)
    assert outcome(make_firing(job)) == (0, 3, []) and TextPrediction.objects.count() == 3


def test_totals_stay_true_over_batches_and_updates(job: TrainingJob) -> None:
    make_firing(job, answers=[make_answer(n, f"answer number {n} of many", scores={"reward": n}) for n in range(20)])
    make_firing(job, answers=[make_answer(n, "right", scores={"reward": 100 - n}) for n in range(15, 30)])
    run = PredictionRun.objects.get()
    assert is_true(run) and run.prediction_count == 30
    make_firing(job, answers=[make_answer(n, f"quite another answer {n}") for n in range(30)])
    assert is_true(run)


def test_a_later_attempt_takes_the_place_and_the_earlier_stays(job: TrainingJob) -> None:
    make_firing(job, 1, [make_answer(0, "first")])
    make_firing(job, 1, [make_answer(0, "second")], attempt=2)
    assert list(PredictionRun.objects.order_by("attempt").values_list("attempt", "is_current")) == [(1, False), (2, True)]
    assert set(TextPrediction.objects.values_list("prediction", flat=True)) == {"first", "second"}


def test_a_late_earlier_attempt_does_not_come_back(job: TrainingJob) -> None:
    make_firing(job, 1, attempt=2)
    make_firing(job, 1, attempt=1)
    assert list(PredictionRun.objects.order_by("attempt").values_list("is_current", flat=True)) == [False, True]


def test_a_prompt_at_two_places_loses_no_row(job: TrainingJob) -> None:
    rows = [make_answer(n, str(n), prompt="same") for n in range(4)]
    assert [outcome(make_firing(job, 1, rows[:2])), outcome(make_firing(job, 1, rows[2:]))] == [(2, 0, []), (2, 0, [])]
    assert outcome(make_firing(job, 1, rows)) == (0, 4, [])
    assert sorted(TextPrediction.objects.values_list("sample_index", "prediction")) == [(n, str(n)) for n in range(4)]


def test_a_prompt_keeps_its_item_whatever_its_place(job: TrainingJob) -> None:
    make_firing(job, 1, [make_answer(0, prompt="a"), make_answer(1, prompt="b")])
    make_firing(job, 2, [make_answer(0, prompt="b"), make_answer(1, prompt="a")])
    assert PredictionSetItem.objects.count() == 2


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("text", "object"),
        ({}, "prediction is missing"),
        (make_answer(prediction=3), "must be a text"),
        (make_answer(-1), "sample_index"),
        (make_answer(True), "sample_index"),
        ({"sample_index": 0, "prediction": "a"}, "prompt or messages"),
        (make_answer(messages=[{"role": "user"}]), "either"),
        ({"sample_index": 0, "messages": ["hi"], "prediction": "a"}, "role and content"),
        (make_answer(ground_truth=5), "ground_truth"),
        (make_answer(scores={"reward": "high"}), "scores.reward"),
        (make_answer(latency_ms="fast"), "latency_ms"),
        (make_answer(item_key=""), "item_key"),
        (make_answer(item_key="k" * 121), "item_key"),
    ],
)
def test_bad_rows_are_refused_with_their_reason_and_good_ones_stored(job: TrainingJob, row: Any, reason: str) -> None:
    result = make_firing(job, answers=[make_answer(7), row])
    assert outcome(result) == (1, 0, [1]) and reason in result.rejected[0]["reason"]


def test_the_same_item_twice_in_a_call_is_refused_once(job: TrainingJob) -> None:
    assert outcome(make_firing(job, answers=[make_answer(0, item_key="k"), make_answer(1, item_key="k")])) == (1, 0, [1])


def test_what_is_unknown_is_kept_as_metadata(job: TrainingJob) -> None:
    make_firing(job, answers=[make_answer(metadata={"a": 1}, loss=0.5)])
    assert TextPrediction.objects.get().metadata == {"a": 1, "loss": 0.5}


def test_letters_that_no_database_takes_are_shown_as_such(job: TrainingJob) -> None:
    odd = "a\x00b\ud800c"
    make_firing(
        job, answers=[make_answer(prediction=odd, prompt=odd, ground_truth=odd, metadata={odd: odd}, token_counts={"n": odd})]
    )
    row = TextPrediction.objects.select_related("item").get()
    assert (row.prediction, row.item.prompt, row.metadata) == ("a\ufffdb\ufffdc",) * 2 + (
        {"a\ufffdb\ufffdc": "a\ufffdb\ufffdc"},
    )


def test_numbers_that_are_none_are_not_measured(job: TrainingJob) -> None:
    make_firing(job, answers=[make_answer(scores={"a": float("nan"), "b": 2, "c": None, "d": True})])
    assert TextPrediction.objects.get().custom_scores == {"b": 2.0, "d": 1.0}


def test_without_references_all_scores_are_null(job: TrainingJob) -> None:
    make_firing(job, answers=[make_answer(ground_truth=None)])
    row, totals = TextPrediction.objects.get(), Totals.from_json(PredictionRun.objects.get().totals)
    assert (row.exact_match, row.chrf, totals.scores, totals.corpus_bleu, totals.rows) == (None, None, {}, None, 1)


def test_a_reference_of_its_own_counts_before_the_item_s(job: TrainingJob) -> None:
    make_firing(job, 1, [make_answer(0, "b", ground_truth="a")])
    make_firing(job, 2, [make_answer(0, "b", ground_truth="b")])
    assert list(TextPrediction.objects.order_by("run__epoch").values_list("exact_match", "references")) == [
        (0.0, None),
        (1.0, ["b"]),
    ]


def test_the_job_knows_how_far_it_is(job: TrainingJob) -> None:
    make_firing(job, 2)
    make_firing(job, 1)
    job.refresh_from_db()
    assert (job.status, job.epoch, job.step, job.firing_count, job.last_seen_at is None) == ("running", 2, 20, 2, False)


# --- Sets ----------------------------------------------------------------------------------------------------------------
def drawn(count: int = 3) -> list[NewItem]:
    return [NewItem(f"k{n}", n, prompt=f"q{n}", references=[f"a{n}"]) for n in range(count)]


def test_the_same_content_is_the_same_version_in_any_order(job: TrainingJob) -> None:
    first = register_sampled(job, None, "drawn", drawn())
    assert register_sampled(job, None, "drawn", drawn()[::-1]) == first
    assert register_sampled(job, None, "drawn", drawn(4)).number == 2


def test_answers_to_a_registered_set_need_no_prompt(job: TrainingJob) -> None:
    register_sampled(job, None, "drawn", drawn())
    row = {"sample_index": 0, "item_key": "k0", "prediction": "a0"}
    assert outcome(make_firing(job, answers=[row], prediction_set="drawn")) == (1, 0, [])
    assert TextPrediction.objects.get().exact_match == 1.0


def test_what_a_registered_set_does_not_ask_is_refused(job: TrainingJob) -> None:
    register_sampled(job, None, "drawn", drawn())
    result = make_firing(job, answers=[make_answer(0)], prediction_set="drawn")
    assert outcome(result) == (0, 0, [0]) and "drawn@1 holds no item" in result.rejected[0]["reason"]


def test_a_key_stands_for_one_prompt(job: TrainingJob) -> None:
    register_sampled(job, None, "drawn", drawn())
    result = make_firing(job, answers=[make_answer(0, item_key="k0", prompt="another")], prediction_set="drawn@1")
    assert "another prompt" in result.rejected[0]["reason"]


def test_each_job_keeps_to_the_version_it_registered(job: TrainingJob) -> None:
    register_sampled(job, None, "drawn", drawn())
    register_sampled(make_training_job(job.project), None, "drawn", drawn(4))
    make_firing(job, answers=[{"sample_index": 0, "item_key": "k0", "prediction": "x"}], prediction_set="drawn")
    assert PredictionRun.objects.get().set_version.number == 1


def test_an_unknown_version_names_those_there_are(job: TrainingJob) -> None:
    register_sampled(job, None, "drawn", drawn())
    with pytest.raises(SetRefused) as refusal:
        make_firing(job, prediction_set="drawn@9")
    assert refusal.value.remedy == "Its versions are 1."


# --- Validators ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("validator", "passed", "outcome"),
    [
        ({"type": "equals", "value": "right"}, True, "pass"),
        ({"type": "equals", "value": "wrong"}, False, "fail"),
        ({"type": "icontains", "value": "IGH", "not": True}, False, "fail"),
        ({"type": "max_length", "value": 5}, True, "pass"),
        ({"type": "is_json"}, False, "fail"),
        ({"type": "regex", "value": "^(a|aa)+$"}, None, "error"),
        ({"type": "unheard-of"}, None, "error"),
    ],
)
def test_validators_run_at_ingest(job: TrainingJob, validator: dict[str, Any], passed: bool | None, outcome: str) -> None:
    job.config = {"predictions": {"validators": [validator]}}
    job.save()
    prediction = "right" if validator["type"] != "regex" else "a" * 5000 + "b"
    make_firing(job, answers=[make_answer(prediction=prediction)])
    row = TextPrediction.objects.get()
    assert (row.passed, [result["outcome"] for result in row.validations or []]) == (passed, [outcome])


# --- Rescoring -------------------------------------------------------------------------------------------------------------
def test_a_history_is_scored_anew_under_new_definitions(job: TrainingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    make_firing(job)
    TextPrediction.objects.update(char_error_rate=0.9, chrf=1.0, exact_match=0.0)
    PredictionRun.objects.update(totals={}, score_version="0")
    call_command("rescore")
    run = PredictionRun.objects.get()
    assert is_true(run) and run.score_version == "1" and TextPrediction.objects.filter(exact_match=1.0).count() == 3


def test_what_is_up_to_date_is_left_alone(job: TrainingJob) -> None:
    make_firing(job)
    assert not rescoring.outdated(PredictionRun.objects.all()).exists()


@pytest.mark.django_db(transaction=True)
def test_calls_at_the_same_time_store_each_row_once() -> None:
    job = make_training_job(make_project(), "busy")
    failures: list[Exception] = []

    def send(part: int) -> None:
        try:
            for start in range(part * 40, part * 40 + 120, 20):
                ingest(job, Firing(1, 10, 1), [make_answer(n % 200, f"text {n}") for n in range(start, start + 20)])
        except Exception as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=send, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run = PredictionRun.objects.get()
    assert failures == [] and is_true(run) and run.prediction_count == TextPrediction.objects.count() == 200
