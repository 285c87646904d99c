"""Servers that drip, flood or talk nonsense; disks that fill up; forks at a bad moment. None of it costs the training, or a row."""

import gzip
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Server as TruthfulServer

from touchstone_client import Run, TouchstoneError, sample, sender
from touchstone_client.sender import Server
from touchstone_client.spool import Spool, SpoolFile, files_in

ROW = {"sample_index": 0, "prompt": "p", "prediction": "x"}


class RawServer:
    """Says a head, then one more piece for as long as anyone listens."""

    def __init__(self, piece: bytes, pause: float) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._piece, self._pause, self._closed = piece, pause, threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n{")
            while not self._closed.wait(self._pause):
                connection.sendall(self._piece)
        except OSError:
            pass
        finally:
            connection.close()

    def close(self) -> None:
        self._closed.set()
        self._socket.close()


@pytest.fixture
def dripping() -> Iterator[RawServer]:
    raw = RawServer(b" ", 0.1)
    yield raw
    raw.close()


@pytest.fixture
def flooding() -> Iterator[RawServer]:
    raw = RawServer(b" " * 65536, 0)
    yield raw
    raw.close()


def test_a_server_that_drips_holds_up_no_start(dripping: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("touchstone_client.run.START_SECONDS", 0.5)
    began = time.monotonic()
    run = Run(dripping.url, "tsj_x", "j", dir="spool")
    assert not run.start().reached and time.monotonic() - began < 3
    run.finish(timeout=0)


def test_a_server_that_floods_fills_no_memory(flooding: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "LARGEST_ANSWER", 1_000_000)
    outcome = Server(flooding.url, "t").post("/api/training/predictions/", {})
    assert (outcome.kind, "too long" in outcome.reason) == ("later", True)


NONSENSE = [
    {"job_id": "j", "attempt": "soon"},
    {"attempt": None, "job_id": "j"},
    {"attempt": 1, "job_id": "j", "panel": [1], "prediction_set": "x"},
]


@pytest.mark.parametrize("answer", NONSENSE)
def test_nonsense_at_the_start_counts_as_not_reached(server: TruthfulServer, answer: dict[str, Any]) -> None:
    server.behave = lambda path, body: (200, json.dumps(answer))
    run = Run(server.url, "tsj_x", "j", dir="spool")
    assert not run.start().reached
    run.finish(timeout=0)


def test_halves_of_surrogates_block_nothing(server: TruthfulServer) -> None:
    with Run(server.url, "tsj_x", "j", dir="spool") as run:
        run.log(1, 1, [ROW | {"prediction": "\ud800"}])
        run.log(2, 2, [ROW])
    assert [epoch for epoch, _, _ in server.rows()] == [1, 2]


def test_answers_after_the_end_are_kept_too(server: TruthfulServer) -> None:
    run = Run(server.url, "tsj_x", "j", dir="spool")
    run.start()
    run.finish("failed")
    run.log(1, 1, [ROW])
    run._at_exit(os.getpid())
    told = [body["status"] for _, body in server.requests if "status" in body]
    assert (len(server.rows()), told, run.problems) == (1, ["failed"], 0)


def test_a_visitor_does_not_end_the_job(server: TruthfulServer) -> None:
    run = Run(server.url, "tsj_x", "j", dir="spool")
    run.attach()
    run.log(1, 1, [ROW])
    run._at_exit(os.getpid())
    assert (len(server.rows()), [body for _, body in server.requests if "status" in body]) == (1, [])


def test_a_folder_that_cannot_be_written_is_told_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")
    with pytest.raises(TouchstoneError, match="TOUCHSTONE_DIR"):
        Run(mode="offline", job_id="j", dir="spool").start()


def test_a_line_cut_by_a_full_disk_spoils_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(Path("spool"))
    write = os.write

    def full(file: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", no_space)
        return write(file, data[:9])

    def no_space(file: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        spool.append("/a/", {"n": 1})
    monkeypatch.setattr(os, "write", write)
    spool.append("/a/", {"n": 2})
    assert [record["body"] for record, _ in SpoolFile(spool.path).pending()] == [{"n": 2}]


def test_a_child_forked_while_sending_keeps_no_lock() -> None:
    spool = Spool(Path("spool"))
    with SpoolFile(spool.path).locked():
        child = os.fork()
        if child == 0:
            time.sleep(30)
            os._exit(0)
    try:
        with SpoolFile(spool.path).locked() as alone:
            assert alone
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_what_another_process_sends_is_not_called_sent(server: TruthfulServer) -> None:
    run = Run(server.url, "tsj_x", "j", dir="spool")
    run.start()
    assert run._spool and run._sender
    with SpoolFile(run._spool.path).locked():
        run.log(1, 1, [ROW])
        assert not run._sender.drain(0.5)
    run.finish(timeout=10)
    assert len(server.rows()) == 1


def test_files_of_others_are_left_alone() -> None:
    Path("spool").mkdir()
    Path("spool/train.jsonl").write_text('{"path": "/x/", "body": {}}\n')
    assert files_in(Path("spool")) == []


# --- Sources ----------------------------------------------------------------------------------------------------------
def test_a_damaged_gz_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    packed = bytearray(gzip.compress(b"".join(b'{"text": "%d"}\n' % number for number in range(99_999)), mtime=0))
    packed[len(packed) // 2 : len(packed) // 2 + 50] = b"\xff" * 50
    path.write_bytes(packed)
    with pytest.raises(TouchstoneError, match=r"rows.jsonl.gz.* line \d+"):
        sample(path, 1)


@pytest.mark.parametrize("count", [0, -1])
def test_no_prompts_are_no_sample(count: int) -> None:
    with pytest.raises(TouchstoneError, match="at least 1"):
        sample(["a"], count)


@pytest.mark.parametrize("references", [["A"], ["A", "B", "C"], "AB"])
def test_references_must_stand_beside_each_prompt(references: Any) -> None:
    with pytest.raises(TouchstoneError, match="references"):
        sample(["a", "b"], 2, references=references)


def test_messages_that_are_no_json_are_told_with_their_row() -> None:
    with pytest.raises(TouchstoneError, match="Row 1"):
        sample([{"messages": [{"role": "user", "content": b"bytes"}]}], 1)


def test_conversations_of_sharegpt_are_messages() -> None:
    row = {"conversations": [{"from": "human", "value": "2+2?"}, {"from": "gpt", "value": "4"}]}
    item = sample([row], 1)[0]
    assert (item.messages, item.references) == ([{"role": "user", "content": "2+2?"}], ("4",))


def test_fewer_rows_than_asked_are_told(caplog: pytest.LogCaptureFixture) -> None:
    sample(["a", "b"], 3)
    assert "2 prompts" in caplog.text
