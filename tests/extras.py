"""Tests of what is optional: skipped loudly where a package is missing, failed where everything must be there."""

import importlib.util
import os

import pytest


def needs(*packages: str) -> pytest.MarkDecorator:
    """For `pytestmark`, before the first import of the packages. TOUCHSTONE_REQUIRE_MODELS=1 forbids skipping."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing and os.environ.get("TOUCHSTONE_REQUIRE_MODELS"):
        raise RuntimeError(f"TOUCHSTONE_REQUIRE_MODELS is set, but {', '.join(missing)} cannot be imported.")
    if missing:
        pytest.skip(f"NOT RUN: {', '.join(missing)} not installed (requirements-inference.txt)", allow_module_level=True)
    return pytest.mark.filterwarnings("ignore::DeprecationWarning")
