"""Asking a saved checkpoint, for trainings inside which it is not safe."""

import json
from pathlib import Path

import pytest
from conftest import Server
from tiny import ROWS, make_model, make_tokenizer

from touchstone_client.cli import main


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "out" / "checkpoint-40"
    make_model().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    (folder / "trainer_state.json").write_text(json.dumps({"epoch": 2.0, "global_step": 40}))
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return folder


def ask(server: Server, checkpoint: Path, *further: str) -> int:
    words = ["sample", str(checkpoint), "--prompts", "rows.jsonl", "--num-prompts", "4", "--max-new-tokens", "3"]
    return main([*words, "--url", server.url, "--token", "tsj_x", "--job-id", "j", *further])


def test_its_answers_arrive_under_its_epoch_and_step(server: Server, checkpoint: Path) -> None:
    assert ask(server, checkpoint) == 0
    body = next(body for path, body in server.requests if path.endswith("/predictions/"))
    assert (body["epoch"], body["step"], len(body["predictions"]), body["checkpoint"]) == (2, 40, 4, str(checkpoint))


def test_the_job_neither_starts_nor_ends_by_it(server: Server, checkpoint: Path) -> None:
    ask(server, checkpoint)
    kinds = [path.rstrip("/").rsplit("/", 1)[1] for path, _ in server.requests]
    assert kinds == ["sets", "predictions", "checkpoints"]


def test_the_place_can_be_told(server: Server, checkpoint: Path) -> None:
    (checkpoint / "trainer_state.json").unlink()
    assert (ask(server, checkpoint), ask(server, checkpoint, "--epoch", "1.5", "--step", "7")) == (2, 0)
    assert server.rows()[0][0] == 1.5


def test_a_folder_without_a_model_is_told(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(server, tmp_path) == 2
    assert "no config.json" in capsys.readouterr().err
