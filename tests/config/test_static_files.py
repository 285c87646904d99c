"""Static files as production serves them."""

from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import override_settings


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("static")
    storages = {"staticfiles": {"BACKEND": "config.static_files.StaticFiles"}}
    with override_settings(STATIC_ROOT=folder, STORAGES=storages):
        call_command("collectstatic", interactive=False, verbosity=0)
    return folder


def test_modules_import_the_files_that_pages_load(collected: Path) -> None:
    hashed = next(path for path in collected.glob("js/palette.*.js"))
    frame = next(path for path in collected.glob("js/frame.*.js"))
    assert f'from "./{frame.name}"' in hashed.read_text()
