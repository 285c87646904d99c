"""The README tells the truth about settings, commands and tables."""

import re
from pathlib import Path

import pytest

from datasets.importers import IMPORTERS
from datasets.importers.problems import FIXES
from predictions.validators import VALIDATORS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def settings_read() -> set[str]:
    """Every environment variable that the project's own code reads."""
    text = "".join(path.read_text() for path in (ROOT / "config").rglob("*.py"))
    return set(re.findall(r'"((?:TOUCHSTONE_[A-Z_0-9]+)|DATABASE_URL|REDIS_URL)"', text))


def test_every_setting_is_documented() -> None:
    internal = {name for name in settings_read() if name.endswith("_TENDED")}
    assert settings_read() - internal <= set(re.findall(r"`([A-Z_0-9]+)`", README))


def test_every_documented_setting_exists() -> None:
    documented = set(re.findall(r"^\| `([A-Z_0-9]+)` \|", README, re.M))
    assert documented <= settings_read()


@pytest.mark.parametrize("key", IMPORTERS)
def test_every_importer_is_documented(key: str) -> None:
    assert f"import_{key}" in README


@pytest.mark.parametrize("key", FIXES)
def test_every_fix_is_documented(key: str) -> None:
    assert f"`{key}`" in README


@pytest.mark.parametrize("kind", VALIDATORS)
def test_every_validator_is_documented(kind: str) -> None:
    assert VALIDATORS[kind].meaning.endswith(".") and f"`{kind}`" in README


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`?(import_\w+|create_token|up|services) ", README))))
def test_every_command_exists(command: str) -> None:
    assert list(ROOT.glob(f"*/management/commands/{command}.py"))


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.M))))
def test_every_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)
