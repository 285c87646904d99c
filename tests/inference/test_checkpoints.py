"""Checkpoints: where files may come from, what is found in them, which one is meant, and that no other file is loaded."""

import hashlib
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from accounts.models import Project, User
from inference import checkpoints, loading
from inference.adapters.base import AdapterError
from inference.checkpoints import CheckpointRefused, NoSuchCheckpoint, Told, register_path, server_checkpoint
from inference.choosing import resolve
from inference.models import TrustedWeights
from predictions.models import Checkpoint
from predictions.training import note_checkpoint
from tests.factories import make_checkpoint, make_project, make_training_job, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_in_tmp")]


@pytest.fixture
def roots(settings: Settings, tmp_path: Path) -> Path:
    root = tmp_path / "runs"
    root.mkdir()
    settings.CHECKPOINT_ROOTS = [root.resolve()]
    return root


@pytest.fixture
def project(user: User) -> Project:
    return make_project(user)


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("id",)


def weights(path: Path, content: Any = None) -> Path:
    """As torch writes them, without torch."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("weights/data.pkl", pickle.dumps(content or {"a": 1}, 2))
    return path


# --- Where files may come from ---------------------------------------------------------------------------------------
def test_a_path_inside_the_roots_is_taken(roots: Path) -> None:
    assert server_checkpoint(str(weights(roots / "a.pt"))) == (roots / "a.pt").resolve()
    assert server_checkpoint("a.pt") == (roots / "a.pt").resolve()


@pytest.mark.parametrize("text", ["/etc/passwd", "../outside.pt", "a\0b", "link.pt", "/" + "x" * 5000])
def test_a_path_outside_is_refused_whether_it_exists_or_not(roots: Path, text: str) -> None:
    weights(roots.parent / "outside.pt")
    (roots / "link.pt").symlink_to(roots.parent / "outside.pt")
    with pytest.raises(CheckpointRefused, match="outside the folders"):
        server_checkpoint(text)


def test_without_roots_no_path_is_taken(settings: Settings) -> None:
    settings.CHECKPOINT_ROOTS = []
    with pytest.raises(CheckpointRefused, match="takes no paths"):
        server_checkpoint("a.pt")


# --- Registering -----------------------------------------------------------------------------------------------------
def test_registering_hashes_and_inspects(project: Project, tmp_path: Path) -> None:
    path = weights(tmp_path / "a.pth")
    made = register_path(project, path, Told(name="mine"))
    assert (made.framework, made.task_type, made.file_size) == ("timm", "classification", path.stat().st_size)
    assert made.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() and made.inspection["is_harmless"]


def test_what_a_hostile_file_needs_is_told_and_not_run(project: Project, tmp_path: Path) -> None:
    made = register_path(project, weights(tmp_path / "a.pt", Evil()), Told(framework="ultralytics"))
    assert made.inspection["refused"] == [f"{os.system.__module__}.system"] and not made.inspection["is_harmless"]


def test_a_registered_path_that_a_training_told_of_is_one_checkpoint(project: Project, roots: Path) -> None:
    job = make_training_job(project)
    noted = note_checkpoint(job, str(weights(roots / "a.pth").resolve()), 2, 20, {"top1": 0.5})
    made = register_path(project, (roots / "a.pth").resolve(), Told(step=20), job=job)
    assert made.pk == noted.pk and made.metrics == {"top1": 0.5} and made.epoch == 2


def test_a_told_path_inside_the_roots_can_be_run(
    project: Project, roots: Path, settings: Settings, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    settings.CELERY_TASK_ALWAYS_EAGER = True
    checkpoint = note_checkpoint(make_training_job(project), str(weights(roots / "a.pth")), 1, 10, {})
    assert checkpoints.adopt(checkpoint)
    assert Checkpoint.objects.runnable().filter(pk=checkpoint.pk).exists()


def test_a_told_path_elsewhere_stays_a_path(project: Project, roots: Path) -> None:
    assert not checkpoints.adopt(note_checkpoint(make_training_job(project), "/training/machine/a.pt", 1, 10, {}))


@pytest.mark.parametrize(("name", "content"), [("a.pt", b""), ("a.txt", b"x")])
def test_what_is_no_file_of_weights_is_refused(project: Project, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointRefused):
        register_path(project, tmp_path / name, Told())


def test_the_command_prints_the_id_alone_on_its_last_line(user: User, tmp_path: Path, capsys: Any) -> None:
    User.objects.filter(pk=user.pk).update(is_superuser=True)
    (tmp_path / "names.txt").write_text("a\nb\n")
    call_command(
        "register_checkpoint", weights(tmp_path / "a.pt", Evil()), framework="ultralytics", class_names=tmp_path / "names.txt"
    )
    made = Checkpoint.objects.get()
    assert capsys.readouterr().out.splitlines()[-1] == str(made.pk) and made.class_names == ["a", "b"]


def test_the_command_lists_jobs_where_there_is_none_of_that_id(project: Project, tmp_path: Path) -> None:
    make_training_job(project, "nightly")
    with pytest.raises(CommandError, match="nightly"):
        call_command("register_checkpoint", weights(tmp_path / "a.pt"), job="weekly")


# --- Which one is meant ----------------------------------------------------------------------------------------------
@pytest.fixture
def job(project: Project) -> Any:
    job = make_training_job(project, config={})
    for epoch, score in [(1, 0.5), (2, 0.9), (3, 0.7)]:
        make_checkpoint(
            project, job=job, epoch=epoch, step=epoch * 10, path=str(epoch), metrics={"val/loss": score, "note": "x"}
        )
    return job


def test_last_and_epochs(job: Any) -> None:
    assert resolve(job, "last").epoch == 3 and resolve(job, "2").epoch == 2


def test_best_by_a_known_metric_with_its_direction(job: Any) -> None:
    assert resolve(job, "best").epoch == 1


def test_best_by_the_metric_of_the_config(job: Any) -> None:
    job.config = {"metric": "val/loss", "greater_is_better": True}
    assert resolve(job).epoch == 2


@pytest.mark.parametrize("wanted", ["7", "first", "nan"])
def test_what_does_not_exist_is_answered_with_what_does(job: Any, wanted: str) -> None:
    with pytest.raises(NoSuchCheckpoint) as refused:
        resolve(job, wanted)
    assert "best, last, 1, 2, 3" in refused.value.remedy


def test_a_job_whose_files_are_elsewhere_says_so(project: Project) -> None:
    job = make_training_job(project)
    note_checkpoint(job, "/elsewhere/a.pt", 1, 10, {})
    with pytest.raises(NoSuchCheckpoint, match="told of 1"):
        resolve(job)


# --- No other file is loaded -----------------------------------------------------------------------------------------
def test_a_file_that_changed_is_not_loaded(project: Project, tmp_path: Path) -> None:
    made = register_path(project, weights(tmp_path / "a.pth"), Told())
    weights(tmp_path / "a.pth", {"b": 2})
    with pytest.raises(AdapterError, match="has changed since"), loading.verified_copy(made):
        pass


def test_what_is_loaded_is_a_copy_that_goes(project: Project, tmp_path: Path) -> None:
    made = register_path(project, weights(tmp_path / "a.pth"), Told())
    with loading.verified_copy(made) as copy:
        assert copy.read_bytes() == (tmp_path / "a.pth").read_bytes()
    assert not copy.exists()


def test_a_file_that_is_gone_says_so(project: Project, tmp_path: Path) -> None:
    made = register_path(project, weights(tmp_path / "a.pth"), Told())
    (tmp_path / "a.pth").unlink()
    with pytest.raises(AdapterError, match="cannot be read"), loading.verified_copy(made):
        pass


# --- Trust -----------------------------------------------------------------------------------------------------------
def test_only_staff_with_the_permission_trusts(project: Project, user: User, client_of: Any) -> None:
    checkpoint = make_checkpoint(project)
    url = f"/checkpoints/{checkpoint.pk}/trust/"
    assert client_of(user).post(url, {"note": "mine"}).status_code == 403
    User.objects.filter(pk=user.pk).update(is_staff=True)
    assert client_of(User.objects.get(pk=user.pk)).post(url, {"note": "mine"}).status_code == 403
    assert not TrustedWeights.objects.exists()
    user.user_permissions.add(Permission.objects.get(codename="add_trustedweights"))
    assert (
        client_of(User.objects.get(pk=user.pk)).post(url, {"note": ""}).status_code == 302
        and not TrustedWeights.objects.exists()
    )
    client_of(User.objects.get(pk=user.pk)).post(url, {"note": "mine"})
    assert TrustedWeights.objects.get().sha256 == checkpoint.sha256


# --- API and pages ---------------------------------------------------------------------------------------------------
@pytest.fixture
def client(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_a_file_is_registered_by_the_api(project: Project, client: Client, tmp_path: Path) -> None:
    file = SimpleUploadedFile("a.pth", weights(tmp_path / "a.pth").read_bytes())
    answer = client.post("/api/inference/checkpoints/", {"file": file, "project": project.slug, "class_names": ["a", "b"]})
    assert answer.status_code == 201 and answer.json()["class_names"] == ["a", "b"] and answer.json()["is_runnable"]
    assert default_storage.exists(Checkpoint.objects.get().file)


def test_the_api_takes_paths_inside_the_roots_only(project: Project, client: Client, roots: Path) -> None:
    weights(roots / "a.pth")
    send = {"project": project.slug, "path": "a.pth"}
    assert client.post("/api/inference/checkpoints/", send, content_type="application/json").status_code == 201
    refused = client.post("/api/inference/checkpoints/", send | {"path": "/etc/passwd"}, content_type="application/json")
    assert refused.status_code == 400 and "outside" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ('"step": 1000000000000000000000000000000', 400),
        ('"preprocessing": {"imgsz\\u0000": 1e400}', 201),
        ('"metrics": {"loss\\u0000": 1.5}', 201),
    ],
)
def test_what_no_column_holds_is_no_error_of_the_server(
    project: Project, client: Client, roots: Path, told: str, status: int
) -> None:
    weights(roots / "a.pth")
    sent = f'{{"project": "{project.slug}", "path": "a.pth", {told}}}'
    assert client.post("/api/inference/checkpoints/", sent, content_type="application/json").status_code == status


def test_deleting_takes_the_uploaded_file_along(
    project: Project, client: Client, tmp_path: Path, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    file = SimpleUploadedFile("a.pth", weights(tmp_path / "a.pth").read_bytes())
    made = client.post("/api/inference/checkpoints/", {"file": file, "project": project.slug}).json()
    stored = Checkpoint.objects.get().file
    with django_capture_on_commit_callbacks(execute=True):
        assert client.delete(f"/api/inference/checkpoints/{made['id']}/").status_code == 204
    assert not default_storage.exists(stored)


@pytest.mark.parametrize(("query", "found"), [("framework=timm", 1), ("task_type=detection", 1), ("job=nightly", 1), ("", 2)])
def test_the_list_is_filtered(project: Project, client: Client, query: str, found: int) -> None:
    make_checkpoint(project, framework="timm", task_type="classification")
    make_checkpoint(project, job=make_training_job(project, "nightly"))
    assert len(client.get(f"/api/inference/checkpoints/?{query}").json()["results"]) == found


def test_the_page_registers_a_file(project: Project, client: Client, tmp_path: Path) -> None:
    file = SimpleUploadedFile("a.pth", weights(tmp_path / "a.pth").read_bytes())
    answer = client.post(f"/projects/{project.slug}/checkpoints/new/", {"file": file, "framework": "", "class_names": "a\nb"})
    assert answer.status_code == 302 and Checkpoint.objects.get().class_names == ["a", "b"]


def test_the_page_says_what_blocks_a_file(project: Project, client: Client, tmp_path: Path) -> None:
    made = register_path(project, weights(tmp_path / "a.pt", Evil()), Told(framework="ultralytics"))
    page = client.get(f"/checkpoints/{made.pk}/").content.decode()
    assert "blocked" in page and f"{os.system.__module__}.system" in page and "Trust exactly" not in page


def test_the_list_costs_the_same_for_ten_and_twenty(
    project: Project, client: Client, django_assert_max_num_queries: Any
) -> None:
    def count() -> int:
        with django_assert_max_num_queries(50) as queries:
            assert client.get(f"/projects/{project.slug}/checkpoints/").status_code == 200
        return len(queries)

    job = make_training_job(project)
    for number in range(10):
        make_checkpoint(project, job=job, step=number, path=str(number))
    count()
    before = count()
    for number in range(10, 20):
        make_checkpoint(project, job=job, step=number, path=str(number))
    assert count() == before


def test_a_stranger_sees_no_checkpoint(project: Project, client_of: Any) -> None:
    checkpoint = make_checkpoint(project)
    assert client_of(make_user("mallory")).get(f"/checkpoints/{checkpoint.pk}/").status_code == 404


def test_the_web_process_never_imports_torch() -> None:
    code = (
        "import django, sys; django.setup(); import config.urls, config.api_urls, inference.tasks; "
        "assert not {'torch', 'timm', 'ultralytics', 'onnxruntime', 'cv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"})
