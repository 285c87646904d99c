"""Nothing that happens to the server, the disk or the process costs the training anything, or a row."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import Server

from touchstone_client import Run, TouchstoneError
from touchstone_client.cli import main
from touchstone_client.spool import Spool, SpoolFile, files_in

ROWS = [{"sample_index": number, "prompt": f"p{number}", "prediction": "x" * 40} for number in range(64)]
# A log call of 64 rows takes under a millisecond; this leaves room for a busy machine.
AT_ONCE = 0.05


def make_run(server: Server | str, **further: Any) -> Run:
    url = server if isinstance(server, str) else server.url
    return Run(url, "tsj_x", "j", dir="spool", **further)


def test_answers_arrive_in_order(server: Server) -> None:
    with make_run(server) as run:
        for epoch in range(5):
            run.log(epoch=epoch, step=epoch, predictions=[{"sample_index": 0, "prompt": "p", "prediction": str(epoch)}])
    assert server.rows() == [(epoch, 1, str(epoch)) for epoch in range(5)]


def test_large_firings_come_in_parts(server: Server) -> None:
    with make_run(server) as run:
        run.log(1, 1, ROWS * 20)
    sizes = [len(body["predictions"]) for path, body in server.requests if path.endswith("/predictions/")]
    assert (sizes, sum(sizes)) == ([500, 500, 280], 1280)


def test_long_answers_come_in_parts_that_the_server_takes(server: Server) -> None:
    long = [row | {"prediction": "x" * 900_000} for row in ROWS[:5]]
    with make_run(server) as run:
        run.log(1, 1, long)
    sizes = [len(body["predictions"]) for path, body in server.requests if path.endswith("/predictions/")]
    assert sizes == [2, 2, 1]


def test_any_job_id_makes_an_address(server: Server) -> None:
    with Run(server.url, "ts_x", "100 % {new}?#", dir="spool"):
        pass
    assert server.requests[0][0] == "/api/training/jobs/100%20%25%20%7Bnew%7D%3F%23/start/"


def test_a_finished_training_says_so(server: Server) -> None:
    with make_run(server):
        pass
    assert server.requests[-1][1]["status"] == "completed"


def test_a_training_that_dies_says_why(server: Server) -> None:
    with pytest.raises(ZeroDivisionError), make_run(server):
        _ = 1 / 0
    assert (server.requests[-1][1]["status"], server.requests[-1][1]["message"]) == (
        "failed",
        "ZeroDivisionError: division by zero",
    )


def test_disabled_leaves_no_trace(tmp_path: Path) -> None:
    with Run(mode="disabled") as run:
        run.log(1, 1, ROWS)
    assert list(tmp_path.iterdir()) == []


# --- Servers as they are -----------------------------------------------------------------------------------------------
def slow(path: str, body: dict[str, Any]) -> None:
    if not path.endswith("/start/"):
        time.sleep(3)


LIES = {
    "html": lambda path, body: (200, "<html>log in</html>"),
    "empty": lambda path, body: (200, "{}"),
    "too few": lambda path, body: (200, '{"stored": 1, "updated": 0, "rejected": []}'),
    "list": lambda path, body: (200, "[]"),
}


@pytest.mark.parametrize("kind", ["dead", "slow", *LIES])
def test_logging_never_waits(server: Server, kind: str) -> None:
    if kind == "slow":
        server.behave = slow
    elif kind != "dead":
        server.behave = LIES[kind]
    run = make_run("http://127.0.0.1:9" if kind == "dead" else server)
    run.start()
    took = []
    for epoch in range(20):
        began = time.perf_counter()
        run.log(epoch, epoch, ROWS)
        took.append(time.perf_counter() - began)
    run.finish(timeout=0)
    assert sorted(took)[10] < AT_ONCE / 5 and run.problems == 0


@pytest.mark.parametrize("kind", list(LIES))
def test_a_lie_counts_as_not_sent(server: Server, kind: str) -> None:
    run = make_run(server)
    run.start()
    server.behave = LIES[kind]
    run.log(1, 1, ROWS)
    run.finish(timeout=0.3)
    assert not all(file.is_done for file in files_in(Path("spool")))


def test_trouble_passes_and_nothing_is_lost(server: Server) -> None:
    failures = iter([(500, ""), (429, ""), (503, "busy")])
    server.headers = {"Retry-After": "0"}
    run = make_run(server)
    run.start()
    server.behave = lambda path, body: next(failures, None)
    run.log(1, 1, ROWS)
    run.finish(timeout=10)
    assert len(server.rows()) == 64


def test_what_the_server_refuses_is_kept_with_its_reason(server: Server) -> None:
    run = make_run(server)
    run.start()
    server.behave = lambda path, body: (400, '{"detail": "no such epoch"}') if body.get("epoch") == 1 else None
    run.log(1, 1, ROWS[:1])
    run.log(2, 2, ROWS[:2])
    run.finish()
    refused = [json.loads(line) for path in Path("spool").rglob("*.refused.jsonl") for line in path.open()]
    assert (len(server.rows()), [each["reason"] for each in refused]) == (2, ["400: no such epoch"])


def test_single_rows_that_are_refused_are_kept_too(server: Server) -> None:
    run = make_run(server)
    run.start()
    answer = {"stored": 63, "updated": 0, "rejected": [{"index": 3, "reason": "odd"}]}
    server.behave = lambda path, body: (200, json.dumps(answer)) if path.endswith("/predictions/") else None
    run.log(1, 1, ROWS)
    run.finish()
    refused = [json.loads(line) for path in Path("spool").rglob("*.refused.jsonl") for line in path.open()]
    assert [(each["reason"], each["body"]["predictions"]) for each in refused] == [("odd", [ROWS[3]])]


@pytest.mark.parametrize(
    ("warnings", "said"),
    [(["2 questions leaked."] * 3, ["2 questions leaked."]), ("not a list", []), ([{"odd": 1}], ["{'odd': 1}"]), (None, [])],
)
def test_what_the_server_has_found_out_is_said_once(
    server: Server, caplog: pytest.LogCaptureFixture, warnings: object, said: list[str]
) -> None:
    run = make_run(server)
    run.start()
    answer = {"job_id": "j", "status": "running", "warnings": warnings}
    server.behave = lambda path, body: (200, json.dumps(answer)) if path.endswith("/progress/") else None
    run.progress(1, 1)
    run.progress(2, 2)
    run.finish()
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == said


@pytest.mark.parametrize("status", [401, 403, 404])
def test_who_may_not_write_hears_it_before_the_training(server: Server, status: int) -> None:
    server.behave = lambda path, body: (status, '{"detail": "This token is expired.", "remedy": "Make a new one."}')
    with pytest.raises(TouchstoneError, match=r"expired\. Make a new one"):
        make_run(server).start()


def test_a_token_that_is_revoked_during_the_training_loses_nothing(server: Server) -> None:
    run = make_run(server)
    run.start()
    server.behave = lambda path, body: (401, "{}")
    run.log(1, 1, ROWS)
    run.finish(timeout=0.2)
    server.behave = lambda path, body: None
    assert main(["sync", "spool", "--url", server.url, "--token", "ts_new"]) == 0
    assert len(server.rows()) == 64


# --- The disk ------------------------------------------------------------------------------------------------------------
def test_what_was_written_offline_is_sent_later_and_once(server: Server) -> None:
    with make_run(server, mode="offline") as run:
        run.log(1, 1, ROWS)
    arguments = ["sync", "spool", "--url", server.url, "--token", "t"]
    assert [main(arguments), main(arguments)] == [0, 0]
    assert len(server.rows()) == 64


def test_the_next_start_sends_what_is_left(server: Server) -> None:
    with make_run(server, mode="offline") as run:
        run.log(1, 1, ROWS)
    with make_run(server) as run:
        run.log(2, 2, ROWS[:1])
    assert [(epoch, attempt) for epoch, attempt, _ in server.rows()] == [(1, 1)] * 64 + [(2, 2)]


def test_a_full_disk_is_no_reason_to_stop(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(server)
    run.start()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Spool, "append", full)
    run.log(1, 1, ROWS)
    assert run.problems == 1


def test_a_killed_process_loses_nothing(server: Server, tmp_path: Path) -> None:
    script = (
        "import os, signal\nfrom touchstone_client import Run\n"
        "run = Run(mode='offline', job_id='j', dir='spool'); run.start()\n"
        "run.log(1, 1, [{'sample_index': 0, 'prompt': 'p', 'prediction': 'kept'}])\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1] / "src")}
    died = subprocess.run([sys.executable, "-c", script], check=False, cwd=tmp_path, env=environment)
    assert died.returncode == -signal.SIGKILL
    assert main(["sync", "spool", "--url", server.url, "--token", "t"]) == 0
    assert server.rows() == [(1, 1, "kept")]


def test_a_torn_last_line_waits_for_its_rest() -> None:
    spool = Spool(Path("spool"))
    spool.append("/a/", {"n": 1})
    os.write(spool._file, b'{"path": "/a/", "bo')
    file = SpoolFile(spool.path)
    assert [record["body"] for record, _ in file.pending()] == [{"n": 1}]
    os.write(spool._file, b'dy": {"n": 2}}\n')
    assert [record["body"] for record, _ in file.pending()] == [{"n": 1}, {"n": 2}]


def test_numbers_of_any_kind_become_json() -> None:
    numpy = pytest.importorskip("numpy")
    run = Run(mode="offline", job_id="j", dir="spool")
    scores = {"a": numpy.float32(0.5), "b": float("nan"), "c": numpy.int64(3)}
    run.log(1, 1, [{"sample_index": 0, "prompt": "p", "prediction": "\ud800", "scores": scores}])
    body = [record["body"] for record, _ in files_in(Path("spool"))[0].pending()][-1]
    assert (body["predictions"][0]["scores"], run.problems) == ({"a": 0.5, "b": None, "c": 3}, 0)


def _log_in_child(run: Run) -> None:
    run.log(2, 2, ROWS[:1])
    run.finish()


def test_a_forked_child_writes_a_file_of_its_own(server: Server) -> None:
    run = make_run(server)
    run.start()
    run.log(1, 1, ROWS[:1])
    child = multiprocessing.get_context("fork").Process(target=_log_in_child, args=(run,))
    child.start()
    child.join(20)
    run.finish()
    assert sorted(epoch for epoch, _, _ in server.rows()) == [1, 2]


def test_status_counts_what_waits(capsys: pytest.CaptureFixture[str]) -> None:
    with Run(mode="offline", job_id="j", dir="spool") as run:
        run.log(1, 1, ROWS)
    assert main(["status", "spool"]) == 1
    assert "3 requests wait" in capsys.readouterr().out


def test_a_wrong_folder_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "nowhere"]) == 2
    assert "not a folder" in capsys.readouterr().err


def test_the_panel_of_the_last_start_serves_while_the_server_is_away(server: Server) -> None:
    server.started = {"panel": {"enabled": True, "sample_count": 5}}
    with make_run(server):
        pass
    info = make_run("http://127.0.0.1:9").start()
    assert (info.reached, info.attempt, info.panel) == (False, 2, server.started["panel"])
