"""Questions of a set that stand in training data."""

import gzip
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from pytest_django import Settings

from accounts.models import User
from accounts.projects import personal_project
from predictions import leakage, rows, scoring, training_sources
from predictions.models import PredictionSetVersion
from predictions.prediction_sets import SetRefused
from predictions.set_files.base import made_item
from tests.factories import make_golden_set, make_item_record

pytestmark = pytest.mark.django_db
ITEMS = [
    make_item_record("What is 2 + 2?"),
    made_item(row=0, messages=[{"role": "user", "content": "Name the capital of France."}], references=["Paris"]),
    make_item_record("Nobody asks this"),
]


@pytest.fixture
def version() -> PredictionSetVersion:
    return make_golden_set(items=ITEMS).versions.get()


def kinds(version: PredictionSetVersion, *rows: Any) -> dict[str, int]:
    return {kind: count for kind, count in leakage.check_rows(version, rows).items.items() if count}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "What is 3 + 3?"}, set()),
        ({"prompt": "What is 2 + 2?"}, {"exact_prompt", "normalised_prompt"}),
        ({"prompt": "what is  2 + 2", "completion": "5"}, {"normalised_prompt"}),
        ({"question": "What is 2 + 2?", "answer": "4"}, {"exact_prompt", "normalised_prompt", "exact_pair", "normalised_pair"}),
        ({"question": "What is 2 + 2?", "answer": "4."}, {"exact_prompt", "normalised_prompt", "normalised_pair"}),
        ({"messages": [{"role": "user", "content": "What is 2 + 2?"}]}, {"exact_prompt", "normalised_prompt"}),
        ({"prompt": "name the capital of France", "completion": "paris"}, {"normalised_prompt", "normalised_pair"}),
    ],
)
def test_a_row_is_held_against_every_item(version: PredictionSetVersion, row: Any, expected: set[str]) -> None:
    assert set(kinds(version, row)) == expected


def test_items_and_rows_are_counted_apart(version: PredictionSetVersion) -> None:
    rows = [{"prompt": "What is 2 + 2?"}] * 3 + [{"prompt": "name the capital of france"}, {"ids": [1]}]
    found = leakage.check_rows(version, rows)
    assert (found.leaked, found.rows["normalised_prompt"], found.rows["exact_prompt"]) == (2, 4, 3)
    assert (found.row_count, found.unreadable_rows, found.item_count) == (5, 1, 3)
    assert [(each.kind, each.row) for each in found.examples] == [("exact_prompt", 1), ("normalised_prompt", 4)]


def test_punctuation_alone_is_no_match_for_other_punctuation() -> None:
    version = make_golden_set(items=[make_item_record("?!")]).versions.get()
    assert kinds(version, {"prompt": ""}, {"prompt": "..."}) == {} and kinds(version, {"prompt": "?!"})


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.json.gz", "rows.jsonl.gz"])
def test_files_are_read_as_the_client_reads_them(version: PredictionSetVersion, tmp_path: Path, name: str) -> None:
    rows = [{"prompt": f"filler {number}"} for number in range(3000)] + [{"prompt": "What is 2 + 2?"}]
    text = json.dumps(rows) if ".jsonl" not in name else "\n".join(map(json.dumps, rows))
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    found = leakage.check_file(version, path)
    assert (found.row_count, found.leaked, found.examples[0].row) == (3001, 1, 3001)


def test_a_damaged_file_is_refused_with_its_line(version: PredictionSetVersion, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a"}\n{')
    with pytest.raises(SetRefused, match=r"rows\.jsonl, line 2"):
        leakage.check_file(version, path)


def test_a_question_that_many_items_and_rows_ask_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [made_item(row=0, key=str(number), prompt="Why?", references=[f"because {number}"]) for number in range(50)]
    asked = make_golden_set(items=items).versions.get()
    read = Counter[str]()

    def counted(text: str) -> str:
        read[text] += 1
        return scoring.normalised(text)

    monkeypatch.setattr(leakage, "normalised", counted)
    found = leakage.check_rows(asked, [{"prompt": "Why?", "completion": "because 7"}] * 100)
    assert found.items == dict.fromkeys(leakage.KINDS, 50) | {"exact_pair": 1, "normalised_pair": 1}
    assert found.rows == dict.fromkeys(leakage.KINDS, 100)
    assert read["because 8"] == 1


def test_a_packed_file_of_one_endless_line_is_refused(
    version: PredictionSetVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "LONGEST_ROW", 1 << 20)
    for name, start in (("a.jsonl.gz", b'"'), ("b.json.gz", b'["')):
        path = tmp_path / name
        path.write_bytes(gzip.compress(start + b"a" * (8 << 20)))
        with pytest.raises(SetRefused, match="longer than 1,048,576 characters"):
            leakage.check_file(version, path)


def test_what_a_page_unpacks_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    settings.SCRATCH_ROOT = tmp_path
    monkeypatch.setattr(training_sources, "MOST_UNPACKED", 1 << 20)
    packed = SimpleUploadedFile("rows.jsonl.gz", gzip.compress(b'"a"\n' * (1 << 20)))
    with pytest.raises(SetRefused, match="Unpacked"), training_sources.training_file(file=packed):
        pass


def run(*words: str) -> str:
    out = io.StringIO()
    call_command(*words, stdout=out, stderr=out)
    return out.getvalue()


def test_the_command_fails_where_something_leaked(tmp_path: Path) -> None:
    owner = User.objects.create_superuser("root")
    make_golden_set(personal_project(owner), items=ITEMS)
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "something else"}\n')
    assert run("check_leakage", "golden@latest", str(path)).splitlines()[-1] == "golden@1: 0 of 3 items leaked into 1 rows"
    path.write_text('{"prompt": "What is 2 + 2?"}\n')
    with pytest.raises(CommandError, match="1 of 3 items leaked"):
        run("check_leakage", "golden@latest", str(path))
    with pytest.raises(CommandError, match="Its versions are 1") as caught:
        run("check_leakage", "golden@7", str(path))
    assert caught.value.returncode == 2
