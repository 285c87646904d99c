"""Inference by API: answers, and every way a request can be wrong, by file where files are to blame."""

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from PIL import Image

from accounts.models import Role
from datasets.models import JobStatus
from inference import jobs, jobs_api, requests
from inference.models import InferenceJob
from tests.factories import make_category, make_dataset, make_project, make_sample, make_training_job, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_in_tmp")]
SINGLE, BATCH, JOBS = "/api/inference/single/", "/api/inference/batch/", "/api/inference/jobs/"


@pytest.fixture(autouse=True)
def worker_at_hand(monkeypatch: pytest.MonkeyPatch, work) -> None:
    """Who waits for a job has it done, in this process."""
    monkeypatch.setattr(jobs, "wait_for", lambda job, seconds: bool(work(job)))


@pytest.fixture
def no_worker(monkeypatch: pytest.MonkeyPatch, worker_at_hand: None) -> list[float]:
    """The seconds that somebody waited in vain."""
    waited: list[float] = []
    monkeypatch.setattr(jobs, "wait_for", lambda job, seconds: bool(waited.append(seconds)))
    monkeypatch.setattr(jobs, "is_served", lambda queue: False)
    monkeypatch.setattr(jobs_api, "is_served", lambda queue: False)
    return waited


@pytest.fixture
def client(client_of, user) -> Client:
    return client_of(user)


def picture(name: str = "a.png", colour=(200, 10, 10)) -> SimpleUploadedFile:
    Image.new("RGB", (32, 24), colour).save(file := io.BytesIO(), "PNG")
    return SimpleUploadedFile(name, file.getvalue(), "image/png")


