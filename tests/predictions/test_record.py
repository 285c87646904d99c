"""The record of a run: what is known of how it was made, and in what two runs differ."""

from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext

from predictions.models import PredictionRun, TextPrediction, TrainingJob
from predictions.record import RECORDED, as_dict, differences, record
from tests.factories import make_answer, make_dataset, make_firing, make_run, make_training_job

pytestmark = pytest.mark.django_db

MADE = {
    "model": "tiny", "model_revision": "abc", "template_hash": "f00d", "dtype": "float32", "device": "cpu", "batch_size": 8,
    "do_sample": False, "max_new_tokens": 16, "repetition_penalty": 1.1, "versions": {"torch": "2.5", "transformers": "4.50"},
}  # fmt: skip


@pytest.fixture
def job() -> TrainingJob:
    return make_training_job()


def firing(job: TrainingJob, epoch: float = 1, **made: Any) -> PredictionRun:
    make_firing(job, epoch, generation_params=made, prediction_set=made.pop("prediction_set", ""))
    return runs().get(job=job, epoch=epoch)


def runs() -> QuerySet[PredictionRun]:
    return PredictionRun.objects.select_related(*RECORDED)


def test_a_record_tells_all_that_is_known_in_order(job: TrainingJob) -> None:
    names = [entry.name for entry in record(firing(job, **MADE))]
    assert names == [
        "prediction_set", "model", "model_revision", "template_hash", "dtype", "device", "batch_size", "do_sample",
        "max_new_tokens", "repetition_penalty", "versions.torch", "versions.transformers", "score_version", "validator_version",
        "bleu_signature",
    ]  # fmt: skip
    assert as_dict(runs().get())["versions.torch"] == "2.5"


def test_an_imported_run_tells_what_it_was_asked() -> None:
    run = make_run(make_dataset(name="val2017"))
    assert [tuple(entry) for entry in record(run)] == [("dataset", "Dataset", "val2017")]


def test_runs_made_alike_do_not_differ(job: TrainingJob) -> None:
    assert differences(firing(job, 1, **MADE), firing(job, 2, **MADE)) == []


def test_nothing_is_said_of_what_neither_tells(job: TrainingJob) -> None:
    assert differences(firing(job, 1), firing(job, 2)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"temperature": 0.7}, "Temperature: unknown against 0.7."),
        ({"do_sample": True}, "Sampling: no against yes."),
        ({"template_hash": "beef"}, "Template: f00d against beef."),
        ({"dtype": "bfloat16"}, "Number format: float32 against bfloat16."),
        ({"model_revision": "def"}, "Model revision: abc against def."),
        ({"versions": {"torch": "2.6", "transformers": "4.50"}}, "torch: 2.5 against 2.6."),
        ({"repetition_penalty": None}, "Repetition penalty: 1.1 against unknown."),
        ({"stop": ["x" * 200]}, f'Stop: unknown against ["{"x" * 78}….'),
    ],
)
def test_what_differs_is_said_in_words(job: TrainingJob, change: dict[str, Any], words: str) -> None:
    assert differences(firing(job, 1, **MADE), firing(job, 2, **(MADE | change))) == [words]


def test_another_model_is_what_is_compared(job: TrainingJob) -> None:
    other = MADE | {"model": "large", "model_revision": "def"}
    assert differences(firing(job, 1, **MADE), firing(job, 2, **other)) == []


def test_sets_and_definitions_are_compared(job: TrainingJob) -> None:
    one, other = firing(job, 1, prediction_set="golden"), firing(job, 2, prediction_set="other")
    other.score_version, other.validator_version = "0", ""
    assert differences(one, other) == [
        "Prediction set: golden@1 against other@1.",
        "Score definitions: 1 against 0.",
        "Validators: 1 against unknown.",
    ]


def test_a_run_without_a_record_says_so_once(job: TrainingJob) -> None:
    assert differences(firing(job, 1, **MADE), firing(job, 2)) == ["How the answers of the second were made is not recorded."]


def test_the_rendered_prompt_is_a_field_of_its_own(job: TrainingJob) -> None:
    told = {"rendered_prompt": "<user>question 0"}
    sent = [make_answer(0, **told), make_answer(1, metadata={**told, "id": 7}), make_answer(2, rendered_prompt="question 2")]
    make_firing(job, answers=sent)
    stored = TextPrediction.objects.order_by("sample_index").values_list("rendered_prompt", "metadata")
    assert list(stored) == [("<user>question 0", None), ("<user>question 0", {"id": 7}), (None, None)]


@pytest.mark.parametrize("value", [5, ["a"], "x" * 1_000_001])
def test_a_rendered_prompt_is_a_text(job: TrainingJob, value: Any) -> None:
    assert "rendered_prompt" in make_firing(job, answers=[make_answer(rendered_prompt=value)]).rejected[0]["reason"]


def test_runs_and_rows_return_the_record(job: TrainingJob, client_of: Any) -> None:
    firing(job, 1, **MADE)
    firing(job, 2, **MADE)
    client = client_of(job.owner)
    listed = client.get(f"/api/training/jobs/{job.job_id}/runs/").json()["results"]
    assert [(run["epoch"], run["step"], run["attempt"], run["prediction_count"]) for run in listed] == [
        (1, 10, 1, 3),
        (2, 20, 1, 3),
    ]
    assert listed[0]["record"]["template_hash"] == "f00d" and listed[0]["prediction_set"].endswith("@1")
    row = client.get(f"/api/training/predictions/{job.job_id}/").json()["predictions"][0]
    assert row["record"] == listed[0]["record"] and row["run"] == listed[0]["id"] and row["rendered_prompt"] is None


def test_the_list_of_runs_asks_no_more_for_more(job: TrainingJob, client_of: Any) -> None:
    client = client_of(job.owner)

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            client.get(f"/api/training/jobs/{job.job_id}/runs/")
        return len(queries)

    firing(job, 1, **MADE)
    first = count()
    for epoch in range(2, 12):
        firing(job, epoch, **MADE)
    assert count() == first
