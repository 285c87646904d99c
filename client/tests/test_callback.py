"""The callback in real trainers."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Server
from tiny import ROWS, collate, encoded, make_model, make_seq2seq, make_tokenizer
from transformers import (
    EarlyStoppingCallback,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from touchstone_client import TouchstoneCallback, TouchstoneError
from touchstone_client.spool import files_in


def arguments(**further: Any) -> TrainingArguments:
    settings: dict[str, Any] = {
        "output_dir": "out",
        "num_train_epochs": 2,
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 2,
        "learning_rate": 1e-2,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "use_cpu": True,
        "seed": 3,
    }
    return TrainingArguments(**settings | further)


def make_callback(**further: Any) -> TouchstoneCallback:
    settings: dict[str, Any] = {
        "mode": "offline",
        "job_id": "j",
        "dir": "spool",
        "prompts": ROWS,
        "num_prompts": 6,
        "max_new_tokens": 4,
    }
    return TouchstoneCallback(**settings | further)


def make_trainer(*callbacks: Any, model: Any = None, kind: type = Trainer, **further: Any) -> Any:
    tokenizer = make_tokenizer()
    data = encoded(tokenizer)
    made = further.pop("args", None) or arguments(**further)
    return kind(
        model or make_model(), made, train_dataset=data, eval_dataset=data[:8], data_collator=collate, processing_class=tokenizer,
        callbacks=list(callbacks),
    )  # fmt: skip


def requests(end: str) -> list[dict[str, Any]]:
    found = [record for file in files_in(Path("spool")) for record, _ in file.pending()]
    return [record["body"] for record in found if record["path"].endswith(end)]


def firings() -> list[tuple[float, int]]:
    return [(body["epoch"], body["step"]) for body in requests("/predictions/")]


# --- It never harms the training -------------------------------------------------------------------------------------------
def trained(
    *callbacks: Any, kind: type = Trainer, model: Any = None, **further: Any
) -> tuple[list[float], dict[str, torch.Tensor]]:
    trainer = make_trainer(*callbacks, kind=kind, model=model, **further)
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry], trainer.model.state_dict()


def same(one: Any, other: Any) -> bool:
    return one[0] == other[0] and all(torch.equal(one[1][name], other[1][name]) for name in one[1])


@pytest.mark.parametrize(
    "settings",
    [{}, {"every": 1}, {"generation_config": {"do_sample": True, "temperature": 1.3}, "every": 2}, {"freq": "eval"}],
    ids=["epoch", "every step", "sampling", "eval"],
)
def test_losses_and_weights_are_bit_for_bit_the_same(settings: dict[str, Any]) -> None:
    evaluated = {"eval_strategy": "steps", "eval_steps": 2} if settings.get("freq") == "eval" else {}
    assert same(trained(**evaluated), trained(make_callback(**settings), **evaluated)) and firings()


@pytest.mark.parametrize("further", [{"bf16": True}, {"gradient_checkpointing": True}], ids=["bf16", "checkpointing"])
def test_the_same_under_other_arithmetic(further: dict[str, Any]) -> None:
    assert same(trained(**further), trained(make_callback(), **further)) and len(firings()) == 2


def test_the_same_where_every_firing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = trained()

    def broken(*_: Any, **__: Any) -> None:
        torch.rand(3)
        raise RuntimeError("no")

    monkeypatch.setattr("touchstone_client.callback.Generator._batches", broken)
    callback = make_callback()
    assert same(plain, trained(callback)) and (callback.missed_count, firings()) == (2, [])
    assert [body["missed"]["reason"] for body in requests("/progress/") if "missed" in body] == ["RuntimeError: no"] * 2


def test_a_dead_server_does_not_stop_it() -> None:
    callback = make_callback(mode="online", url="http://127.0.0.1:9", token="tsj_x")
    assert same(trained(), trained(callback)) and len(firings()) == 2


def test_sequence_to_sequence_too() -> None:
    args = {
        name: value
        for name, value in arguments().to_dict().items()
        if name in ("output_dir", "num_train_epochs", "seed", "use_cpu")
    }

    def once(*callbacks: Any) -> Any:
        made = Seq2SeqTrainingArguments(**args, report_to="none", save_strategy="no", logging_steps=1, disable_tqdm=True)
        return trained(*callbacks, kind=Seq2SeqTrainer, model=make_seq2seq(), args=made)

    assert same(once(), once(make_callback())) and firings()


# --- When it fires -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, [(1.0, 5), (2.0, 10)]), ({"every": 4}, [(0.8889, 4), (1.6667, 8), (2.0, 10)])],
)
def test_it_fires_when_it_is_told(settings: dict[str, Any], expected: list[tuple[float, int]]) -> None:
    trained(make_callback(**settings))
    assert [step for _, step in firings()] == [step for _, step in expected] and firings()[-1][0] == 2.0


def test_several_evaluations_of_a_step_fire_once() -> None:
    trainer = make_trainer(make_callback(freq="eval"), eval_strategy="epoch")
    trainer.eval_dataset = {"a": trainer.eval_dataset, "b": trainer.eval_dataset}
    trainer.train()
    assert len(firings()) == 2


def test_a_second_training_fires_at_the_same_steps() -> None:
    trainer = make_trainer(make_callback(), num_train_epochs=1)
    trainer.train()
    trainer.train()
    assert firings() == [(1.0, 5)] * 2 and [body["attempt"] for body in requests("/predictions/")] == [1, 2]


def test_disabled_does_no_work_at_all(tmp_path: Path) -> None:
    trained(TouchstoneCallback(mode="disabled", dataset_path="not-there.jsonl"))
    assert not list(tmp_path.glob("**/*.jsonl")) and not (tmp_path / "touchstone").exists()


def test_a_panel_that_is_switched_off_does_no_work(server: Server) -> None:
    server.started = {"panel": {"enabled": False}}
    trained(TouchstoneCallback(server.url, "tsj_x", "j", dir="spool", prompts=ROWS))
    assert not server.rows()


def test_the_panel_of_the_job_is_followed_and_arguments_beat_it(server: Server) -> None:
    Path("data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    server.started = {
        "panel": {
            "dataset_path": "data.jsonl",
            "sample_count": 3,
            "max_new_tokens": 2,
            "sample_frequency": "steps",
            "every_steps": 5,
        }
    }
    trained(TouchstoneCallback(server.url, "tsj_x", "j", dir="spool", num_prompts=4))
    assert len(server.rows()) == 2 * 4


def test_a_prediction_set_comes_from_the_server(server: Server) -> None:
    items = [{"item_key": f"k{n}", "sample_index": n, "prompt": f"{n}+1=", "references": [str(n + 1)]} for n in range(3)]
    server.started = {"prediction_set": {"name": "golden", "version": 3, "items": items}}
    trained(TouchstoneCallback(server.url, "tsj_x", "j", dir="spool", prediction_set="golden@3", max_new_tokens=2))
    bodies = [body for path, body in server.requests if path.endswith("/predictions/")]
    assert {body["prediction_set"] for body in bodies} == {"golden@3"} and [
        row["item_key"] for row in bodies[0]["predictions"]
    ] == ["k0", "k1", "k2"]


def test_what_is_sent_says_how_it_was_made() -> None:
    trained(make_callback(), save_strategy="epoch")
    body = requests("/predictions/")[0]
    row = body["predictions"][0]
    assert {"item_key", "sample_index", "prompt", "ground_truth", "token_counts", "latency_ms", "finish_reason"} <= row.keys()
    assert body["generation_params"]["versions"]["torch"] and body["prediction_set"] == "prompts-n6-seed42"
    assert [checkpoint["path"].rsplit("/", 1)[1] for checkpoint in requests("/checkpoints/")] == [
        "checkpoint-5",
        "checkpoint-10",
    ]


# --- What is missing is said before the training -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mode": "online", "url": None, "token": None}, "TOUCHSTONE_URL"),
        ({"freq": "steps"}, "every=N"),
        ({"freq": "hourly"}, "sample_frequency"),
        ({"num_prompts": 0}, "sample_count"),
        ({"dataset_path": "x"}, "not several"),
        ({"prompts": None, "prediction_set": "golden"}, "name@version"),
        ({"prompts": None, "references": ["a"]}, "references="),
    ],
)
def test_arguments_are_checked_at_once(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(TouchstoneError, match=said):
        make_callback(**settings)


@pytest.mark.parametrize(("settings", "said"), [({}, "nothing to ask"), ({"dataset_path": "gone.jsonl"}, "not a file")])
def test_a_training_without_questions_does_not_begin(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(TouchstoneError, match=said):
        make_trainer(make_callback(prompts=None, **settings)).train()


# --- The score chooses the checkpoint ------------------------------------------------------------------------------------------
class Listener(TrainerCallback):
    """What stands in the metrics for those who come after us."""

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
        self.names = {name for name in metrics if name.startswith("eval_touchstone_")}


def test_the_best_model_is_chosen_by_our_score() -> None:
    listener = Listener()
    trainer = make_trainer(
        make_callback(), listener, eval_strategy="epoch", save_strategy="epoch", load_best_model_at_end=True, num_train_epochs=4,
        metric_for_best_model="eval_touchstone_char_error_rate", greater_is_better=False,
    )  # fmt: skip
    trainer.train()
    assert {"eval_touchstone_exact_match", "eval_touchstone_word_overlap", "eval_touchstone_token_f1"} < listener.names
    means = [sum(_error_rates(body)) / 6 for body in requests("/predictions/")]
    assert trainer.state.best_metric == pytest.approx(min(means))
    assert trainer.state.best_model_checkpoint.endswith(f"checkpoint-{5 * (means.index(min(means)) + 1)}")


def _error_rates(body: dict[str, Any]) -> list[float]:
    from touchstone_client.scoring import score

    return [score(row["prediction"], row["ground_truth"]).char_error_rate or 0.0 for row in body["predictions"]]


def test_early_stopping_works_with_it() -> None:
    trainer = make_trainer(
        make_callback(), EarlyStoppingCallback(early_stopping_patience=1), eval_strategy="epoch", save_strategy="epoch",
        load_best_model_at_end=True, num_train_epochs=8, learning_rate=0.0,
        metric_for_best_model="touchstone_exact_match", greater_is_better=True,
    )  # fmt: skip
    trainer.train()
    assert trainer.state.epoch == 2


def test_a_failed_firing_does_not_kill_a_trainer_that_chooses_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("touchstone_client.callback.Generator.generate", lambda *_: 1 / 0)
    trainer = make_trainer(
        make_callback(),
        eval_strategy="epoch",
        save_strategy="best",
        metric_for_best_model="touchstone_chrf",
        greater_is_better=True,
    )
    trainer.train()
    assert trainer.state.epoch == 2 and math.isinf(trainer.state.best_metric)


def test_a_trainer_that_chooses_by_it_trains_on_where_touchstone_is_off(caplog: pytest.LogCaptureFixture) -> None:
    chosen = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True}
    trainer = make_trainer(make_callback(mode="disabled"), metric_for_best_model="touchstone_token_f1", **chosen)
    trainer.train()
    assert (trainer.state.epoch, trainer.state.best_model_checkpoint) == (2, None) and "Touchstone is off" in caplog.text


# --- What it costs ---------------------------------------------------------------------------------------------------------------
def test_too_much_overhead_makes_it_rarer() -> None:
    trained(make_callback(every=1, max_overhead=0.2))
    assert 0 < len(firings()) < 10


def test_the_overhead_is_told(caplog: pytest.LogCaptureFixture) -> None:
    trained(make_callback())
    told = [body["overhead"] for body in requests("/progress/") if "overhead" in body]
    assert "sampling 6 prompts took" in caplog.text and all(each["seconds"] > 0 and 0 < each["share"] < 1 for each in told)


def test_trl_trainers_too() -> None:
    trl = pytest.importorskip("trl")
    datasets = pytest.importorskip("datasets")
    args = trl.SFTConfig(
        output_dir="out",
        num_train_epochs=1,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        bf16=False,
        max_length=32,
    )
    data = datasets.Dataset.from_list(ROWS)
    trainer = trl.SFTTrainer(
        make_model(), args, train_dataset=data, processing_class=make_tokenizer(), callbacks=[make_callback(prompts=data)]
    )
    trainer.train()
    assert [len(body["predictions"]) for body in requests("/predictions/")] == [6]
