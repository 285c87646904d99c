"""Jobs in one process: rows, chunks, runs of datasets, cancelling, deleting, repeating."""

import hashlib
import io
import zipfile
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.utils import timezone
from PIL import Image

from accounts.models import Membership, Role
from datasets.models import JobStatus, Upload
from datasets.recovery import ring_forgotten
from inference import jobs, requests, runner
from inference.claiming import STALE_AFTER, take
from inference.job_files import remove_orphans
from inference.models import ChunkStatus, InferenceChunk, InferenceJob, InferenceResult, ResultState, TrustedWeights
from inference.requests import IMAGES_PER_CHUNK, RequestRefused
from predictions.models import PredictedLabel, PredictedObject, PredictionRun
from tests.factories import make_category, make_dataset, make_project, make_sample, make_user
from tests.fakes import shades

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_in_tmp")]


def make_job(user, checkpoint, images, **settings) -> InferenceJob:
    return requests.make_image_job(user, checkpoint, images, settings)


# --- Images ----------------------------------------------------------------------------------------------------------
def test_a_batch_answers_for_every_image(user, make_checkpoint, make_image, work) -> None:
    images = [make_image(f"{n}.png", [(200, 0, 0), (0, 200, 0)][n % 2]) for n in range(70)]
    job = work(make_job(user, make_checkpoint(), images))
    assert (job.status, job.image_count, job.done_count, job.failed_count, job.progress_done) == ("completed", 70, 70, 0, 70)
    rows = list(InferenceResult.objects.filter(job=job))
    assert [row.label for row in rows] == ["red", "green"] * 35
    assert rows[0].top[0] == ["red", 1.0] and rows[0].name == "0.png" and rows[0].image_format == "PNG"
    assert min(row.inference_ms for row in rows) >= 0 and (rows[0].width, rows[0].height) == (32, 24)
    assert job.device and job.batch_size


def test_a_corrupt_image_is_an_error_of_its_own(user, make_checkpoint, make_image, work) -> None:
    images = [make_image("a.png"), make_image("b.png"), make_image("c.png")]
    images[1].path.write_bytes(images[1].path.read_bytes()[:45])  # its header is whole
    job = work(make_job(user, make_checkpoint(), images))
    assert (job.status, job.done_count, job.failed_count) == ("completed", 2, 1)
    assert job.results.get(name="b.png").state == ResultState.FAILED
    assert "cannot be decoded" in job.results.get(name="b.png").error


def test_what_is_no_image_is_refused_by_file(user, make_checkpoint, make_image) -> None:
    good, bad = make_image("a.png"), make_image("b.png")
    bad.path.write_text("hello")
    with pytest.raises(RequestRefused) as refused:
        make_job(user, make_checkpoint(), [good, bad])
    assert set(refused.value.files) == {"b.png"} and not InferenceJob.objects.exists()


def test_a_job_of_broken_images_alone_has_failed_in_words(user, make_checkpoint, make_image, work) -> None:
    image = make_image()
    image.path.write_bytes(image.path.read_bytes()[:45])
    job = work(make_job(user, make_checkpoint(), [image]))
    assert job.status == "failed" and "None of its 1 images" in job.error


def test_weights_that_cannot_be_loaded_fail_the_job_in_words(user, make_checkpoint, make_image, work) -> None:
    checkpoint = make_checkpoint()
    Path(checkpoint.path).write_text("nonsense")
    checkpoint.sha256 = hashlib.sha256(b"nonsense").hexdigest()
    checkpoint.save()
    TrustedWeights.objects.create(sha256=checkpoint.sha256)
    job = work(make_job(user, checkpoint, [make_image()]))
    assert job.status == "failed" and "no weights of shades" in job.error


def test_a_checkpoint_whose_weights_are_elsewhere_cannot_be_run(user, make_checkpoint, make_image) -> None:
    checkpoint = make_checkpoint()
    checkpoint.sha256 = ""
    with pytest.raises(RequestRefused, match="not on this server"):
        make_job(user, checkpoint, [make_image()])


def test_the_checkpoint_stays_loaded_between_jobs(user, make_checkpoint, make_image, work) -> None:
    checkpoint = make_checkpoint("kept")
    before = len(shades.loads)
    for _ in range(3):
        work(make_job(user, checkpoint, [make_image()]))
    assert len(shades.loads) == before + 1


