"""Settings that make no sense stop the start, and are named."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KEY = "0123456789abcdef" * 4


def start(data: Path, **environment: str) -> str:
    """The last line that a start with this environment says."""
    command = [sys.executable, "-c", "import django; django.setup(); print('started')"]
    own = {"PATH": "", "TOUCHSTONE_DATA": str(data), "DJANGO_SETTINGS_MODULE": "config.settings"} | environment
    done = subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True)
    assert (done.returncode == 0) == (done.stdout.strip() == "started")
    return (done.stdout + done.stderr).strip().splitlines()[-1]


def test_the_defaults_start(tmp_path: Path) -> None:
    assert start(tmp_path) == "started"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOUCHSTONE_SIGNUP", "maybe"),
        ("TOUCHSTONE_SYNC_IMPORT_MB", "-1"),
        ("TOUCHSTONE_IMPORT_ROOTS", "relative/folder"),
        ("TOUCHSTONE_API_RATE", "fast"),
        ("TOUCHSTONE_API_ANON_RATE", "60/week"),
        ("TOUCHSTONE_TIME_ZONE", "Mars"),
        ("TOUCHSTONE_LOG_LEVEL", "loud"),
        ("DATABASE_URL", "sqlite:///data.db"),
    ],
)
def test_a_value_that_makes_no_sense_is_named(tmp_path: Path, name: str, value: str) -> None:
    said = start(tmp_path, **{name: value})
    assert said.startswith("django.core.exceptions.ImproperlyConfigured") and name in said


@pytest.mark.parametrize("key", ["", "short", "x" * 60, f"django-insecure-{KEY}"])
def test_production_wants_a_key_of_its_own(tmp_path: Path, key: str) -> None:
    said = start(tmp_path, TOUCHSTONE_PRODUCTION="1", TOUCHSTONE_SECRET_KEY=key)
    assert "not set to a key of its own" in said


def test_production_never_debugs(tmp_path: Path) -> None:
    said = start(tmp_path, TOUCHSTONE_PRODUCTION="1", TOUCHSTONE_SECRET_KEY=KEY, TOUCHSTONE_DEBUG="1")
    assert "Unset TOUCHSTONE_DEBUG" in said
    assert start(tmp_path, TOUCHSTONE_PRODUCTION="1", TOUCHSTONE_SECRET_KEY=KEY) == "started"
