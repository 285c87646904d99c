"""Asking a gate whether a run may pass, for scripts and pipelines: an exit code, JSON, and JUnit XML."""

import argparse
import json
import logging
import os
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from touchstone_client.errors import TouchstoneError
from touchstone_client.settings import JOB_TOKEN

PASSED, FAILED, UNDECIDED, NOT_ASKED = 0, 1, 2, 3
EXIT_CODES = {"pass": PASSED, "fail": FAILED, "undecided": UNDECIDED}
TIMEOUT = httpx.Timeout(120.0, connect=10.0)


class GateError(TouchstoneError):
    """The gate could not be asked: its exit code is that of no outcome."""

    exit_code = NOT_ASKED


def add_gate(commands: Any) -> argparse.ArgumentParser:
    """The subcommand `gate`; the caller adds how the server is named."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "gate",
        help="ask whether a run may pass",
        epilog="Exit codes: 0 passed, 1 failed, 2 undecided, 3 it could not be asked (wrong use, no answer, refused).",
    )
    parser.add_argument("name", help="the gate's name")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--run", type=int, help="the number of a run")
    which.add_argument("--job-id", help="the last run of this job, or that of --epoch or --checkpoint")
    parser.add_argument("--epoch", type=float)
    parser.add_argument("--checkpoint")
    parser.add_argument("--baseline", type=int, help="the number of a run, in place of the gate's own baseline")
    parser.add_argument("--project", help="slug of the project; default: TOUCHSTONE_PROJECT")
    parser.add_argument("--json", metavar="FILE", help="write the whole answer there; - is standard output")
    parser.add_argument("--junit", metavar="FILE", help="write JUnit XML there; - is standard output")
    parser.set_defaults(work=run_gate)
    return parser


def run_gate(options: argparse.Namespace) -> int:
    """The exit code. Raises GateError where the gate could not be asked."""
    if options.run is not None and (options.epoch is not None or options.checkpoint):
        raise GateError("--epoch and --checkpoint go with --job-id; a run is named by its number alone.")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    found = ask(options)
    try:
        if options.json:
            _write(options.json, json.dumps(found, indent=2) + "\n")
        if options.junit:
            _write(options.junit, junit(found))
    except OSError as error:
        raise GateError(f"The answer ({found['outcome']}) could not be written: {error}") from None
    # Standard output is the file's where one goes there.
    told = sys.stderr if "-" in (options.json, options.junit) else sys.stdout
    print("\n".join(in_words(found)), file=told)
    return EXIT_CODES[found["outcome"]]


def ask(options: argparse.Namespace) -> dict[str, Any]:
    url, token = _server(options)
    named = {"run": options.run, "job_id": options.job_id, "epoch": options.epoch, "checkpoint": options.checkpoint}
    body = {name: value for name, value in {**named, "baseline": options.baseline}.items() if value is not None}
    project = options.project or os.environ.get("TOUCHSTONE_PROJECT") or ""
    try:
        response = httpx.post(
            f"{url}/api/gates/{quote(options.name, safe='')}/check/",
            params={"project": project} if project else None,
            json=body,
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=TIMEOUT,
        )
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise GateError(f"{url} could not be asked ({type(error).__name__}: {error}).") from None
    return _understood(response)


def _server(options: argparse.Namespace) -> tuple[str, str]:
    url = (options.url or os.environ.get("TOUCHSTONE_URL") or "").strip().rstrip("/")
    token = (options.token or os.environ.get("TOUCHSTONE_TOKEN") or "").strip()
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise GateError("Give the server's address (--url or TOUCHSTONE_URL), such as http://localhost:8000.")
    if not token:
        raise GateError("Give the API token of an editor (--token or TOUCHSTONE_TOKEN); make one on your tokens page.")
    if token.startswith(JOB_TOKEN):
        raise GateError("A job's own token cannot check gates. Use the API token of an editor (ts_...).")
    return url, token


def _understood(response: httpx.Response) -> dict[str, Any]:
    try:
        found = response.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise GateError(f"The answer ({response.status_code}) is not Touchstone's. Is the address right?")
    if response.status_code != httpx.codes.OK:
        words = " ".join(str(found[name]) for name in ("detail", "remedy") if found.get(name))
        raise GateError(f"The server refused ({response.status_code}): {words or response.reason_phrase}")
    lists = all(isinstance(found.get(name), list) for name in ("reasons", "figures"))
    if found.get("outcome") not in EXIT_CODES or not lists:
        raise GateError("The answer is no outcome of a gate. Is the address right?")
    return found


def in_words(found: dict[str, Any]) -> list[str]:
    against = f" against {found['baseline_name']}" if found.get("baseline_name") else ""
    headline = f"{found.get('gate')}: {found['outcome'].upper()}: {found.get('run_name')}{against}"
    return [headline, *(f"- {reason}" for reason in found["reasons"])]


def junit(found: dict[str, Any]) -> str:
    """One test case for each limit. Undecided is an error: neither passed nor failed."""
    figures = found["figures"]
    # What the limits do not tell, such as answers that are missing, is a case of its own.
    beyond = [reason for reason in found["reasons"] if reason not in [one.get("reason") for one in figures]]
    cases = [(f"{one.get('metric')} {one.get('kind')}", one.get("outcome"), str(one.get("reason"))) for one in figures]
    cases += [("run", "undecided", reason) for reason in beyond]
    cases = cases or [("gate", found["outcome"], "The gate has no limits.")]
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(outcome == "fail" for _, outcome, _ in cases)),
        "errors": str(sum(outcome == "undecided" for _, outcome, _ in cases)),
        "time": "0",
    }
    suites = ET.Element("testsuites", {"name": "touchstone", **counts})
    gate = str(found.get("gate"))
    suite = ET.SubElement(suites, "testsuite", {"name": _xml(gate), **counts})
    for name, outcome, reason in cases:
        case = ET.SubElement(suite, "testcase", {"classname": _xml(f"touchstone.{gate}"), "name": _xml(name), "time": "0"})
        if outcome == "pass":
            ET.SubElement(case, "system-out").text = _xml(reason)
        else:
            kind = "failure" if outcome == "fail" else "error"
            ET.SubElement(case, kind, {"message": _xml(reason), "type": str(outcome)}).text = _xml(reason)
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _xml(text: str) -> str:
    """Without what XML 1.0 cannot hold."""
    return "".join(
        c if c in "\t\n\r" or "\x20" <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff" else "\ufffd" for c in text
    )


def _write(target: str, text: str) -> None:
    if target == "-":
        sys.stdout.write(text)
    else:
        Path(target).write_text(text, encoding="utf-8")