def test_boxes_lie_in_the_upright_image(user, make_checkpoint, make_image, work) -> None:
    image = Image.new("RGB", (40, 20))
    image.paste((255, 0, 0), (0, 0, 10, 5))  # a corner of the stored picture
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    new = make_image("turned.png")
    image.save(new.path, exif=exif)
    job = work(make_job(user, make_checkpoint(task_type="detection"), [new]))
    row = job.results.get()
    assert (row.width, row.height) == (20, 40)
    assert row.objects_found[0]["bbox"] == [15.0, 0.0, 5.0, 10.0]


def test_a_single_image_keeps_its_candidates_and_tells_what_was_asked_for(user, make_checkpoint, make_image, work) -> None:
    new = make_image(colour=(150, 0, 240))
    job = work(requests.make_image_job(user, make_checkpoint(task_type="detection"), [new], {"confidence": 0.9}, single=True))
    row = job.results.get()
    assert [found["label"] for found in row.objects_found] == ["blue", "red"]
    assert (row.label, row.object_count) == ("blue", 1)


# --- Archives and samples ----------------------------------------------------------------------------------------------
def test_an_archive_is_unpacked_by_the_work(user, project, make_checkpoint, make_image, work) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for n in range(3):
            archive.write(make_image(f"{n}.png").path, f"shots/day/{n}.png")
        archive.writestr("shots/notes.txt", "no image")
    upload = Upload(project=project, owner=user, file_name="shots.zip", size=len(packed.getvalue()))
    upload.received = upload.size
    upload.path.parent.mkdir(parents=True, exist_ok=True)
    upload.path.write_bytes(packed.getvalue())
    upload.save()
    job = work(requests.make_archive_job(user, make_checkpoint(), upload, {}))
    assert (job.status, job.image_count) == ("completed", 3)
    assert [row.name for row in job.results.all()] == [f"day/{n}.png" for n in range(3)]


def test_a_hostile_archive_fails_the_job_in_words(user, project, make_checkpoint, work) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../evil.png", "x")
    upload = Upload(project=project, owner=user, file_name="evil.zip", size=len(packed.getvalue()))
    upload.received = upload.size
    upload.path.parent.mkdir(parents=True, exist_ok=True)
    upload.path.write_bytes(packed.getvalue())
    upload.save()
    job = work(requests.make_archive_job(user, make_checkpoint(), upload, {}))
    assert job.status == "failed" and "leads out of it" in job.error


def stored_sample(dataset, colour=(200, 10, 10), **fields):
    Image.new("RGB", (32, 24), colour).save(file := io.BytesIO(), "PNG")
    file.seek(0)
    return make_sample(dataset, image=default_storage.save("images/s.png", file), image_format="PNG", **fields)


def test_samples_are_answered_in_the_order_given(user, project, make_checkpoint, work) -> None:
    dataset = make_dataset(project)
    first, second = stored_sample(dataset, (0, 200, 0)), stored_sample(dataset, (0, 0, 200))
    job = work(requests.make_sample_job(user, make_checkpoint(), [second, first], {}))
    assert [row.label for row in job.results.all()] == ["blue", "green"]


def test_images_of_another_project_are_not_carried_into_this_one(user, project, make_checkpoint, client_of) -> None:
    """Its members would see them in the results, also where whoever asked may see both."""
    theirs = stored_sample(make_dataset(make_project(make_user("boss"))))
    Membership.objects.create(project=theirs.dataset.project, user=user, role=Role.VIEWER)
    mine = stored_sample(make_dataset(project))
    body = {"checkpoint_id": make_checkpoint().pk, "sample_ids": [mine.pk, theirs.pk]}
    answer = client_of(user).post("/api/inference/batch/", body, content_type="application/json")
    assert answer.status_code == 400 and f"no samples {theirs.pk}." in answer.json()["detail"]
    assert not InferenceJob.objects.exists()


# --- Datasets ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def dataset(project):
    dataset = make_dataset(project)
    for name in ("red", "green"):
        make_category(dataset, name)
    for n in range(40):
        stored_sample(dataset, [(250, 0, 0), (0, 250, 0), (0, 0, 250), (0, 0, 0)][n % 4])
    dataset.splits.update(sample_count=40)
    return dataset


def dataset_job(user, checkpoint, dataset, **settings) -> InferenceJob:
    return requests.make_dataset_job(user, checkpoint, dataset, dataset.splits.get(), settings)


