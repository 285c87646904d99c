"""Leakage checks that run by themselves, when a training registers the questions that it drew."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.models import Project, User
from datasets.models import JobStatus
from predictions import leakage_checks, tasks
from predictions.models import LeakageCheck, TrainingJob
from predictions.prediction_sets import NewItem, register_sampled
from tests.factories import make_golden_set, make_item_record, make_project, make_training_job

pytestmark = pytest.mark.django_db
SAID = "1 of the 2 questions of golden@1 stands in the 2 rows drawn as train@1."


@pytest.fixture
def project(user: User) -> Project:
    return make_project(user)


@pytest.fixture
def job(project: Project) -> TrainingJob:
    return make_training_job(project, "nightly")


@pytest.fixture
def client(client_of: Any, user: User) -> Client:
    logged_in: Client = client_of(user)
    return logged_in


def golden(project: Project, name: str = "golden", *prompts: str) -> Any:
    return make_golden_set(project, name, items=[make_item_record(each) for each in prompts or ("2 + 2 =", "unseen")])


def drawn(job: TrainingJob, *prompts: str, source: str = "", name: str = "train") -> Any:
    items = [NewItem(f"key-{each}", index, each, references=["4"]) for index, each in enumerate(prompts)]
    return register_sampled(job, None, name, items, source=source)


def registered(client: Client, name: str = "train", source: str = "", prompts: tuple[str, ...] = ("2 + 2 =", "3 + 3 =")) -> Any:
    items = [
        {"item_key": f"key-{each}", "sample_index": index, "prompt": each, "references": ["4"]}
        for index, each in enumerate(prompts)
    ]
    body = {"name": name, "source": source, "items": items}
    return client.post("/api/training/jobs/nightly/sets/", body, content_type="application/json")


def run(check: LeakageCheck) -> LeakageCheck:
    tasks.run_leakage_check(check.pk)
    check.refresh_from_db()
    return check


def test_registering_has_every_golden_set_looked_for(
    client: Client, project: Project, job: TrainingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[int] = []
    monkeypatch.setattr(tasks.run_leakage_check, "delay_on_commit", rung.append)
    golden(project), golden(project, "other", "nobody draws this")
    assert registered(client).status_code == 200
    for pk in rung:
        tasks.run_leakage_check(pk)
    found = {str(check.version): (check.status, check.leaked) for check in LeakageCheck.objects.all()}
    assert found == {"golden@1": ("completed", 1), "other@1": ("completed", 0)}


def test_only_the_newest_version_is_looked_for_and_each_pair_once(project: Project, job: TrainingJob) -> None:
    asked = golden(project)
    version = drawn(job, "2 + 2 =")
    assert [str(check.version) for check in leakage_checks.due(version, None)] == ["golden@1"]
    assert leakage_checks.due(version, None) == []
    asked.versions.create(number=2, content_hash="b" * 64, item_count=0)
    assert leakage_checks.due(version, None) == []  # it asks nothing in words
    assert LeakageCheck.objects.count() == 1


def test_other_projects_are_not_looked_into(user: User, job: TrainingJob) -> None:
    golden(make_project(user, name="Fish"))
    assert leakage_checks.due(drawn(job, "2 + 2 ="), None) == []


def test_a_check_that_failed_is_tried_again(project: Project, job: TrainingJob) -> None:
    golden(project)
    version = drawn(job, "2 + 2 =")
    [check] = leakage_checks.due(version, None)
    LeakageCheck.objects.update(status=JobStatus.FAILED, error="no memory")
    assert leakage_checks.due(version, None) == [check]
    assert run(check).leaked == 1


def test_the_whole_file_is_looked_through_where_the_server_may_read_it(
    project: Project, job: TrainingJob, tmp_path: Path, settings: Any
) -> None:
    settings.IMPORT_ROOTS = [tmp_path]
    golden(project)
    file = tmp_path / "train.jsonl"
    file.write_text("\n".join(json.dumps({"prompt": each}) for each in ("3 + 3 =", "UNSEEN", "2 + 2 =")))
    [check] = leakage_checks.due(drawn(job, "3 + 3 =", source=str(file)), None)
    run(check)
    assert (check.leaked, check.whole_file, check.report["row_count"]) == (2, True, 3)
    assert check.in_words == f"2 of the 2 questions of golden@1 stand in the 3 rows of {file}."


@pytest.mark.parametrize("source", ["train.jsonl", "/etc/passwd", "{root}/missing.jsonl", "{root}/broken.jsonl", "{root}"])
def test_else_the_drawn_rows_are(project: Project, job: TrainingJob, tmp_path: Path, settings: Any, source: str) -> None:
    settings.IMPORT_ROOTS = [tmp_path]
    (tmp_path / "broken.jsonl").write_text('{"prompt": "unseen"}\nno JSON')
    golden(project)
    [check] = leakage_checks.due(drawn(job, "2 + 2 =", "3 + 3 =", source=source.format(root=tmp_path)), None)
    run(check)
    assert (check.leaked, check.whole_file, check.in_words) == (1, False, SAID)


def test_the_training_is_told(client: Client, project: Project, job: TrainingJob) -> None:
    golden(project)
    [check] = leakage_checks.due(drawn(job, "2 + 2 =", "3 + 3 ="), None)
    address = "/api/training/jobs/nightly/progress/"
    assert client.post(address, {"epoch": 1}, content_type="application/json").json()["warnings"] == []
    run(check)
    told = client.post(address, {"epoch": 2}, content_type="application/json").json()["warnings"]
    assert told == [f"{SAID} What a model scores on them says little."]


def test_another_job_is_not_told(client: Client, project: Project, job: TrainingJob) -> None:
    golden(project)
    [check] = leakage_checks.due(drawn(job, "2 + 2 ="), None)
    run(check)
    assert leakage_checks.leaks_of(make_training_job(project, "weekly")) == []


def test_the_pages_of_the_set_say_so(client: Client, project: Project, job: TrainingJob) -> None:
    asked = golden(project)
    [check] = leakage_checks.due(drawn(job, "2 + 2 =", "3 + 3 ="), None)
    assert 'hx-trigger="every 2s"' in client.get(f"/sets/{asked.pk}/leakage/").content.decode()
    run(check)
    assert SAID in client.get(f"/sets/{asked.pk}/").content.decode()
    page = client.get(f"/sets/{asked.pk}/leakage/").content.decode()
    assert SAID in page and "2 + 2 =" in page and "every 2s" not in page
    fragment = client.get(f"/sets/{asked.pk}/leakage/", headers={"HX-Request": "true"}).content.decode()
    assert SAID in fragment and "<html" not in fragment


def test_a_clean_set_is_not_warned_of(client: Client, project: Project, job: TrainingJob) -> None:
    asked = golden(project)
    [check] = leakage_checks.due(drawn(job, "3 + 3 ="), None)
    run(check)
    assert "callout-danger" not in client.get(f"/sets/{asked.pk}/").content.decode()
    said = "None of the 2 questions of golden@1 stands in the 1 row drawn as train@1."
    assert said in client.get(f"/sets/{asked.pk}/leakage/").content.decode()


def test_the_api_lists_the_checks(client: Client, project: Project, job: TrainingJob) -> None:
    asked = golden(project)
    [check] = leakage_checks.due(drawn(job, "2 + 2 =", source="train.jsonl"), None)
    run(check)
    [told] = client.get(f"/api/sets/{asked.pk}/leakage/").json()["results"]
    assert (told["version"], told["drawn"], told["source"], told["leaked"]) == ("golden@1", "train@1", "train.jsonl", 1)
    assert told["found"]["examples"][0]["asked"] == "2 + 2 ="


def test_a_check_goes_with_its_set(project: Project, job: TrainingJob) -> None:
    asked = golden(project)
    [check] = leakage_checks.due(drawn(job, "2 + 2 ="), None)
    asked.delete()
    tasks.run_leakage_check(check.pk)
    assert not LeakageCheck.objects.exists()
