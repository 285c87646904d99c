"""Imports of ground truth in the API."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import ApiToken, User
from datasets import tasks
from datasets.models import Dataset, DatasetImport, JobStatus, Sample, Upload
from tests.coco_files import annotation, coco, write
from tests.factories import make_annotation, make_category, make_dataset, make_project, make_sample, make_user
from tests.uploaded import form_file, make_upload

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_in_tmp")]


@pytest.fixture
def dataset(user: User) -> Dataset:
    return make_dataset(make_project(user), name="birds")


@pytest.fixture
def client(user: User) -> Client:
    """With a token, as scripts come."""
    _, key = ApiToken.issue(user, "script")
    return Client(headers={"Authorization": f"Bearer {key}"})


@pytest.fixture
def roots(settings, tmp_path: Path) -> Path:
    root = (tmp_path / "roots").resolve()
    root.mkdir()
    settings.IMPORT_ROOTS = [root]
    return root


def send(client: Client, dataset: Dataset, **body: Any) -> Any:
    """As JSON; with a file as a form."""
    kind = {} if "file" in body else {"content_type": "application/json"}
    return client.post(reverse("dataset-import-list", args=[dataset.pk]), body, **kind)


def look(job: DatasetImport) -> DatasetImport:
    tasks.run_dataset_import(job.pk)
    job.refresh_from_db()
    return job


def decide(client: Client, job: DatasetImport, what: str, **body: Any) -> Any:
    return client.post(reverse(f"import-{what}", args=[job.pk]), body, content_type="application/json")


def fill(dataset: Dataset) -> None:
    make_annotation(make_sample(dataset), make_category(dataset))
    dataset.splits.update(sample_count=1, annotation_count=1)


def test_a_file_is_accepted_and_imported(client: Client, dataset: Dataset) -> None:
    answer = send(client, dataset, file=form_file(coco()), split="train")
    assert answer.status_code == 202 and answer.json()["status"] == "pending"
    job = look(DatasetImport.objects.get(pk=answer.json()["id"]))
    assert (job.status, job.split_name) == (JobStatus.COMPLETED, "train") and Sample.objects.count() == 2


def test_an_upload_is_accepted(client: Client, dataset: Dataset, user: User) -> None:
    upload = make_upload(user, dataset.project, coco())
    assert send(client, dataset, upload=str(upload.pk)).status_code == 202
    assert DatasetImport.objects.get().upload == upload


def test_a_path_is_accepted(client: Client, dataset: Dataset, roots: Path) -> None:
    path = write(roots / "truth.json", coco())
    assert send(client, dataset, path=str(path)).status_code == 202
    assert look(DatasetImport.objects.get()).status == JobStatus.COMPLETED


def test_a_dry_run_reports_and_stores_nothing(client: Client, dataset: Dataset) -> None:
    content = coco(annotations=[annotation(category_id=99)])
    look(DatasetImport.objects.get(pk=send(client, dataset, file=form_file(content), dry_run=True).json()["id"]))
    shown = client.get(reverse("import-detail", args=[DatasetImport.objects.get().pk])).json()
    assert shown["status"] == "draft" and shown["report"]["problems"][0]["reason"] == "unknown_category"
    assert not Sample.objects.exists()


def test_replacing_must_be_said(client: Client, dataset: Dataset, user: User) -> None:
    fill(dataset)
    upload = make_upload(user, dataset.project, coco())
    answer = send(client, dataset, upload=str(upload.pk))
    assert answer.status_code == 409 and answer.headers["Content-Type"] == "application/problem+json"
    assert "1 images and 1 annotations" in answer.json()["detail"] and "replace=true" in answer.json()["remedy"]
    assert not DatasetImport.objects.exists()
    assert send(client, dataset, upload=str(upload.pk), replace=True).status_code == 202


def test_a_dry_run_replaces_nothing_and_may_look(client: Client, dataset: Dataset) -> None:
    fill(dataset)
    assert send(client, dataset, file=form_file(coco()), dry_run=True).status_code == 202


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "needs one source"),
        ({"upload": str(uuid4()), "path": "/a"}, "several sources"),
        ({"upload": str(uuid4())}, "no such upload of yours"),
        ({"upload": "x"}, "valid UUID"),
        ({"path": "/etc/passwd"}, "takes no paths"),
        ({"path": "/a", "importer": "magic"}, "magic"),
        ({"path": "/a", "split": ""}, "may not be blank"),
    ],
)
def test_what_cannot_be_is_refused_in_words(client: Client, dataset: Dataset, body: dict[str, Any], words: str) -> None:
    answer = send(client, dataset, **body)
    assert answer.status_code == 400 and words in answer.json()["detail"] and answer.json()["remedy"]
    assert not DatasetImport.objects.exists()


def test_an_unknown_fix_is_refused(client: Client, dataset: Dataset, user: User) -> None:
    answer = send(client, dataset, upload=str(make_upload(user, dataset.project).pk), fixes=["magic"])
    assert answer.status_code == 400 and "There is no fix magic" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/etc/passwd", "/no/such/file", "../../etc", "~/x", "x" * 5000])
def test_paths_outside_are_answered_alike(client: Client, dataset: Dataset, roots: Path, path: str) -> None:
    answer = send(client, dataset, path=path)
    assert answer.status_code == 400 and answer.json()["remedy"]
    assert "There is no such file" not in answer.json()["detail"] or path.startswith(("~", "x"))


def test_a_file_too_large_is_refused(client: Client, dataset: Dataset, settings) -> None:
    settings.MAX_UPLOAD_BYTES = 5
    answer = send(client, dataset, file=form_file(coco()))
    assert answer.status_code == 413 and "TOUCHSTONE_MAX_UPLOAD_MB" in answer.json()["remedy"]


def test_a_body_too_large_is_refused_unread(client: Client, dataset: Dataset, settings, monkeypatch) -> None:
    settings.MAX_UPLOAD_BYTES = 5
    monkeypatch.setattr("datasets.receiving.ROOM_FOR_FIELDS", 0)
    answer = send(client, dataset, file=form_file(coco()))
    assert answer.status_code == 413 and not Upload.objects.exists()


# --- Decisions -------------------------------------------------------------------------------------------------------
@pytest.fixture
def draft(client: Client, dataset: Dataset) -> DatasetImport:
    content = coco(annotations=[annotation(), annotation(id=2, category_id=99)])
    send(client, dataset, file=form_file(content), dry_run=True)
    return look(DatasetImport.objects.get())


def test_a_dry_run_is_confirmed(client: Client, draft: DatasetImport) -> None:
    assert decide(client, draft, "confirm", fixes=["clip_boxes"]).status_code == 202
    assert look(draft).status == JobStatus.COMPLETED and draft.fixes == ["clip_boxes"]


def test_a_confirmation_replaces_only_where_it_says_so(client: Client, draft: DatasetImport, dataset: Dataset) -> None:
    fill(dataset)
    assert decide(client, draft, "confirm").status_code == 409
    assert decide(client, draft, "confirm", replace=True).status_code == 202


def test_a_completed_import_is_over(client: Client, draft: DatasetImport) -> None:
    decide(client, draft, "confirm")
    look(draft)
    for what in ("confirm", "retry", "cancel"):
        answer = decide(client, draft, what)
        assert answer.status_code == 409 and "completed" in answer.json()["detail"]


def test_cancelling_and_trying_again(client: Client, draft: DatasetImport) -> None:
    assert decide(client, draft, "cancel").json()["status"] == "cancelled"
    assert decide(client, draft, "retry").json()["status"] == "pending"


def test_rejected_rows_are_downloaded(client: Client, draft: DatasetImport) -> None:
    answer = client.get(reverse("import-rejects", args=[draft.pk]))
    assert b"unknown_category" in b"".join(answer.streaming_content)
    assert answer.headers["Content-Type"] == "application/jsonl"


# --- Who may, and lists ----------------------------------------------------------------------------------------------
def test_a_viewer_looks_but_does_not_import(client_of, draft: DatasetImport) -> None:
    viewer = make_user()
    draft.dataset.project.memberships.create(user=viewer, role="viewer")
    client = client_of(viewer)
    assert client.get(reverse("import-detail", args=[draft.pk])).status_code == 200
    assert send(client, draft.dataset, path="/a").status_code == 403
    assert decide(client, draft, "confirm").status_code == 403


def test_a_stranger_finds_nothing(client_of, draft: DatasetImport) -> None:
    client = client_of(make_user())
    assert client.get(reverse("import-detail", args=[draft.pk])).status_code == 404
    assert send(client, draft.dataset, path="/a").status_code == 404


def test_a_huge_id_does_not_exist(client: Client) -> None:
    assert client.get(f"/api/imports/{10**30}/").status_code == 404


def test_imports_are_listed_newest_first(client: Client, dataset: Dataset) -> None:
    for name in ("old.json", "new.json"):
        DatasetImport.objects.create(dataset=dataset, source_name=name)
    DatasetImport.objects.create(dataset=make_dataset(dataset.project), source_name="other.json")
    shown = client.get(reverse("dataset-import-list", args=[dataset.pk])).json()["results"]
    assert [job["source_name"] for job in shown] == ["new.json", "old.json"]


def test_the_list_asks_no_more_for_more(client: Client, dataset: Dataset, django_assert_max_num_queries) -> None:
    for _ in range(20):
        DatasetImport.objects.create(dataset=dataset, source_name="a.json", created_by=make_user())
    with django_assert_max_num_queries(6):
        client.get(reverse("dataset-import-list", args=[dataset.pk]))