def text(name: str = "notes.png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, b"hello", "image/png")


def enormous(name: str = "huge.png") -> SimpleUploadedFile:
    """A PNG that says it has ten thousand million pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return SimpleUploadedFile(name, content + struct.pack(">I", 0) + b"IEND\xaeB`\x82", "image/png")


def half(name: str = "half.png") -> SimpleUploadedFile:
    """Its header is whole."""
    return SimpleUploadedFile(name, picture().read()[:45], "image/png")


def by_file(answer: Any) -> dict[str, str]:
    return {each["field"]: each["reason"] for each in answer.json()["errors"]}


# --- One image ---------------------------------------------------------------------------------------------------------
def test_an_image_is_answered_as_one_object(client, make_checkpoint) -> None:
    answer = client.post(SINGLE, {"checkpoint_id": make_checkpoint().pk, "image": picture()})
    told = answer.json()
    assert answer.status_code == 200 and (told["label"], told["state"], told["name"]) == ("red", "done", "a.png")
    assert told["visualization"].startswith("http://testserver/") and told["inference_ms"] >= 0
    assert client.get(told["visualization"]).headers["Content-Type"] == "image/jpeg"


def test_settings_choose_the_objects(client, make_checkpoint) -> None:
    sent = {"checkpoint_id": make_checkpoint(task_type="detection").pk}
    counts = [
        client.post(SINGLE, sent | chosen | {"image": picture(colour=(150, 0, 240))}).json()["object_count"]
        for chosen in ({}, {"confidence": 0.9}, {"confidence": 1})
    ]
    assert counts == [2, 1, 0]


@pytest.mark.parametrize(
    ("chosen", "field"),
    [({"confidence": 1.1}, "confidence"), ({"iou": -1}, "iou"), ({"max_objects": 0}, "max_objects"), ({"confidence": "x"}, "confidence")],
)  # fmt: skip
def test_settings_out_of_their_range_are_refused_by_name(client, make_checkpoint, chosen, field: str) -> None:
    answer = client.post(SINGLE, {"checkpoint_id": make_checkpoint().pk, "image": picture()} | chosen)
    assert answer.status_code == 400 and set(by_file(answer)) == {field} and not InferenceJob.objects.exists()


def test_a_checkpoint_that_is_not_there_is_404_with_those_that_are(client, make_checkpoint) -> None:
    there = make_checkpoint("there")
    for url, files in [(SINGLE, {"image": picture()}), (BATCH, {"images": [picture()]})]:
        answer = client.post(url, {"checkpoint_id": 999_999} | files)
        assert answer.status_code == 404 and f"There are: {there.pk} (there)" in answer.json()["detail"]


def test_a_training_job_that_is_not_there_is_404_with_those_that_are(client, project) -> None:
    make_training_job(project, "nightly")
    answer = client.post(SINGLE, {"training_job_id": "weekly", "image": picture()})
    assert answer.status_code == 404 and "nightly" in str(answer.json())


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("best", "No checkpoint of nightly says how good it is"),
        ("7", "There are: best, last, 3."),
        ("newest", "no checkpoint 'newest'"),
    ],
)
def test_a_training_job_s_checkpoint_that_is_not_there_is_404_with_those_that_are(
    client, project, make_checkpoint, wanted: str, told: str
) -> None:
    checkpoint = make_checkpoint()
    checkpoint.job, checkpoint.epoch = make_training_job(project, "nightly"), 3
    checkpoint.save()
    sent = {"training_job_id": "nightly", "checkpoint": wanted, "image": picture()}
    answer = client.post(SINGLE, sent)
    assert answer.status_code == 404 and told in " ".join([answer.json()["detail"], answer.json()["remedy"]])
    assert client.post(SINGLE, sent | {"checkpoint": "3", "image": picture()}).status_code == 200


def test_a_training_job_without_weights_says_so(client, project) -> None:
    make_training_job(project, "nightly")
    answer = client.post(SINGLE, {"training_job_id": "nightly", "image": picture()})
    assert answer.status_code == 404 and "no checkpoint that can be run here" in answer.json()["detail"]


@pytest.mark.parametrize("chosen", [{}, {"checkpoint_id": 1, "training_job_id": "nightly"}])
def test_exactly_one_way_to_name_a_checkpoint(client, chosen) -> None:
    answer = client.post(SINGLE, chosen | {"image": picture()})
    assert answer.status_code == 400 and "either checkpoint_id or training_job_id" in answer.json()["detail"]


def test_a_stranger_s_checkpoint_does_not_exist_and_a_viewer_may_not_run_it(client_of, project, make_checkpoint) -> None:
    stranger, viewer = make_user("stranger"), make_user("viewer")
    project.memberships.create(user=viewer, role=Role.VIEWER)
    checkpoint = make_checkpoint()
    for person, status in [(stranger, 404), (viewer, 403)]:
        answer = client_of(person).post(SINGLE, {"checkpoint_id": checkpoint.pk, "image": picture()})
        assert answer.status_code == status and "shades" not in answer.json()["detail"]


@pytest.mark.parametrize(
    ("file", "status", "told"),
    [(text, 400, "not an image"), (enormous, 413, "too many pixels"), (half, 400, "cannot be decoded")],
)
def test_a_file_that_cannot_be_run_is_refused_by_name(client, make_checkpoint, file, status: int, told: str) -> None:
    answer = client.post(SINGLE, {"checkpoint_id": make_checkpoint().pk, "image": file()})
    (name, reason), *others = by_file(answer).items()
    assert answer.status_code == status and name == file().name and told in reason and not others
    assert answer.headers["Content-Type"] == "application/problem+json" and answer.json()["remedy"]


def test_a_request_without_an_image_names_the_field(client, make_checkpoint) -> None:
    answer = client.post(SINGLE, {"checkpoint_id": make_checkpoint().pk})
    assert answer.status_code == 400 and set(by_file(answer)) == {"image"}


def test_more_bytes_than_the_server_takes_are_413(client, make_checkpoint, settings) -> None:
    settings.MAX_UPLOAD_BYTES = 10
    sent = {"checkpoint_id": make_checkpoint().pk, "image": SimpleUploadedFile("a.png", bytes(3 * 1024**2))}
    answer = client.post(SINGLE, sent)
    assert answer.status_code == 413 and "TOUCHSTONE_MAX_UPLOAD_MB" in answer.json()["detail"]


def test_weights_that_may_not_be_loaded_are_told(client, make_checkpoint) -> None:
    checkpoint = make_checkpoint()
    Path(checkpoint.path).write_text("another file")
    answer = client.post(SINGLE, {"checkpoint_id": checkpoint.pk, "image": picture()})
    assert answer.status_code == 400 and "has changed since it was registered" in answer.json()["detail"]


# --- Many images ---------------------------------------------------------------------------------------------------------
def test_a_batch_is_accepted_and_its_results_are_read(client, make_checkpoint, work) -> None:
    sent = {"checkpoint_id": make_checkpoint().pk, "images": [picture("r.png"), picture("g.png", (0, 200, 0)), half()]}
    answer = client.post(BATCH, sent)
    assert answer.status_code == 202 and (answer.json()["status"], answer.json()["image_count"]) == ("pending", 3)
    work(InferenceJob.objects.get())
    job = client.get(f"{JOBS}{answer.json()['id']}/").json()
    assert (job["status"], job["done_count"], job["failed_count"]) == ("completed", 2, 1)
    results = client.get(f"{JOBS}{job['id']}/results/").json()["results"]
    assert [(each["name"], each["state"], each["label"]) for each in results] == [
        ("r.png", "done", "red"), ("g.png", "done", "green"), ("half.png", "failed", ""),
    ]  # fmt: skip
    assert "cannot be decoded" in results[2]["error"]


def test_bad_files_of_a_batch_are_named_one_by_one_and_nothing_is_stored(client, make_checkpoint) -> None:
    files = [picture("good.png"), text("one.png"), text("two.jpg")]
    answer = client.post(BATCH, {"checkpoint_id": make_checkpoint().pk, "images": files})
    assert answer.status_code == 400 and set(by_file(answer)) == {"one.png", "two.jpg"}
    assert "2 of 3 files" in answer.json()["detail"] and not InferenceJob.objects.exists()
    answer = client.post(BATCH, {"checkpoint_id": make_checkpoint().pk, "images": [text("one.png"), enormous()]})
    assert answer.status_code == 413 and set(by_file(answer)) == {"one.png", "huge.png"}


def test_more_images_than_one_request_holds_are_413(client, make_checkpoint, monkeypatch) -> None:
    monkeypatch.setattr(requests, "MOST_IMAGES", 2)
    answer = client.post(BATCH, {"checkpoint_id": make_checkpoint().pk, "images": [picture(f"{n}.png") for n in range(3)]})
    assert answer.status_code == 413 and "one ZIP" in answer.json()["remedy"]


def test_more_files_than_the_server_takes_are_413(client, make_checkpoint, settings) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FILES = 2
    answer = client.post(BATCH, {"checkpoint_id": make_checkpoint().pk, "images": [picture(f"{n}.png") for n in range(3)]})
    assert answer.status_code == 413


@pytest.mark.parametrize("chosen", [{}, {"images": [picture()], "sample_ids": [1]}])
def test_exactly_one_source_of_images(client, make_checkpoint, chosen) -> None:
    answer = client.post(BATCH, {"checkpoint_id": make_checkpoint().pk} | chosen)
    assert answer.status_code == 400 and "exactly one of" in answer.json()["detail"]


def test_an_archive_that_is_none_fails_in_words(client, make_checkpoint, work) -> None:
    answer = client.post(BATCH, {"checkpoint_id": make_checkpoint().pk, "archive": text("images.zip")})
    work(InferenceJob.objects.get())
    job = client.get(f"{JOBS}{answer.json()['id']}/").json()
    assert job["status"] == "failed" and "not a ZIP archive" in job["error"]


def test_an_archive_is_a_batch(client, make_checkpoint, work) -> None:
    with zipfile.ZipFile(packed := io.BytesIO(), "w") as archive:
        archive.writestr("a.png", picture().read())
    sent = {"checkpoint_id": make_checkpoint().pk, "archive": SimpleUploadedFile("images.zip", packed.getvalue())}
    assert client.post(BATCH, sent).status_code == 202
    assert work(InferenceJob.objects.get()).done_count == 1


def stored(dataset, name: str = "s.png"):
    return make_sample(dataset, image=default_storage.save(f"images/{name}", ContentFile(picture().read())), image_format="PNG")


def test_registered_images_are_named_by_id(client, project, make_checkpoint, work) -> None:
    mine, foreign = stored(make_dataset(project)), stored(make_dataset(make_project()))
    sent = {"checkpoint_id": make_checkpoint().pk, "sample_ids": [mine.pk]}
    assert client.post(BATCH, sent, content_type="application/json").status_code == 202
    answer = client.post(BATCH, sent | {"sample_ids": [mine.pk, foreign.pk]}, content_type="application/json")
    assert answer.status_code == 400 and f"no samples {foreign.pk}." in answer.json()["detail"]


# --- Datasets ------------------------------------------------------------------------------------------------------------
@pytest.fixture
def dataset(project):
    dataset = make_dataset(project)
    make_category(dataset, "rot")
    stored(dataset)
    dataset.splits.update(sample_count=1)
    return dataset


def test_a_split_becomes_a_run_with_the_classes_that_were_assigned(client, dataset, make_checkpoint, work) -> None:
    sent = {
        "checkpoint_id": make_checkpoint().pk,
        "dataset": dataset.pk,
        "split": "val",
        "class_mapping": {"red": "rot"},
        "max_objects": 5,
    }
    answer = client.post(JOBS, sent, content_type="application/json")
    assert answer.status_code == 202
    work(InferenceJob.objects.get())
    job = client.get(f"{JOBS}{answer.json()['id']}/").json()
    assert (job["status"], job["lacking"], job["settings"]["max_objects"]) == ("completed", {}, 5) and job["run_id"]


@pytest.mark.parametrize(
    ("changes", "status", "told"),
    [({"split": "test"}, 404, "It has: val"), ({"dataset": 999_999}, 404, ""), ({"class_mapping": {"red": "blau"}}, 400, "There are: rot"),
     ({"class_mapping": {"mauve": "rot"}}, 400, "no class mauve")],
)  # fmt: skip
def test_what_a_dataset_job_cannot_be(client, dataset, make_checkpoint, changes, status: int, told: str) -> None:
    sent = {"checkpoint_id": make_checkpoint().pk, "dataset": dataset.pk, "split": "val"} | changes
    answer = client.post(JOBS, sent, content_type="application/json")
    assert answer.status_code == status and told in " ".join([answer.json()["detail"], answer.json()["remedy"]])
    assert not InferenceJob.objects.exists()


# --- Nobody there ----------------------------------------------------------------------------------------------------------
def test_without_a_worker_the_job_is_kept_and_says_so(client, make_checkpoint, no_worker) -> None:
    answer = client.post(SINGLE, {"checkpoint_id": make_checkpoint().pk, "image": picture()})
    assert answer.status_code == 202 and answer.json()["status"] == "pending" and sum(no_worker) < 5
    InferenceJob.objects.update(created_at=timezone.now() - 2 * jobs.UNREMARKABLE)
    assert client.get(f"{JOBS}{answer.json()['id']}/").json()["waiting"] == "no_worker"
    assert client.get(JOBS).json()["results"][0]["waiting"] == "no_worker"


def test_behind_other_work_the_job_says_so(client, user, make_checkpoint, make_image, monkeypatch) -> None:
    monkeypatch.setattr(jobs, "is_served", lambda queue: True)
    job = requests.make_image_job(user, make_checkpoint(), [make_image()], {})
    assert client.get(f"{JOBS}{job.pk}/").json()["waiting"] == ""
    InferenceJob.objects.update(created_at=timezone.now() - 2 * jobs.UNREMARKABLE)
    assert client.get(f"{JOBS}{job.pk}/").json()["waiting"] == "queue"


# --- Ending ----------------------------------------------------------------------------------------------------------------
def test_cancelling_twice_is_a_conflict_and_deleting_ends_it(client, user, make_checkpoint, make_image) -> None:
    job = requests.make_image_job(user, make_checkpoint(), [make_image()], {})
    assert client.post(f"{JOBS}{job.pk}/cancel/").json()["status"] == JobStatus.CANCELLED
    assert client.post(f"{JOBS}{job.pk}/cancel/").status_code == 409
    assert client.delete(f"{JOBS}{job.pk}/").status_code == 204 and client.get(f"{JOBS}{job.pk}/").status_code == 404


def test_results_are_filtered_and_nonsense_is_named(client, user, make_checkpoint, make_image, work) -> None:
    images = [make_image("r.png"), make_image("g.png", (0, 200, 0))]
    job = work(requests.make_image_job(user, make_checkpoint(), images, {}))
    url = f"{JOBS}{job.pk}/results/"
    assert [each["name"] for each in client.get(f"{url}?label=green&confidence=0.5&state=done").json()["results"]] == ["g.png"]
    answer = client.get(f"{url}?confidence=much")
    assert answer.status_code == 400 and set(by_file(answer)) == {"confidence"}
