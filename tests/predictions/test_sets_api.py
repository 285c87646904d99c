"""Sets in the API, and jobs that ask a curated one, as the client does."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts.models import Project, User
from predictions import curation, draft_items
from predictions.models import PredictionRun, PredictionSet, PredictionSetItem, TextPrediction, TrainingJob
from predictions.set_files.base import made_item
from tests.factories import make_dataset, make_golden_set, make_item_record, make_project, make_sample, make_training_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def project(user: User) -> Project:
    return make_project(user, name="texts")


@pytest.fixture
def golden(project: Project) -> PredictionSet:
    return make_golden_set(project)


class Api:
    """Asks in JSON and answers with what came back."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def __call__(self, method: str, path: str, body: Any = None, expected: int = 200) -> Any:
        text = "" if body is None else json.dumps(body)
        response = self.client.generic(method, f"/api/{path}", text, content_type="application/json")
        assert response.status_code == expected, response.content
        return response.json() if response.content and "json" in response.headers.get("Content-Type", "") else response.content


@pytest.fixture
def api(user: User, client_of: Any) -> Api:
    return Api(client_of(user))


def test_a_set_is_kept_from_beginning_to_end(api: Api, project: Project) -> None:
    made = api("POST", "sets/", {"project": "texts", "name": "golden"}, 201)
    where = f"sets/{made['id']}"
    assert (made["kind"], made["latest"], made["has_draft"]) == ("curated", None, True)
    items = [
        {"prompt": "a", "references": ["A"], "tags": ["x"]},
        {"key": "chat", "messages": [{"role": "user", "content": "b"}]},
    ]
    assert api("POST", f"{where}/draft/items/", {"items": items}) == {"added": 2, "updated": 0, "removed": 0, "same": 0}
    assert api("POST", f"{where}/draft/items/", {"items": items})["same"] == 2
    api("PATCH", f"{where}/draft/", {"validators": [{"type": "max_length", "value": 9}], "pass_threshold": 0.5})
    version = api("POST", f"{where}/publish/", {"note": "first"})
    assert (version["number"], version["item_count"], version["note"], version["is_draft"]) == (1, 2, "first", False)
    assert version["validators"] == [{"type": "max_length", "value": 9}]
    changed = api("PATCH", f"{where}/draft/items/chat/", {"references": ["B"]}, 409)
    assert changed["remedy"]
    api("POST", f"{where}/draft/")
    changed = api("PATCH", f"{where}/draft/items/chat/", {"references": ["B"]})
    assert changed["references"] == ["B"] and changed["messages"] == items[1]["messages"]
    api("POST", f"{where}/draft/items/", {"items": ["new"]})
    found = api("GET", f"{where}/diff/")
    assert found["counts"] == {"added": 1, "removed": 0, "changed": 1, "unchanged": 1}
    assert found["changed"][0]["fields_changed"] == ["references"]
    listed = api("GET", f"{where}/versions/draft/items/?page_size=2")
    assert [item["prompt"] for item in listed["results"]] == ["a", None] and listed["next"]
    assert api("POST", f"{where}/publish/")["number"] == 2
    whole = api("GET", f"{where}/")
    assert [each["number"] for each in whole["versions"]] == [2, 1] and whole["latest_items"] == 3
    api("DELETE", f"{where}/", expected=204)
    assert not PredictionSetItem.objects.exists()


def test_a_changed_question_is_another_item(api: Api, golden: PredictionSet) -> None:
    item = curation.begin_draft(golden).items.first()
    changed = api("PATCH", f"sets/{golden.pk}/draft/items/{item.key}/", {"messages": [{"role": "user", "content": "hi"}]})
    assert changed["key"] != item.key and changed["prompt"] is None


@pytest.mark.parametrize(
    ("items", "field"),
    [
        ([{"prompt": "fine"}, {"prompt": "p", "weight": 0}], "row 2.weight"),
        ([{"prompt": "p", "key": "k"}, {"prompt": "q", "key": "k"}], "row 2.key"),
        ([{"image": {"dataset": "d", "split": "s", "file_name": "f"}}], "row 1.image"),
        ([7], "row 1"),
    ],
)
def test_bad_items_are_refused_as_a_whole(api: Api, golden: PredictionSet, items: Any, field: str) -> None:
    problem = api("POST", f"sets/{golden.pk}/draft/items/", {"items": items}, 400)
    assert problem["errors"][0]["field"] == field and problem["remedy"]
    assert curation.draft_of(golden) is None


def test_items_are_removed_by_key(api: Api, golden: PredictionSet) -> None:
    first, second, third = curation.begin_draft(golden).items.values_list("key", flat=True)
    assert api("DELETE", f"sets/{golden.pk}/draft/items/?key={first}&key={second}")["removed"] == 2
    api("DELETE", f"sets/{golden.pk}/draft/items/{third}/", expected=204)
    api("DELETE", f"sets/{golden.pk}/draft/items/{third}/", expected=409)
    problem = api("POST", f"sets/{golden.pk}/publish/", expected=400)
    assert "no items" in problem["detail"]


def test_a_name_in_use_is_a_conflict(api: Api, golden: PredictionSet) -> None:
    assert "already" in api("POST", "sets/", {"project": "texts", "name": "golden"}, 409)["detail"]


