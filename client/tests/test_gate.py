"""`touchstone gate`: exit codes, JSON and JUnit XML, against a real server process of Touchstone's answers."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from touchstone_client.cli import main

FIGURE = {
    "metric": "exact_match", "label": "Exact match", "kind": "limit", "limit": 0.9, "outcome": "fail",
    "reason": "Exact match 0.500 (95 % interval 0.404 to 0.596, 100 items)", "value": 0.5, "interval": [0.404, 0.596], "items": 100,
}  # fmt: skip


def answer(outcome: str, **fields: Any) -> dict[str, Any]:
    figure = FIGURE | {"outcome": outcome}
    return {
        "id": 1, "gate": "release", "project": "birds", "outcome": outcome, "reasons": [figure["reason"]], "run": 7,
        "run_name": "nightly, epoch 3, step 30", "baseline": None, "baseline_name": "", "figures": [figure], "differences": [],
        "checked_by": "ada", "checked_at": "2026-01-01T00:00:00Z",
    } | fields  # fmt: skip


@pytest.fixture
def ask(server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TOUCHSTONE_URL", server.url)
    monkeypatch.setenv("TOUCHSTONE_TOKEN", "ts_x")
    seen: list[tuple[str, dict[str, Any]]] = []

    def run(*arguments: str, status: int = 200, told: Any = None) -> int:
        def behave(path: str, body: dict[str, Any]) -> tuple[int, str]:
            seen.append((path, body))
            return status, told if isinstance(told, str) else json.dumps(told or answer("pass"))

        server.behave = behave
        try:
            return main(["gate", *arguments])
        except SystemExit as ended:
            return int(ended.code or 0)

    run.seen = seen  # type: ignore[attr-defined]
    return run


@pytest.mark.parametrize(("outcome", "code"), [("pass", 0), ("fail", 1), ("undecided", 2)])
def test_the_exit_code_is_the_outcome(ask: Any, capsys: pytest.CaptureFixture[str], outcome: str, code: int) -> None:
    assert ask("release", "--run", "7", told=answer(outcome)) == code
    assert f"release: {outcome.upper()}: nightly" in capsys.readouterr().out


def test_it_asks_as_the_arguments_say(ask: Any) -> None:
    ask("a b", "--job-id", "nightly", "--epoch", "3", "--baseline", "5", "--project", "birds")
    assert ask.seen == [("/api/gates/a%20b/check/?project=birds", {"job_id": "nightly", "epoch": 3.0, "baseline": 5})]


@pytest.mark.parametrize(
    "arguments",
    [
        ["release"],
        ["release", "--run", "x"],
        ["release", "--run", "1", "--job-id", "j"],
        ["release", "--run", "1", "--epoch", "2"],
        [],
    ],
)
def test_wrong_use_is_3_and_never_looks_undecided(ask: Any, arguments: list[str]) -> None:
    assert ask(*arguments) == 3 and not ask.seen


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (404, {"detail": "Not found.", "remedy": "Check the address."}),
        (500, "oops"),
        (302, {}),
        (200, "<html>"),
        (200, {"outcome": "pass"}),
        (200, answer("great")),
    ],
)
def test_what_is_no_answer_of_a_gate_is_3(ask: Any, status: int, told: Any) -> None:
    assert ask("release", "--run", "7", status=status, told=told) == 3


def test_a_dead_server_is_3(ask: Any, server: Any) -> None:
    server.close()
    assert ask("release", "--run", "7") == 3


def test_a_jobs_token_is_told_apart(ask: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TOUCHSTONE_TOKEN", "tsj_x")
    assert ask("release", "--run", "7") == 3
    assert "API token of an editor" in capsys.readouterr().err and not ask.seen


def test_help_is_0(ask: Any) -> None:
    assert ask("--help") == 0


def test_json_on_standard_output_is_json_alone(ask: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ask("release", "--run", "7", "--json", "-")
    assert json.loads(capsys.readouterr().out)["outcome"] == "pass"


@pytest.mark.parametrize(("outcome", "kind"), [("fail", "failure"), ("undecided", "error"), ("pass", "system-out")])
def test_junit_names_each_limit(ask: Any, tmp_path: Path, outcome: str, kind: str) -> None:
    ask("release", "--run", "7", "--junit", str(tmp_path / "gate.xml"), told=answer(outcome))
    suite = ET.parse(tmp_path / "gate.xml").getroot().find("testsuite")
    assert suite is not None and suite.attrib["tests"] == "1"
    assert (suite.attrib["failures"], suite.attrib["errors"]) == (str(int(outcome == "fail")), str(int(outcome == "undecided")))
    case = suite.find("testcase")
    assert case is not None and case.attrib["name"] == "exact_match limit" and case.find(kind) is not None


def test_junit_holds_what_no_limit_tells(ask: Any, tmp_path: Path) -> None:
    told = answer("undecided", figures=[FIGURE | {"outcome": "pass"}], reasons=["Half is missing \x00.", FIGURE["reason"]])
    ask("release", "--run", "7", "--junit", str(tmp_path / "gate.xml"), told=told)
    assert [case.attrib["name"] for case in ET.parse(tmp_path / "gate.xml").iter("testcase")] == ["exact_match limit", "run"]


def test_a_file_that_cannot_be_written_is_3(ask: Any, tmp_path: Path) -> None:
    assert ask("release", "--run", "7", "--json", str(tmp_path / "no" / "gate.json")) == 3
