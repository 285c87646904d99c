"""Pages of inference: try it, batches, the history, results and downloads."""

import csv
import io
import json
import zipfile
from pathlib import Path

import pytest
from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from PIL import Image

from datasets import workers
from inference import jobs, requests, results, runner, tasks
from inference.models import InferenceJob, InferenceKind, InferenceResult
from predictions import curation
from predictions.models import Checkpoint, PredictionRun, PredictionSet
from tests.factories import make_category, make_dataset, make_project, make_sample

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
    monkeypatch.setattr("inference.jobs.is_served", lambda queue: False)
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


def pasted(user, checkpoint, make_image, work, colour=(200, 10, 10)) -> InferenceResult:
    """What is pasted is always called the same."""
    job = work(requests.make_image_job(user, checkpoint, [make_image("image.png", colour)], {}, single=True))
    return job.results.get()


def test_an_image_is_sent_on_to_a_golden_set(client, project, make_checkpoint, make_image, user, work) -> None:
    dataset, checkpoint = make_dataset(project), make_checkpoint()
    golden = curation.create_set(project, user, "golden")
    for colour, chosen in [
        ((9, 9, 9), {"set": golden.pk}),
        ((200, 9, 9), {"new_set": "golden"}),
        ((9, 200, 9), {"new_set": "fresh"}),
    ]:
        result = pasted(user, checkpoint, make_image, work, colour)
        sent = {"dataset": dataset.pk} | chosen
        page = client.post(reverse("inference:keep", args=[result.pk]), sent, follow=True)
        assert "1 added" in page.content.decode()
    drafts = {each.name: curation.draft_of(each) for each in project_sets(project)}
    assert {
        name: [item.sample.external_id for item in draft.items.order_by("sample_index")] for name, draft in drafts.items()
    } == {
        "golden": [f"inference-{pk}" for pk in InferenceResult.objects.order_by("pk").values_list("pk", flat=True)[:2]],
        "fresh": [f"inference-{result.pk}"],
    }
    again = client.post(reverse("inference:keep", args=[result.pk]), sent, follow=True)
    assert "1 there already" in again.content.decode() and dataset.samples.count() == 3


def project_sets(project):
    return PredictionSet.objects.filter(project=project)


@pytest.mark.parametrize("chosen", [{"set": "none"}, {"set": "none", "new_set": "  "}, {}])
def test_without_a_golden_set_only_the_dataset_grows(client, project, make_checkpoint, make_image, user, work, chosen) -> None:
    dataset = make_dataset(project)
    result = pasted(user, make_checkpoint(), make_image, work)
    client.post(reverse("inference:keep", args=[result.pk]), {"dataset": dataset.pk} | chosen)
    assert dataset.samples.count() == 1 and not project_sets(project).exists()


@pytest.mark.parametrize(("chosen", "told"), [({"new_set": "a@b"}, "cannot name a set"), ({"set": ""}, "No set is chosen")])
def test_a_golden_set_that_cannot_be_is_refused_before_anything_is_kept(
    client, project, make_checkpoint, make_image, user, work, chosen, told
) -> None:
    dataset = make_dataset(project)
    result = pasted(user, make_checkpoint(), make_image, work)
    page = client.post(reverse("inference:keep", args=[result.pk]), {"dataset": dataset.pk} | chosen, follow=True)
    assert told in page.content.decode() and not dataset.samples.exists()


def test_another_project_s_golden_set_does_not_exist(client, project, make_checkpoint, make_image, user, work) -> None:
    dataset, foreign = make_dataset(project), curation.create_set(make_project(), None, "foreign")
    result = pasted(user, make_checkpoint(), make_image, work)
    sent = {"dataset": dataset.pk, "set": foreign.pk}
    assert client.post(reverse("inference:keep", args=[result.pk]), sent).status_code == 404
    assert not dataset.samples.exists()


