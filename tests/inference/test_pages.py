"""Pages of inference: try it, batches, the history, results and downloads."""

import csv
import io
import json
import zipfile
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from PIL import Image

from datasets import workers
from inference import jobs, requests
from inference.models import InferenceJob, InferenceKind, InferenceResult
from predictions.models import PredictionRun
from tests.factories import make_category, make_dataset, make_sample

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_in_tmp")]


@pytest.fixture(autouse=True)
def worker_at_hand(monkeypatch: pytest.MonkeyPatch, work) -> list[int]:
    """Who waits for a job has it done, in this process."""
    asked: list[int] = []
    monkeypatch.setattr(jobs, "wait_for", lambda job, seconds: asked.append(job.pk) or bool(work(job)))
    monkeypatch.setattr(workers.last, "served", lambda: {"gpu": 1})
    return asked


@pytest.fixture
def client(client_of, user) -> Client:
    return client_of(user)


def upload(name: str = "a.png", colour=(200, 10, 10)) -> SimpleUploadedFile:
    Image.new("RGB", (32, 24), colour).save(file := io.BytesIO(), "PNG")
    return SimpleUploadedFile(name, file.getvalue(), "image/png")


def try_url(project) -> str:
    return reverse("inference:try", args=[project.slug])


def test_a_project_without_checkpoints_says_what_to_do(client, project) -> None:
    assert "No checkpoint to run yet" in client.get(try_url(project)).content.decode()


def test_an_image_is_answered_in_place(client, project, make_checkpoint) -> None:
    sent = {"checkpoint": make_checkpoint().pk, "image": upload()}
    page = client.post(try_url(project), sent, headers={"HX-Request": "true"})
    text = page.content.decode()
    assert page.status_code == 200 and "<html" not in text
    assert "red" in text and "images/s" in text and 'data-status="completed"' in text


def test_two_checkpoints_answer_side_by_side(client, project, make_checkpoint) -> None:
    sent = {"checkpoint": make_checkpoint("one").pk, "beside": make_checkpoint("two").pk, "image": upload()}
    page = client.post(try_url(project), sent, headers={"HX-Request": "true"})
    assert page.content.decode().count('class="card answer"') == 2


def test_another_checkpoint_is_put_beside_an_answer(client, project, make_checkpoint, make_image, user, work) -> None:
    job = work(requests.make_image_job(user, make_checkpoint("one"), [make_image()], {}, single=True))
    other = make_checkpoint("two")
    page = client.post(reverse("inference:beside", args=[job.pk]), {"checkpoint": other.pk}, headers={"HX-Request": "true"})
    assert page.status_code == 200 and InferenceJob.objects.latest("pk").checkpoint == other


def test_the_checkpoint_is_remembered(client, project, make_checkpoint) -> None:
    first, _ = make_checkpoint("first"), make_checkpoint("second")
    client.post(try_url(project), {"checkpoint": first.pk, "image": upload()})
    assert f'value="{first.pk}" selected' in client.get(try_url(project)).content.decode()


def test_what_is_no_image_is_told_in_place(client, project, make_checkpoint) -> None:
    sent = {"checkpoint": make_checkpoint().pk, "image": SimpleUploadedFile("a.png", b"hello")}
    page = client.post(try_url(project), sent, headers={"HX-Request": "true"})
    assert page.status_code == 422 and "not an image" in page.content.decode()


def test_sliders_find_all_candidates_in_the_page(client, project, make_checkpoint) -> None:
    sent = {"checkpoint": make_checkpoint(task_type="detection").pk, "image": upload(colour=(140, 0, 250))}
    page = client.post(try_url(project), sent, headers={"HX-Request": "true"}).content.decode()
    data = json.loads(page.partition('type="application/json">')[2].partition("</script>")[0])
    assert [found["label"] for found in data["objects"]] == ["blue", "red"] and data["confidence"] == 0.25


def test_a_job_without_a_worker_says_so(client, make_checkpoint, make_image, user, monkeypatch) -> None:
    monkeypatch.setattr("inference.views.job_pages.is_served", lambda queue: False)
    job = requests.make_image_job(user, make_checkpoint(), [make_image()], {})
    InferenceJob.objects.update(created_at="2020-01-01T00:00Z")
    page = client.get(job.get_absolute_url()).content.decode()
    assert "No worker for models is running" in page and "nothing is lost" in page


