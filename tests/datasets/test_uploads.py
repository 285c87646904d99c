"""Resumable uploads: the tus protocol, what it keeps and when that goes."""

import base64
import errno
import os
import stat
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import ApiToken, Project, User
from datasets import uploads
from datasets.models import DatasetImport, JobStatus, Upload
from predictions.models import PredictionImport
from tests.factories import make_dataset, make_project, make_user
from tests.uploaded import form_file, make_upload

pytestmark = pytest.mark.django_db

TUS = {"Tus-Resumable": "1.0.0"}
PIECES = "application/offset+octet-stream"


@pytest.fixture(autouse=True)
def upload_root(settings, media_in_tmp: None) -> Path:
    return settings.UPLOAD_ROOT


@pytest.fixture
def project(user: User) -> Project:
    return make_project(user)


@pytest.fixture
def client(client_of, user: User) -> Client:
    return client_of(user)


def metadata(**pairs: str) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())


def begin(client: Client, project: Project, size: int = 10, name: str = "truth.json", **headers: str) -> Any:
    described = {"Upload-Length": str(size), "Upload-Metadata": metadata(filename=name, project=project.slug)}
    return client.post(reverse("datasets:uploads"), headers=TUS | described | headers)


def send(client: Client, address: str, content: bytes, offset: int = 0, kind: str = PIECES, **headers: str) -> Any:
    return client.patch(address, content, content_type=kind, headers=TUS | {"Upload-Offset": str(offset)} | headers)


# --- The protocol ----------------------------------------------------------------------------------------------------
def test_a_file_arrives_in_pieces(client: Client, project: Project) -> None:
    address = begin(client, project).headers["Location"]
    assert send(client, address, b"01234").headers["Upload-Offset"] == "5"
    assert send(client, address, b"56789", offset=5).status_code == 204
    upload = Upload.objects.get()
    assert upload.is_complete and upload.path.read_bytes() == b"0123456789"


def test_what_arrived_is_asked_for(client: Client, project: Project) -> None:
    address = begin(client, project).headers["Location"]
    send(client, address, b"0123")
    answer = client.head(address, headers=TUS)
    assert (answer.headers["Upload-Offset"], answer.headers["Upload-Length"]) == ("4", "10")
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_wrong_offset_is_a_conflict(client: Client, project: Project) -> None:
    address = begin(client, project).headers["Location"]
    send(client, address, b"0123")
    answer = send(client, address, b"0123")
    assert answer.status_code == 409 and Upload.objects.get().received == 4
    assert "4 bytes have arrived" in answer.json()["detail"]


def test_more_than_announced_is_refused(client: Client, project: Project) -> None:
    address = begin(client, project, size=4).headers["Location"]
    assert send(client, address, b"012345").status_code == 413
    assert Upload.objects.get().received == 0


def test_pieces_have_their_content_type(client: Client, project: Project) -> None:
    address = begin(client, project).headers["Location"]
    assert send(client, address, b"0123", kind="application/json").status_code == 415


def test_giving_up(client: Client, project: Project, upload_root: Path) -> None:
    address = begin(client, project).headers["Location"]
    assert client.delete(address, headers=TUS).status_code == 204
    assert not Upload.objects.exists() and not list(upload_root.iterdir())
    assert client.head(address, headers=TUS).status_code == 404


def test_options_tell_what_is_spoken(client: Client) -> None:
    answer = client.options(reverse("datasets:uploads"))
    assert answer.status_code == 204 and answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Extension"] == "creation,termination" and int(answer.headers["Tus-Max-Size"]) > 0


def test_another_version_is_not_spoken(client: Client, project: Project) -> None:
    answer = begin(client, project, **{"Tus-Resumable": "0.2.2"})
    assert answer.status_code == 412 and answer.headers["Tus-Version"] == "1.0.0"