def test_bones_are_those_of_the_project_s_datasets(project, user, make_checkpoint, make_image) -> None:
    make_category(make_dataset(project), "figure", keypoint_names=["head", "hip", "foot"], skeleton=[[1, 2], [2, 3], [3, 9]])
    make_category(make_dataset(make_project()), "stool", keypoint_names=["a", "b", "c"], skeleton=[[1, 3]])
    job = requests.make_image_job(user, make_checkpoint(), [make_image()], {}, single=True)
    poses = {
        name: {"label": name, "keypoints": [1.0, 2.0, 0.9] * count}
        for name, count in [("figure", 3), ("stool", 3), ("person", 17)]
    }
    bones = {name: results.with_skeleton(job, pose)["skeleton"] for name, pose in poses.items()}
    assert bones["figure"] == [(0, 1), (1, 2)] and bones["stool"] == [] and len(bones["person"]) == 19
    plain = {"label": "figure", "keypoints": None}
    assert results.with_skeleton(job, plain) == plain


def test_a_cancelled_job_says_what_became_of_it(client, user, make_checkpoint, make_image) -> None:
    job = requests.make_image_job(user, make_checkpoint(), [make_image()], {})
    jobs.cancel(job)
    assert "It was cancelled" in client.get(job.get_absolute_url()).content.decode()