def test_a_dataset_becomes_a_run_with_its_record(user, make_checkpoint, dataset, work) -> None:
    checkpoint = make_checkpoint(task_type="detection")
    job = dataset_job(user, checkpoint, dataset, confidence=0.5)
    assert not PredictionRun.objects.completed().exists()
    job = work(job)
    run = PredictionRun.objects.completed().get()
    assert (run.origin, run.name, run.split, run.prediction_count) == ("inference", "shades", dataset.splits.get(), 20)
    by_name = {row.name: run.category_counts.get(str(row.pk)) for row in dataset.categories.all()}
    assert by_name == {"red": 10, "green": 10}
    assert (run.skipped, run.skipped_count) == ({"unknown_category": 10}, 10) and job.report["lacking"] == {"blue": 10}
    facts = run.generation_params
    assert facts["checkpoint"]["sha256"] == checkpoint.sha256 and facts["class_names"] == shades.COLOURS
    assert facts["settings"]["confidence"] == 0.5 and facts["versions"]["numpy"] and facts["batch_size"] >= 1
    dataset.refresh_from_db()
    assert dataset.prediction_count == 20
    found = PredictedObject.objects.filter(run=run).first()
    assert (found.x, found.y, found.width, found.height, round(found.score, 2)) == (0, 0, 32, 24, 0.98)


def test_a_classifier_writes_its_first_choice_and_all_probabilities(user, make_checkpoint, dataset, work) -> None:
    work(dataset_job(user, make_checkpoint(), dataset))
    run = PredictionRun.objects.completed().get()
    labels = PredictedLabel.objects.filter(run=run)
    assert labels.count() == 40 and labels.first().probabilities == [1.0, 0.0, 0.0]
    found = PredictedObject.objects.filter(run=run).first()
    assert (found.x, found.score, found.category.name) == (None, 1.0, "red")


def test_a_name_that_is_taken_gets_a_number(user, make_checkpoint, dataset, work) -> None:
    for _ in range(2):
        work(dataset_job(user, make_checkpoint(), dataset))
    assert [run.name for run in PredictionRun.objects.completed()] == ["shades", "shades (2)"]


def test_a_class_name_that_two_categories_share_is_not_guessed(user, make_checkpoint, dataset, work) -> None:
    make_category(dataset, "red")
    job = work(dataset_job(user, make_checkpoint(task_type="detection"), dataset))
    assert job.report["lacking"] == {"blue": 10, "red": 10}


def test_images_that_go_meanwhile_take_no_predictions(user, make_checkpoint, dataset, work) -> None:
    job = dataset_job(user, make_checkpoint(task_type="detection"), dataset)
    dataset.samples.first().delete()
    job = work(job)
    assert (job.status, job.done_count) == ("completed", 39)


def test_cancelling_leaves_nothing_of_the_run(user, make_checkpoint, dataset, monkeypatch) -> None:
    monkeypatch.setattr(runner, "SECONDS_PER_RUN", 0)  # one chunk of two
    job = dataset_job(user, make_checkpoint(task_type="detection"), dataset)
    runner.run_some(job.pk, lambda pk: None)
    assert PredictedObject.objects.exists()
    job.refresh_from_db()
    jobs.cancel(job)
    assert not PredictedObject.objects.exists() and not PredictionRun.objects.exists()
    with pytest.raises(jobs.JobEnded):
        jobs.cancel(job)


def test_a_cancelled_job_is_not_gone_on_with(user, make_checkpoint, dataset, work) -> None:
    job = dataset_job(user, make_checkpoint(), dataset)
    jobs.cancel(job)
    assert work(job).status == "cancelled"


def test_another_project_s_checkpoint_cannot_write_into_a_dataset(user, make_checkpoint) -> None:
    dataset = make_dataset()
    stored_sample(dataset)
    dataset.splits.update(sample_count=1)
    with pytest.raises(RequestRefused, match="different projects"):
        dataset_job(user, make_checkpoint(), dataset)


# --- Sharing and losing ------------------------------------------------------------------------------------------------
def begun(user, make_checkpoint, make_image, count: int = 80) -> InferenceJob:
    job = make_job(user, make_checkpoint(), [make_image(f"{n}.png") for n in range(count)])
    assert job.claim()
    return job