def test_an_image_is_sent_on_to_a_dataset_once(client, project, make_checkpoint, make_image, user, work) -> None:
    dataset = make_dataset(project)
    job = work(requests.make_image_job(user, make_checkpoint(), [make_image()], {}, single=True))
    for _ in range(2):
        assert client.post(reverse("inference:keep", args=[job.results.get().pk]), {"dataset": dataset.pk}).status_code == 302
    sample = dataset.samples.get()
    dataset.refresh_from_db()
    assert (sample.split.name, sample.width, sample.height, dataset.sample_count) == ("tried", 32, 24, 1)
    jobs.delete_job(job)
    assert client.get(reverse("datasets:image", args=[sample.pk])).headers["Content-Type"] == "image/png"


# --- Batches -----------------------------------------------------------------------------------------------------------
def test_many_images_become_a_job(client, project, make_checkpoint, work) -> None:
    sent = {
        "checkpoint": make_checkpoint().pk,
        "confidence": 0.3,
        "iou": 0.6,
        "files": [upload(f"{n}.png") for n in range(120)],
    }
    page = client.post(reverse("inference:batch_new", args=[project.slug]), sent)
    job = work(InferenceJob.objects.get())
    assert page.status_code == 302 and (job.image_count, job.settings) == (120, {"confidence": 0.3, "iou": 0.6})


def test_a_zip_becomes_a_job(client, project, make_checkpoint, work) -> None:
    with zipfile.ZipFile(packed := io.BytesIO(), "w") as archive:
        archive.writestr("a/b.png", upload().read())
        archive.writestr("a/c.png", upload().read())
    files = [SimpleUploadedFile("shots.zip", packed.getvalue())]
    sent = {"checkpoint": make_checkpoint().pk, "confidence": 0.3, "iou": 0.6, "files": files}
    client.post(reverse("inference:batch_new", args=[project.slug]), sent)
    assert work(InferenceJob.objects.get()).image_count == 2


def test_files_that_are_none_are_named(client, project, make_checkpoint) -> None:
    files = [upload(), SimpleUploadedFile("notes.txt", b"hello")]
    sent = {"checkpoint": make_checkpoint().pk, "confidence": 0.3, "iou": 0.6, "files": files}
    page = client.post(reverse("inference:batch_new", args=[project.slug]), sent)
    assert page.status_code == 422 and "notes.txt" in page.content.decode() and not InferenceJob.objects.exists()


@pytest.fixture
def batch(user, make_checkpoint, make_image, work) -> InferenceJob:
    images = [
        make_image("r.png", (250, 0, 0)),
        make_image("g.png", (0, 180, 0)),
        make_image("=b.png", (0, 0, 250)),
        make_image("broken.png"),
    ]
    images[3].path.write_bytes(images[3].path.read_bytes()[:45])
    return work(requests.make_image_job(user, make_checkpoint(task_type="detection"), images, {}))


@pytest.mark.parametrize(
    ("query", "names"),
    [("", ["r.png", "g.png", "=b.png", "broken.png"]), ("?label=red", ["r.png"]), ("?confidence=0.9", ["r.png", "=b.png"]),
     ("?state=failed", ["broken.png"]), ("?confidence=nonsense&view=table", ["r.png", "g.png", "=b.png", "broken.png"])],
)  # fmt: skip
def test_results_are_filtered(client, batch, query: str, names: list[str]) -> None:
    page = client.get(batch.get_absolute_url() + query)
    assert [row.name for row in page.context["page"]] == names


def test_the_page_of_a_job_asks_as_often_for_many_images(
    client, make_checkpoint, make_image, user, work, django_assert_max_num_queries
) -> None:
    job = work(requests.make_image_job(user, make_checkpoint(), [make_image(f"{n}.png") for n in range(40)], {}))
    with django_assert_max_num_queries(12):
        client.get(job.get_absolute_url())


def read(response) -> bytes:
    return b"".join(response.streaming_content)