# --- Where it looked -----------------------------------------------------------------------------------------------------
@pytest.fixture
def explained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Results that a worker is to explain."""
    asked: list[int] = []
    monkeypatch.setattr(tasks.explain_result, "apply_async", lambda args, priority: asked.append(*args))
    return asked


def test_where_it_looked_is_asked_for_once_and_waited_for(client, user, make_checkpoint, make_image, work, explained) -> None:
    result = pasted(user, make_checkpoint(), make_image, work)
    url = reverse("inference:heat", args=[result.pk])
    assert client.get(url).status_code == 202 and client.get(f"{url}?ask=no").status_code == 202
    assert explained == [result.pk]
    default_storage.save(results.heat_name(result), ContentFile(b"a picture"))
    assert client.get(url).headers["Content-Type"] == "image/png" and explained == [result.pk]


def test_why_nobody_can_say_where_it_looked(client, user, make_checkpoint, make_image, work, explained) -> None:
    result = pasted(user, make_checkpoint(), make_image, work)
    url = reverse("inference:heat", args=[result.pk])
    tasks.explain_result(result.pk)  # an adapter without a torch module
    answer = client.get(f"{url}?ask=no")
    assert answer.status_code == 409 and "has no torch module" in answer.content.decode()
    assert client.get(url).status_code == 202 and client.get(f"{url}?ask=no").status_code == 202, (
        "asked anew, it is looked into anew"
    )


def test_where_it_looked_without_its_weights(client, user, make_checkpoint, make_image, work, explained) -> None:
    checkpoint = make_checkpoint("gone")
    result = pasted(user, checkpoint, make_image, work)
    runner.loaded.close()
    Path(checkpoint.path).unlink()
    tasks.explain_result(result.pk)
    answer = client.get(reverse("inference:heat", args=[result.pk]) + "?ask=no")
    assert answer.status_code == 409 and "cannot be read" in answer.content.decode()


def test_where_it_looked_without_a_worker(client, user, make_checkpoint, make_image, work, explained, monkeypatch) -> None:
    monkeypatch.setattr("inference.views.pictures.is_served", lambda queue: False)
    result = pasted(user, make_checkpoint(), make_image, work)
    answer = client.get(reverse("inference:heat", args=[result.pk]))
    assert answer.status_code == 202 and "No worker" in answer.content.decode()


def test_a_detector_has_no_place_where_it_looked(client, user, make_checkpoint, make_image, work, explained) -> None:
    result = pasted(user, make_checkpoint(task_type="detection"), make_image, work)
    assert client.get(reverse("inference:heat", args=[result.pk])).status_code == 404 and not explained


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


# --- Classes of other names ----------------------------------------------------------------------------------------------
@pytest.fixture
def street(project, make_image):
    """Of a red and a green picture; what a checkpoint calls green is `leaf` here."""
    dataset = make_dataset(project)
    for name in ("red", "leaf"):
        make_category(dataset, name)
    for n, colour in enumerate([(250, 0, 0), (0, 250, 0)]):
        with Path(make_image("s.png", colour).path).open("rb") as file:
            make_sample(dataset, image=default_storage.save(f"images/{n}.png", File(file)), image_format="PNG")
    dataset.splits.update(sample_count=2)
    return dataset


def test_a_class_of_another_name_is_assigned(client, project, make_checkpoint, street, work) -> None:
    checkpoint, leaf = make_checkpoint(task_type="detection"), street.categories.get(name="leaf")
    url = reverse("inference:dataset_new", args=[project.slug])
    split = street.splits.get().pk
    page = client.get(f"{url}?checkpoint={checkpoint.pk}&split={split}").content.decode()
    assert f'name="class_{leaf.pk}"' in page and '<option value="green">' in page and '<option value="red">' not in page
    job = work(sent_job(client, url, checkpoint=checkpoint.pk, split=split, **{f"class_{leaf.pk}": "green"}))
    run = PredictionRun.objects.completed().get()
    assert run.category_counts == {str(street.categories.get(name="red").pk): 1, str(leaf.pk): 1} and not run.skipped
    assert job.settings["class_mapping"] == run.generation_params["class_mapping"] == {"green": "leaf"}


def sent_job(client, url, **sent) -> InferenceJob:
    assert client.post(url, sent).status_code == 302
    return InferenceJob.objects.latest("pk")


@pytest.mark.parametrize(("typed", "told"), [("grean", "no class grean. There are: blue, green, red."), ("red", "can become")])
def test_a_class_that_cannot_be_assigned_is_told_and_stays(client, project, make_checkpoint, street, typed, told) -> None:
    make_category(street, "cherry")
    checkpoint = make_checkpoint(task_type="detection")
    fields = {f"class_{each.pk}": typed for each in street.categories.exclude(name="red")[: 2 if typed == "red" else 1]}
    sent = {"checkpoint": checkpoint.pk, "split": street.splits.get().pk} | fields
    page = client.post(reverse("inference:dataset_new", args=[project.slug]), sent)
    text = page.content.decode()
    assert page.status_code == 422 and told in text and f'value="{typed}" list=' in text and not InferenceJob.objects.exists()


def test_the_classes_of_a_choice_come_as_a_fragment(client, project, make_checkpoint, street) -> None:
    checkpoint = make_checkpoint()
    url = reverse("inference:class_fit", args=[project.slug])
    chosen = f"{url}?checkpoint={checkpoint.pk}&split={street.splits.get().pk}"
    assert "1</span> of the dataset's classes" in client.get(chosen).content.decode()
    Checkpoint.objects.update(class_names=[])
    assert "known once it has run" in client.get(chosen).content.decode()
    street.categories.filter(name="leaf").delete()
    Checkpoint.objects.update(class_names=["red"])
    assert "knows the dataset's class by name" in client.get(chosen).content.decode().replace("\n", "")
    assert "fieldset" not in client.get(f"{url}?checkpoint=x&split=99999999999999999999").content.decode()


def test_settings_that_are_left_empty_are_as_usual(client, project, make_checkpoint, street) -> None:
    sent = {
        "checkpoint": make_checkpoint().pk,
        "split": street.splits.get().pk,
        "confidence": "",
        "iou": "0.55",
        "max_objects": "7",
    }
    job = sent_job(client, reverse("inference:dataset_new", args=[project.slug]), **sent)
    assert (job.asked.confidence, job.asked.iou, job.asked.max_objects) == (0.25, 0.55, 7)


def test_a_job_that_lacked_classes_leads_to_where_they_are_assigned(client, make_checkpoint, street, user, work) -> None:
    checkpoint = make_checkpoint(task_type="detection")
    job = work(requests.make_dataset_job(user, checkpoint, street, street.splits.get(), {"confidence": 0.001}))
    page = client.get(job.get_absolute_url()).content.decode()
    assert "1 green" in page and f"confidence=0.001&amp;iou=0.7&amp;max_objects=300&amp;checkpoint={checkpoint.pk}" in page
