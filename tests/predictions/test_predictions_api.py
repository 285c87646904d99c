"""Sending predictions: small files at once, large ones as an import; what is wrong is told, and changes nothing."""

import gzip
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse

from accounts.models import ApiToken, User
from datasets.models import Dataset, JobStatus, Upload
from predictions import tasks
from predictions.models import PredictedObject, PredictionImport, PredictionRun
from tests.coco_files import result, write
from tests.factories import make_category, make_dataset, make_project, make_run, make_sample, make_split, make_user
from tests.uploaded import form_file, make_upload

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_in_tmp")]


@pytest.fixture
def dataset(user: User) -> Dataset:
    found = make_dataset(make_project(user), name="birds")
    make_category(found, "cat", "7")
    make_sample(found, external_id="10", file_name="images/ten.jpg", width=100, height=80)
    return found


@pytest.fixture
def client(user: User) -> Client:
    _, key = ApiToken.issue(user, "script")
    return Client(headers={"Authorization": f"Bearer {key}"})


@pytest.fixture
def roots(settings, tmp_path: Path) -> Path:
    root = (tmp_path / "roots").resolve()
    root.mkdir()
    settings.IMPORT_ROOTS = [root]
    return root


def send(client: Client, dataset: Dataset, **body: Any) -> Any:
    kind = {} if "file" in body else {"content_type": "application/json"}
    return client.post(reverse("prediction-create", args=[dataset.pk]), body, **kind)


def test_a_small_file_is_imported_at_once(client: Client, dataset: Dataset) -> None:
    answer = send(client, dataset, file=form_file([result(), result(), result(image_id=99)]), name="epoch-12")
    run = PredictionRun.objects.get()
    assert answer.status_code == 201 and run.name == "epoch-12"
    assert answer.json() == {
        "dataset_id": dataset.pk,
        "run_id": run.pk,
        "prediction_count": 2,
        "skipped_count": 1,
        "skipped": {"unknown_image": 1},
        "message": "Stored 2 predictions as the run epoch-12. Skipped 1 row: 1 unknown image.",
    }


def test_the_run_is_called_prediction_unless_named(client: Client, dataset: Dataset) -> None:
    send(client, dataset, file=form_file([result()]))
    assert PredictionRun.objects.get().name == "prediction"


def test_a_path_inside_the_roots_is_imported(client: Client, dataset: Dataset, roots: Path) -> None:
    path = write(roots / "results.json", [result()])
    assert send(client, dataset, prediction_path=str(path)).status_code == 201


def test_an_upload_is_imported(client: Client, dataset: Dataset, user: User) -> None:
    upload = make_upload(user, dataset.project, [result()])
    assert send(client, dataset, upload=str(upload.pk)).status_code == 201


def test_fixes_are_switched_on(client: Client, dataset: Dataset) -> None:
    rows = [result(image_id="ten", category_id="cat")]
    answer = send(client, dataset, file=form_file(rows), fixes=["match_file_stem", "map_by_name"])
    assert answer.status_code == 201 and answer.json()["prediction_count"] == 1


def test_a_run_of_that_name_is_replaced(client: Client, dataset: Dataset) -> None:
    first = send(client, dataset, file=form_file([result(), result()])).json()["run_id"]
    second = send(client, dataset, file=form_file([result()])).json()["run_id"]
    dataset.refresh_from_db()
    assert first != second and PredictionRun.objects.count() == 1 and dataset.prediction_count == 1


def test_a_large_file_is_accepted_and_imported_later(client: Client, dataset: Dataset, settings) -> None:
    settings.SYNC_IMPORT_BYTES = 10
    answer = send(client, dataset, file=form_file([result()]))
    assert answer.status_code == 202 and answer.json()["status"] == "pending" and not PredictionRun.objects.exists()
    tasks.run_prediction_import(answer.json()["id"])
    shown = client.get(reverse("prediction-import-detail", args=[answer.json()["id"]])).json()
    assert shown["status"] == "completed" and shown["run_id"] == PredictionRun.objects.get().pk


# --- What is wrong ---------------------------------------------------------------------------------------------------
GOOD = json.dumps([result()] * 3)

REFUSED = {
    "empty": (b"", ["empty", "byte 0"]),
    "cut short": (GOOD[:-20].encode(), ["cut short", f"byte {len(GOOD) - 20:,}", "after row 2"]),
    "not JSON": (b"image,score\n1,2", ["not valid JSON", "byte 0"]),
    "broken inside": (b'[{"image_id": 10}, {oops}]', ["not valid JSON", "after row 1"]),
    "not a list": (b'{"info": 1}', ["not a list of results"]),
    "a number": (b"17", ["not a list of results"]),
    "UTF-16": (GOOD.encode("utf-16"), ["wrong encoding"]),
    "not UTF-8": (b'[{"image_id": "\xff\xfe"}]', ["not valid UTF-8", "byte"]),
    "gzip": (gzip.compress(GOOD.encode()), ["gzip", "byte 0"]),
    "foreign": (json.dumps([result(image_id=1)] * 2).encode(), ["None of the 2 rows fits", "row 1"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_file_is_refused_and_changes_nothing(client: Client, dataset: Dataset, case: str) -> None:
    content, words = REFUSED[case]
    run = make_run(dataset)
    answer = send(client, dataset, file=form_file(content))
    assert answer.status_code == 400 and answer.headers["Content-Type"] == "application/problem+json"
    assert [word for word in words if word not in answer.json()["detail"]] == [] and answer.json()["remedy"]
    assert list(PredictionRun.objects.all()) == [run] and not PredictedObject.objects.exists()
    assert not PredictionImport.objects.exists() and not Upload.objects.exists()


def test_a_refused_file_leaves_nothing_on_disk(client: Client, dataset: Dataset, settings) -> None:
    send(client, dataset, file=form_file([result(image_id=1)]))
    assert not list(settings.UPLOAD_ROOT.iterdir()) and not list(settings.SCRATCH_ROOT.iterdir())
    assert not default_storage.exists("rejects") or not default_storage.listdir("rejects")[1]


def test_a_fault_of_ours_is_no_fault_of_the_file(client: Client, dataset: Dataset, monkeypatch) -> None:
    def fail(*args: Any) -> None:
        raise RuntimeError("the disk burns")

    monkeypatch.setattr("predictions.importing.run_import", fail)
    answer = send(client, dataset, file=form_file([result()]))
    assert answer.status_code == 500 and "the disk burns" in answer.json()["detail"]
    assert PredictionImport.objects.get().status == JobStatus.FAILED


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "needs one source"),
        ({"prediction_path": "/a", "upload": str(uuid4())}, "several sources"),
        ({"upload": str(uuid4())}, "no such upload"),
        ({"prediction_path": "/etc/passwd"}, "takes no paths"),
        ({"prediction_path": "/a", "name": ""}, "may not be blank"),
        ({"prediction_path": "/a", "name": "x" * 121}, "no more than 120"),
        ({"file": "text"}, "not a file"),
    ],
)
def test_what_cannot_be_is_refused_in_words(client: Client, dataset: Dataset, body: dict[str, Any], words: str) -> None:
    answer = client.post(reverse("prediction-create", args=[dataset.pk]), body, content_type="application/json")
    assert answer.status_code == 400 and words in answer.json()["detail"] and answer.json()["remedy"]