def test_results_come_as_files(client, batch) -> None:
    url = lambda form: reverse("inference:download", args=[batch.pk, form])  # noqa: E731
    table = list(csv.DictReader(io.StringIO(read(client.get(url("csv"))).decode())))
    assert [row["label"] for row in table] == ["red", "green", "blue", ""]
    assert table[2]["name"] == "'=b.png" and "cannot be decoded" in table[3]["error"]
    listed = json.loads(read(client.get(url("json"))))
    assert listed[0]["objects"][0]["bbox"] == [0, 0, 32, 24]
    coco = json.loads(read(client.get(url("coco"))))
    assert [each["category_id"] for each in coco["annotations"]] == [0, 1, 2] and coco["categories"][2] == {
        "id": 2,
        "name": "blue",
    }
    assert len(coco["images"]) == 4
    archive = zipfile.ZipFile(io.BytesIO(read(client.get(url("zip")))))
    assert archive.testzip() is None and sorted(archive.namelist()) == ["=b.jpg", "g.jpg", "r.jpg", "results.csv"]
    assert client.get(url("exe")).status_code == 404


def test_the_annotated_picture_follows_the_sliders(client, batch) -> None:
    row = batch.results.get(name="g.png")  # sure by 0.71
    url = reverse("inference:picture", args=[row.pk])
    with_box, without = (client.get(f"{url}?confidence={value}").content for value in (0.5, 0.9))
    assert with_box != without and Image.open(io.BytesIO(with_box)).size == (32, 24)


def test_a_strip_that_no_jpeg_holds_has_no_annotated_picture(client, make_checkpoint, make_image, user, work) -> None:
    image = make_image("strip.png", size=(1, 66_000))
    job = work(requests.make_image_job(user, make_checkpoint(), [image], {}))
    assert client.get(f"/inference/results/{job.results.get().pk}/picture.jpg").status_code == 404


def test_pictures_of_results_are_seen(client, batch) -> None:
    row = batch.results.get(name="r.png")
    assert client.get(reverse("inference:image", args=[row.pk])).headers["Content-Type"] == "image/png"
    assert client.get(reverse("inference:thumb", args=[row.pk, 160])).headers["Content-Type"] == "image/webp"
    assert "red" in client.get(reverse("inference:result", args=[row.pk])).content.decode()


# --- History -----------------------------------------------------------------------------------------------------------
def test_the_history_is_filtered(client, project, batch, make_checkpoint, make_image, user) -> None:
    other = make_checkpoint("other")
    requests.make_image_job(user, other, [make_image("x.png")], {})
    url = reverse("inference:list", args=[project.slug])
    for query, count in [
        ("", 2),
        ("?status=completed", 1),
        (f"?checkpoint={other.pk}", 1),
        ("?since=2999-01-01", 0),
        ("?since=x", 2),
    ]:
        assert len(client.get(url + query).context["page"]) == count, query


def test_jobs_are_repeated_cancelled_and_deleted(client, batch, work) -> None:
    client.post(reverse("inference:repeat", args=[batch.pk]))
    copy = InferenceJob.objects.exclude(pk=batch.pk).get()
    client.post(reverse("inference:cancel", args=[copy.pk]))
    copy.refresh_from_db()
    assert copy.status == "cancelled"
    client.post(reverse("inference:delete", args=[copy.pk]))
    assert not InferenceJob.objects.filter(pk=copy.pk).exists()


def test_a_dataset_is_run_from_its_page(client, project, make_checkpoint, make_image, work) -> None:
    dataset = make_dataset(project)
    make_category(dataset, "red")
    image = make_image("s.png", (250, 0, 0))
    from django.core.files import File
    from django.core.files.storage import default_storage

    with Path(image.path).open("rb") as file:
        name = default_storage.save("images/s.png", File(file))
    make_sample(dataset, image=name, image_format="PNG")
    dataset.splits.update(sample_count=1)
    split = dataset.splits.get()
    sent = {
        "checkpoint": make_checkpoint(task_type="detection").pk,
        "split": split.pk,
        "confidence": 0.25,
        "iou": 0.7,
        "name": "mine",
    }
    page = client.post(reverse("inference:dataset_new", args=[project.slug]), sent)
    job = work(InferenceJob.objects.get(kind=InferenceKind.DATASET))
    assert page.headers["Location"] == job.get_absolute_url()
    run = PredictionRun.objects.completed().get()
    assert run.name == "mine" and run.name in client.get(job.get_absolute_url()).content.decode()
    assert client.get(run.get_absolute_url()).status_code == 200
    result = client.get(reverse("inference:result", args=[InferenceResult.objects.get(job=job).pk]))
    assert result.context["objects"][0]["label"] == "red"