def test_no_two_workers_take_the_same_chunk(user, make_checkpoint, make_image) -> None:
    job = begun(user, make_checkpoint, make_image)
    taken = [take(job, 2), take(job, 2), take(job, 2)]
    assert [[chunk.first for chunk in claim.chunks] for claim in taken if claim] == [[0, 32], [64]]
    assert taken[2] is None


def test_chunks_of_a_dead_worker_are_taken_anew(user, make_checkpoint, make_image, work) -> None:
    job = begun(user, make_checkpoint, make_image)
    take(job, 1)
    work(job)
    job.refresh_from_db()
    assert (job.status, job.done_count) == ("running", 80 - IMAGES_PER_CHUNK)
    long_ago = timezone.now() - 10 * STALE_AFTER
    InferenceChunk.objects.filter(status=ChunkStatus.RUNNING).update(heartbeat_at=long_ago)
    InferenceJob.objects.update(heartbeat_at=long_ago)
    ring_forgotten()
    assert work(job).status == "completed"
    assert job.results.filter(state=ResultState.DONE).count() == job.done_count == 80


def test_a_worker_that_comes_back_too_late_writes_nothing(user, make_checkpoint, make_image, work) -> None:
    job = begun(user, make_checkpoint, make_image, 10)
    late = take(job, 1)
    InferenceChunk.objects.update(heartbeat_at=timezone.now() - 10 * STALE_AFTER)
    work(job)
    with pytest.raises(runner.JobCancelled):
        runner._run(late)
    job.refresh_from_db()
    assert job.done_count == 10


def test_images_that_cost_three_workers_are_given_up(user, make_checkpoint, make_image, work) -> None:
    job = begun(user, make_checkpoint, make_image)
    job.chunks.filter(first=32).update(attempts=3)
    work(job)
    assert (job.status, job.done_count, job.failed_count) == ("completed", 48, 32)
    assert "lost 3 times" in job.results.get(position=40).error


def test_a_job_that_has_cost_three_workers_before_anything_is_done_has_failed(user, make_checkpoint, make_image, work) -> None:
    job = begun(user, make_checkpoint, make_image)
    for _ in range(3):
        take(job, 64)
        InferenceChunk.objects.filter(status="running").update(heartbeat_at=timezone.now() - 10 * STALE_AFTER)
    assert work(job).status == "failed" and "memory enough" in job.error


def test_one_lost_worker_with_many_chunks_is_one(user, make_checkpoint, make_image, work) -> None:
    job = begun(user, make_checkpoint, make_image)
    take(job, 64)
    InferenceChunk.objects.filter(status="running").update(heartbeat_at=timezone.now() - 10 * STALE_AFTER)
    assert work(job).status == "completed" and job.done_count == 80


# --- Going -------------------------------------------------------------------------------------------------------------
def test_deleting_takes_rows_and_files(user, make_checkpoint, make_image, work, django_capture_on_commit_callbacks) -> None:
    job = work(make_job(user, make_checkpoint(), [make_image()]))
    name = job.results.get().image
    assert default_storage.exists(name)
    with django_capture_on_commit_callbacks(execute=True):
        jobs.delete_job(job)
    assert not default_storage.exists(name) and not InferenceResult.objects.exists()


def test_a_completed_run_outlives_its_job(user, make_checkpoint, dataset, work) -> None:
    jobs.delete_job(work(dataset_job(user, make_checkpoint(), dataset)))
    assert PredictionRun.objects.completed().count() == 1


def test_files_of_jobs_that_went_with_their_checkpoint_are_swept(user, make_checkpoint, make_image, work) -> None:
    checkpoint = make_checkpoint()
    kept = make_job(user, make_checkpoint("other"), [make_image()])
    gone = make_job(user, checkpoint, [make_image("b.png")])
    name = gone.results.get().image
    checkpoint.delete()
    assert remove_orphans() == 1
    assert not default_storage.exists(name) and default_storage.exists(kept.results.get().image)


def test_a_job_is_repeated_with_files_of_its_own(user, make_checkpoint, make_image, work) -> None:
    job = make_job(user, make_checkpoint(), [make_image("a.png"), make_image("b.png", (0, 200, 0))], confidence=0.5)
    other = make_checkpoint("other")
    copy = requests.copy_of(job, user, other)
    jobs.delete_job(job)
    copy = work(copy)
    assert (copy.status, copy.checkpoint, copy.settings) == ("completed", other, {"confidence": 0.5})
    assert [row.label for row in copy.results.all()] == ["red", "green"]
    assert copy.status == JobStatus.COMPLETED