@pytest.mark.usefixtures("media_in_tmp")
def test_files_come_and_go(api: Api, golden: PredictionSet) -> None:
    where = f"/api/sets/{golden.pk}/import/"
    file = {"file": ContentFile(b"prompt,reference\nnew?,yes\n", "items.csv"), "mode": "add", "publish": "true", "note": "csv"}
    done = api.client.post(where, file).json()
    assert (done["read"], done["added"], done["version"]) == (1, 1, 2)
    content = {"content": '{"prompt": "dry"}', "dry_run": True, "mode": "replace"}
    assert api("POST", f"sets/{golden.pk}/import/", content)["read"] == 1 and curation.draft_of(golden) is None
    assert "Say whether to add" in api("POST", f"sets/{golden.pk}/import/", {"content": '{"prompt": "x"}'}, 409)["remedy"]
    problem = api("POST", f"sets/{golden.pk}/import/", {"content": "{", "mode": "add"}, 400)
    assert problem["errors"][0]["field"] == "row 1"
    rows = api("GET", f"sets/{golden.pk}/export/").decode().splitlines()
    assert [json.loads(row)["prompt"] for row in rows][-1] == "new?"
    api("GET", f"sets/{golden.pk}/export/?file_format=xml", expected=400)
    api("GET", f"sets/{golden.pk}/export/?version=9", expected=404)


@pytest.mark.usefixtures("media_in_tmp")
def test_leaks_are_found_in_files_and_on_the_server(
    api: Api, golden: PredictionSet, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "train.jsonl").write_text('{"prompt": "0 + 0 ="}\n')
    settings.IMPORT_ROOTS = [tmp_path]
    assert api("POST", f"sets/{golden.pk}/leakage/", {"path": "train.jsonl"})["leaked"] == 1
    assert "outside" in api("POST", f"sets/{golden.pk}/leakage/", {"path": "/etc/passwd"}, 400)["detail"]
    sent = {"file": ContentFile((tmp_path / "train.jsonl").read_bytes(), "any name")}
    assert api.client.post(f"/api/sets/{golden.pk}/leakage/", sent).json()["items"]["exact_prompt"] == 1


def test_the_list_takes_as_many_queries_for_many_sets(api: Api, project: Project) -> None:
    counts = []
    for start in (0, 10):
        for number in range(start, start + 10):
            make_golden_set(project, f"golden {number}")
        with CaptureQueriesContext(connection) as queries:
            assert len(api("GET", "sets/?project=texts&page_size=100")["results"]) == start + 10
        counts.append(len(queries))
    assert counts[0] == counts[1]


# --- Jobs that ask it --------------------------------------------------------------------------------------------------------
@pytest.fixture
def job(project: Project) -> TrainingJob:
    return make_training_job(project, "nightly")


def test_a_training_is_asked_the_latest_version_and_stays_with_it(api: Api, golden: PredictionSet, job: TrainingJob) -> None:
    draft_items.put_items(golden, [made_item(row=0, messages=[{"role": "user", "content": "hi"}], references=["hello"])])
    curation.publish(golden, None)
    started = api("POST", "training/jobs/nightly/start/", {"attempt": 1, "prediction_set": "golden@latest"})
    asked = started["prediction_set"]
    assert (asked["name"], asked["version"], len(asked["items"])) == ("golden", 2, 4)
    assert asked["items"][3]["messages"] == [{"role": "user", "content": "hi"}] and asked["items"][3]["references"] == ["hello"]
    job.refresh_from_db()
    assert job.registered_sets == {"golden": 2}
    draft_items.put_items(golden, [make_item_record("later?")])
    curation.publish(golden, None)
    answers = [
        {"sample_index": item["sample_index"], "item_key": item["item_key"], "prediction": "4"} for item in asked["items"]
    ]
    body = {"job_id": "nightly", "epoch": 1, "step": 1, "prediction_set": "golden", "predictions": answers}
    assert api("POST", "training/predictions/", body)["stored"] == 4
    assert PredictionRun.objects.get().set_version.number == 2
    assert TextPrediction.objects.filter(exact_match=1).count() == 3  # all but the conversation


def test_a_panel_names_it_as_well(api: Api, golden: PredictionSet, job: TrainingJob) -> None:
    job.config = {"predictions": {"source": "set", "prediction_set": "golden@1"}}
    job.save()
    assert api("POST", "training/jobs/nightly/start/", {"attempt": 1})["prediction_set"]["version"] == 1


def test_images_are_not_asked_of_texts(api: Api, project: Project, golden: PredictionSet, job: TrainingJob) -> None:
    draft_items.put_items(golden, draft_items.records_of_images([make_sample(make_dataset(project))]))
    curation.publish(golden, None)
    problem = api("POST", "training/jobs/nightly/start/", {"attempt": 1, "prediction_set": "golden@2"}, 400)
    assert "holds 1 image, which a training of text cannot be asked" in problem["detail"]
    job.refresh_from_db()
    assert job.attempt == 0 and job.registered_sets == {}


def test_a_draft_is_not_asked(api: Api, project: Project, job: TrainingJob) -> None:
    make_golden_set(project, "fresh", published=False)
    problem = api("POST", "training/jobs/nightly/start/", {"attempt": 1, "prediction_set": "fresh@latest"}, 400)
    assert "There is no prediction set 'fresh@latest'" in problem["detail"]
