"""Importing and exporting sets on the command line."""

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Project, User
from accounts.projects import personal_project
from predictions import curation
from predictions.models import PredictionSet
from tests.factories import make_golden_set

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return personal_project(User.objects.create_superuser("root"))


def run(*words: str) -> str:
    out = io.StringIO()
    call_command(*words, stdout=out, stderr=out)
    return out.getvalue()


def write(folder: Path, text: str, name: str = "items.jsonl") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_a_file_makes_a_set(project: Project, tmp_path: Path) -> None:
    said = run(
        "import_prediction_set", "golden", write(tmp_path, '{"prompt": "a"}\n{"prompt": "b"}'), "--publish", "--note", "first"
    )
    assert said.splitlines()[-1] == "golden: 2 items read, 2 added, published as golden@1"
    assert PredictionSet.objects.get(project=project).versions.get().note == "first"


def test_items_are_only_mixed_on_request(project: Project, tmp_path: Path) -> None:
    make_golden_set(project)
    path = write(tmp_path, '{"prompt": "a"}')
    with pytest.raises(CommandError, match=r"holds 3 items already. Say --add or --replace. Nothing was stored."):
        run("import_prediction_set", "golden", path)
    assert curation.draft_of(PredictionSet.objects.get()) is None
    assert run("import_prediction_set", "golden", path, "--add").endswith("1 items read, 1 added, in the draft\n")
    assert run("import_prediction_set", "golden", path, "--replace").endswith("3 removed, 1 there already, in the draft\n")


def test_a_bad_file_stores_nothing(project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, '{"prompt": "a"}\n{"prompt": 1}')
    errors = io.StringIO()
    with pytest.raises(CommandError, match=r"items\.jsonl was refused"):
        call_command("import_prediction_set", "golden", path, stderr=errors)
    assert errors.getvalue().startswith("row 2, prompt: ") and not PredictionSet.objects.exists()


def test_nor_does_one_that_cannot_be_published(project: Project, tmp_path: Path) -> None:
    make_golden_set(project)
    run("export_prediction_set", "golden@1", "--output", str(tmp_path / "same.jsonl"))
    with pytest.raises(CommandError, match="exactly what version 1 asks"):
        run("import_prediction_set", "golden", str(tmp_path / "same.jsonl"), "--replace", "--publish")
    assert curation.draft_of(PredictionSet.objects.get()) is None


def test_a_missing_file_is_told(project: Project, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        run("import_prediction_set", "golden", str(tmp_path / "none.csv"))


def test_a_promptfoo_config_reads_its_tests_beside_it(project: Project, tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    write(
        tmp_path, "- vars: {q: one}\n  assert: [{type: llm-rubric, value: nice}, {type: equals, value: '1'}]\n", "tests/a.yaml"
    )
    path = write(tmp_path, 'prompts: ["{{q}}?"]\ntests: ["file://tests/*.yaml"]\n', "config.yaml")
    with pytest.raises(CommandError, match="refused"):
        run("import_prediction_set", "golden", path)
    said = run("import_prediction_set", "golden", path, "--skip-unknown").splitlines()
    assert said == ["Left out, having no counterpart here: 1 llm-rubric.", "golden: 1 items read, 1 added, in the draft"]


def test_files_outside_its_folder_are_not_there(project: Project, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    write(tmp_path, "- vars: {q: secret}\n", "outside.yaml")
    (tmp_path / "inner" / "link.yaml").symlink_to(tmp_path / "outside.yaml")
    for pattern in ("../outside.yaml", str(tmp_path / "outside.yaml"), "link.yaml"):
        path = write(tmp_path / "inner", f'tests: ["file://{pattern}"]\n', "config.yaml")
        with pytest.raises(CommandError, match="refused"):
            run("import_prediction_set", "golden", path)


@pytest.mark.parametrize("file_format", ["jsonl", "csv", "promptfoo"])
def test_an_export_comes_back_as_it_went(project: Project, tmp_path: Path, file_format: str) -> None:
    first = make_golden_set(project).versions.get()
    path = tmp_path / "out"
    said = run("export_prediction_set", "golden@latest", "--format", file_format, "--output", str(path))
    assert said == f"golden@1: 3 items written to {path}\n"
    run("import_prediction_set", "again", str(path), "--format", file_format, "--publish")
    assert PredictionSet.objects.get(name="again").versions.get().content_hash == first.content_hash


def test_an_export_to_standard_output_is_the_file_alone(project: Project) -> None:
    make_golden_set(project)
    rows = [json.loads(line) for line in run("export_prediction_set", "golden@1").splitlines()]
    assert [row["prompt"] for row in rows] == ["0 + 0 =", "1 + 1 =", "2 + 2 ="]