def test_a_method_may_be_overridden(client: Client, project: Project) -> None:
    address = begin(client, project).headers["Location"]
    headers = TUS | {"Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert client.post(address, b"0123", content_type=PIECES, headers=headers).status_code == 204
    assert Upload.objects.get().received == 4


@pytest.mark.parametrize("size", ["", "-1", "many", "1" * 30])
def test_the_length_must_be_a_number(client: Client, project: Project, size: str) -> None:
    answer = begin(client, project, **{"Upload-Length": size})
    assert answer.status_code == 400 and "Upload-Length" in answer.json()["detail"]


def test_metadata_must_be_base64(client: Client, project: Project) -> None:
    assert begin(client, project, **{"Upload-Metadata": "filename #!"}).status_code == 400


def test_a_project_must_be_named(client: Client, project: Project) -> None:
    answer = begin(client, project, **{"Upload-Metadata": metadata(filename="a.json")})
    assert answer.status_code == 400 and "project" in answer.json()["detail"]


def test_an_empty_file_is_complete_at_once(client: Client, project: Project) -> None:
    begin(client, project, size=0)
    assert Upload.objects.get().is_complete


# --- Bounds ----------------------------------------------------------------------------------------------------------
def test_a_file_too_large_is_refused_before_it_is_sent(client: Client, project: Project, settings) -> None:
    settings.MAX_UPLOAD_BYTES = 5
    answer = begin(client, project)
    assert answer.status_code == 413 and "TOUCHSTONE_MAX_UPLOAD_MB" in answer.json()["remedy"]


def test_a_file_that_does_not_fit_the_disk_is_refused(client: Client, project: Project, monkeypatch) -> None:
    monkeypatch.setattr("datasets.uploads.shutil.disk_usage", lambda path: _usage(free=5))
    answer = begin(client, project)
    assert answer.status_code == 507 and "disk" in answer.json()["detail"] and not Upload.objects.exists()


def _usage(free: int) -> Any:
    return type("Usage", (), {"free": free})()


def test_a_disk_that_fills_up_keeps_what_came(client: Client, project: Project, monkeypatch) -> None:
    address = begin(client, project).headers["Location"]
    send(client, address, b"0123")

    def fail(file: Any, piece: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(uploads, "_write_all", fail)
    answer = send(client, address, b"4567", offset=4)
    assert answer.status_code == 507 and Upload.objects.get().received == 4


def test_files_are_the_owners_alone(client: Client, project: Project, upload_root: Path) -> None:
    begin(client, project)
    assert stat.S_IMODE(Upload.objects.get().path.stat().st_mode) == 0o600
    assert stat.S_IMODE(upload_root.stat().st_mode) == 0o700


class Broken:
    """A connection that breaks after its pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    def read(self, size: int) -> bytes:
        if not self.pieces:
            raise OSError("connection reset by peer")
        return self.pieces.pop(0)


def test_a_broken_connection_keeps_what_came(user: User, project: Project) -> None:
    upload = uploads.create_upload(user, project, "a.json", 10)
    uploads.append(upload, 0, Broken(b"0123", b"45"))
    upload.refresh_from_db()
    assert upload.received == 6 and upload.path.read_bytes() == b"012345"


def test_no_more_than_a_piece_is_in_memory(user: User, project: Project) -> None:
    asked = []

    class Source(BytesIO):
        def read(self, size: int = -1) -> bytes:
            asked.append(size)
            return super().read(size)

    upload = uploads.create_upload(user, project, "a.bin", 3 * uploads.PIECE)
    uploads.append(upload, 0, Source(bytes(3 * uploads.PIECE)))
    assert upload.is_complete and max(asked) == uploads.PIECE


def test_of_two_senders_one_goes_on(user: User, project: Project) -> None:
    upload = uploads.create_upload(user, project, "a.json", 10)
    other = Upload.objects.get(pk=upload.pk)
    uploads.append(upload, 0, BytesIO(b"01234"))
    with pytest.raises(uploads.OffsetConflict):
        uploads.append(other, 0, BytesIO(b"xxxxx"))
    assert upload.path.read_bytes() == b"01234"


# --- Who may ---------------------------------------------------------------------------------------------------------
def test_somebody_elses_upload_does_not_exist(client_of, client: Client, project: Project) -> None:
    address = begin(client, project).headers["Location"]
    colleague = make_user()
    project.memberships.create(user=colleague, role="admin")
    other = client_of(colleague)
    assert other.head(address, headers=TUS).status_code == 404
    assert send(other, address, b"0123").status_code == 404
    assert other.delete(address, headers=TUS).status_code == 404


def test_a_viewer_uploads_nothing(client_of) -> None:
    viewer = make_user()
    assert begin(client_of(viewer), make_project(viewer=viewer)).status_code == 403


def test_a_stranger_uploads_nothing(client_of, project: Project) -> None:
    assert begin(client_of(make_user()), project).status_code == 404


def test_nobody_uploads_without_a_login(project: Project) -> None:
    assert begin(Client(), project).status_code == 401


def test_a_session_needs_the_csrf_token(user: User, project: Project) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert begin(client, project).status_code == 403


def test_a_token_uploads(user: User, project: Project) -> None:
    _, key = ApiToken.issue(user, "script")
    client = Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {key}"})
    address = begin(client, project).headers["Location"]
    assert send(client, address, b"0123456789").status_code == 204 and Upload.objects.get().is_complete


def test_an_unknown_upload_does_not_exist(client: Client) -> None:
    assert client.head(reverse("datasets:upload", args=[uuid4()]), headers=TUS).status_code == 404


# --- Names -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\data\\truth.json", "truth.json"),
        ("a\0b\n.json", "ab.json"),
        ("..", "upload"),
        ("", "upload"),
        ("\u202egpj.exe", "gpj.exe"),
        ("Übung 1.json", "Übung 1.json"),
        (".json", ".json"),
    ],
)
def test_names_become_harmless(sent: str, kept: str) -> None:
    assert uploads.clean_file_name(sent) == kept


def test_long_names_keep_their_ending() -> None:
    name = uploads.clean_file_name("ü" * 500 + ".json")
    assert name.endswith("ü.json") and len(name.encode()) <= 205


# --- Files of forms --------------------------------------------------------------------------------------------------
def test_a_file_of_a_form_is_renamed_into_place(user: User, project: Project, rf, upload_root: Path) -> None:
    request = rf.post("/", {"file": form_file("{}")})
    upload = uploads.store_file(user, project, request.FILES["file"])
    request.close()
    assert upload.is_complete and upload.path.read_bytes() == b"{}"
    assert [path.name for path in upload_root.iterdir()] == [upload.pk.hex]
    assert stat.S_IMODE(upload.path.stat().st_mode) == 0o600


def test_a_file_of_a_form_that_is_not_kept_goes(rf, upload_root: Path) -> None:
    request = rf.post("/", {"file": form_file("{}")})
    assert request.FILES["file"].read() == b"{}"
    request.close()
    assert not list(upload_root.iterdir())


# --- Going -----------------------------------------------------------------------------------------------------------
LONG_AGO = timezone.now() - timedelta(days=8)


def make_import(upload: Upload, status: JobStatus, **fields: Any) -> DatasetImport:
    return DatasetImport.objects.create(dataset=make_dataset(upload.project), upload=upload, status=status, **fields)


def test_unfinished_uploads_go_after_a_week(user: User, project: Project) -> None:
    old, young = (make_upload(user, project, size=10) for _ in range(2))
    Upload.objects.filter(pk=old.pk).update(touched_at=LONG_AGO)
    assert uploads.remove_stale_uploads() == 1
    assert not old.path.exists() and young.path.exists()


def test_imported_uploads_go(user: User, project: Project) -> None:
    upload = make_upload(user, project)
    job = make_import(upload, JobStatus.COMPLETED)
    uploads.remove_stale_uploads()
    job.refresh_from_db()
    assert not upload.path.exists() and job.upload is None


@pytest.mark.parametrize("status", [JobStatus.PENDING, JobStatus.RUNNING])
def test_uploads_that_are_read_stay(user: User, project: Project, status: JobStatus) -> None:
    upload = make_upload(user, project, touched_at=LONG_AGO)
    make_import(upload, status, queued_at=LONG_AGO)
    assert uploads.remove_stale_uploads() == 0
    with pytest.raises(uploads.UploadInUse):
        uploads.remove_upload(upload)


@pytest.mark.parametrize(("queued_at", "removed"), [(timezone.now(), 0), (LONG_AGO, 1)])
def test_uploads_of_failed_imports_stay_a_week(user: User, project: Project, queued_at: Any, removed: int) -> None:
    make_import(make_upload(user, project, touched_at=LONG_AGO), JobStatus.FAILED, queued_at=queued_at)
    assert uploads.remove_stale_uploads() == removed


def test_imports_of_predictions_count_as_well(user: User, project: Project) -> None:
    upload = make_upload(user, project)
    PredictionImport.objects.create(dataset=make_dataset(project), upload=upload, status=JobStatus.COMPLETED)
    assert uploads.remove_stale_uploads() == 1


def test_bytes_without_a_row_go(user: User, project: Project) -> None:
    upload = make_upload(user, project)
    Upload.objects.all().delete()
    os.utime(upload.path, (0, 0))
    uploads.remove_stale_uploads()
    assert not upload.path.exists()


def test_an_upload_in_use_cannot_be_given_up(client: Client, user: User, project: Project) -> None:
    upload = make_upload(user, project)
    make_import(upload, JobStatus.RUNNING)
    answer = client.delete(reverse("datasets:upload", args=[upload.pk]), headers=TUS)
    assert answer.status_code == 409 and Upload.objects.exists()
