"""Settings: arguments beat the environment, and what is missing is named."""

from pathlib import Path

import pytest

from touchstone_client import TouchstoneError
from touchstone_client.settings import resolve

ENVIRONMENT = {"TOUCHSTONE_URL": "http://here:8000/", "TOUCHSTONE_TOKEN": "tsj_secret", "TOUCHSTONE_JOB_ID": "env-job"}


def test_the_environment_is_read() -> None:
    found = resolve(environment=ENVIRONMENT)
    assert (found.url, found.token, found.job_id, found.mode) == ("http://here:8000", "tsj_secret", "env-job", "online")


def test_arguments_beat_it() -> None:
    found = resolve(job_id="mine", mode="offline", dir="/x", environment=ENVIRONMENT | {"TOUCHSTONE_DIR": "/y"})
    assert (found.job_id, found.mode, found.dir) == ("mine", "offline", Path("/x"))


@pytest.mark.parametrize(
    ("gone", "named"),
    [("TOUCHSTONE_URL", "TOUCHSTONE_URL"), ("TOUCHSTONE_TOKEN", "TOUCHSTONE_TOKEN"), ("TOUCHSTONE_JOB_ID", "job_id=")],
)
def test_what_is_missing_is_named(gone: str, named: str) -> None:
    with pytest.raises(TouchstoneError, match=named):
        resolve(environment={name: value for name, value in ENVIRONMENT.items() if name != gone})


def test_all_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(TouchstoneError, match=r"TOUCHSTONE_URL.*TOUCHSTONE_TOKEN"):
        resolve(environment={})


def test_a_member_s_token_needs_no_job_id() -> None:
    found = resolve(run_name="my run / 3", environment=ENVIRONMENT | {"TOUCHSTONE_JOB_ID": "", "TOUCHSTONE_TOKEN": "ts_x"})
    assert found.job_id == "my-run-3"


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_other_modes_need_nothing(mode: str) -> None:
    assert resolve(mode=mode, environment={}).mode == mode


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(TouchstoneError, match="online, offline, disabled"):
        resolve(mode="on", environment=ENVIRONMENT)


def test_an_address_without_a_scheme_is_refused() -> None:
    with pytest.raises(TouchstoneError, match="http://"):
        resolve(url="here:8000", environment=ENVIRONMENT)


def test_the_token_is_not_shown() -> None:
    assert "secret" not in repr(resolve(environment=ENVIRONMENT))