@pytest.mark.parametrize("path", ["/etc/passwd", "/no/such/file", "../results.json"])
def test_paths_outside_are_answered_alike(client: Client, dataset: Dataset, roots: Path, path: str) -> None:
    answer = send(client, dataset, prediction_path=path)
    assert answer.status_code == 400 and "outside the folders" in answer.json()["detail"]


def test_a_missing_file_inside_the_roots_is_named(client: Client, dataset: Dataset, roots: Path) -> None:
    answer = send(client, dataset, prediction_path=str(roots / "missing.json"))
    assert answer.status_code == 400 and "missing.json" in answer.json()["detail"]


def test_an_unknown_split_is_refused(client: Client, dataset: Dataset) -> None:
    answer = send(client, dataset, file=form_file([result()]), split="test")
    assert answer.status_code == 400 and "no split 'test'" in answer.json()["detail"]


def test_ids_that_several_splits_share_ask_for_a_split(client: Client, dataset: Dataset) -> None:
    make_sample(dataset, split="train", external_id="10")
    answer = send(client, dataset, file=form_file([result()]))
    assert answer.status_code == 400 and "split" in answer.json()["remedy"]
    assert send(client, dataset, file=form_file([result()]), split="train").status_code == 201


def test_a_dataset_without_images_is_refused(client: Client, user: User, dataset: Dataset) -> None:
    empty = make_dataset(dataset.project)
    make_split(empty)
    answer = send(client, empty, file=form_file([result()]))
    assert answer.status_code == 400 and "has no images yet" in answer.json()["detail"]


# --- Who may ---------------------------------------------------------------------------------------------------------
def test_an_unknown_dataset_does_not_exist(client: Client) -> None:
    assert client.post("/api/datasets/999999/predictions/", {}, content_type="application/json").status_code == 404


def test_a_stranger_finds_no_dataset(client_of, dataset: Dataset) -> None:
    assert send(client_of(make_user()), dataset, file=form_file([result()])).status_code == 404


def test_a_viewer_sends_nothing(client_of, dataset: Dataset) -> None:
    viewer = make_user()
    dataset.project.memberships.create(user=viewer, role="viewer")
    answer = send(client_of(viewer), dataset, file=form_file([result()]))
    assert answer.status_code == 403 and not PredictionRun.objects.exists()


# --- The import's own address ----------------------------------------------------------------------------------------
def make_job(dataset: Dataset, status: str = "pending") -> PredictionImport:
    return PredictionImport.objects.create(dataset=dataset, source_name="results.json", status=status)


def test_an_import_is_cancelled(client: Client, dataset: Dataset) -> None:
    answer = client.post(reverse("prediction-import-cancel", args=[make_job(dataset).pk]))
    assert answer.status_code == 202 and answer.json()["status"] == "cancelled"


def test_a_failed_import_is_tried_again(client: Client, dataset: Dataset) -> None:
    answer = client.post(reverse("prediction-import-retry", args=[make_job(dataset, "failed").pk]))
    assert answer.status_code == 202 and answer.json()["status"] == "pending"


def test_a_pending_import_is_not_confirmed(client: Client, dataset: Dataset) -> None:
    answer = client.post(reverse("prediction-import-confirm", args=[make_job(dataset).pk]))
    assert answer.status_code == 409 and "pending" in answer.json()["detail"]


def test_a_picture_is_no_results_file_and_its_bytes_hurt_nobody(client: Client, dataset: Dataset) -> None:
    answer = send(client, dataset, file=form_file(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01"))
    assert answer.status_code == 400 and "no text" in answer.json()["detail"]


def test_nul_bytes_near_the_mistake_are_not_stored(client: Client, dataset: Dataset) -> None:
    answer = send(client, dataset, file=form_file(b"abc\x00\x00"))
    assert answer.status_code == 400 and "abc" in answer.json()["detail"]


def test_ids_that_look_shifted_are_told(client: Client, dataset: Dataset) -> None:
    make_category(dataset, "dog", "8")
    answer = send(client, dataset, file=form_file([result(category_id=8), result(category_id=9)]))
    assert answer.status_code == 201 and answer.json()["prediction_count"] == 1
    assert "shift_category_ids" in answer.json()["message"]
