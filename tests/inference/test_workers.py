"""Real workers on the queue gpu: killed in the middle, sharing a job, overtaken by a single image, told to stop."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from PIL import Image

from config.celery import app
from datasets.models import JobStatus
from datasets.recovery import ring_forgotten
from inference import jobs
from inference.claiming import STALE_AFTER
from inference.models import ChunkStatus, InferenceChunk, InferenceJob, ResultState
from predictions.models import PredictedObject, PredictionRun
from tests.factories import make_category, make_dataset, make_sample
from tests.fakes.shades import plugged_in
from tests.processes import kill

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def start_worker(transactional_db: None, tmp_path: Path) -> Iterator[Callable[[], "subprocess.Popen[bytes]"]]:
    """Workers as `manage.py up` starts them, on the tests' database and broker."""
    app.control.purge()
    started: list[subprocess.Popen[bytes]] = []

    def start() -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "celery", "-A", "config", "--quiet", "worker", "--loglevel", "warning", "-Q", "gpu"]
        command += ["-n", f"gpu{len(started)}@test", "--concurrency", "1", "--without-gossip", "--without-mingle"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment(tmp_path))
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.wait(30)
    app.control.purge()


def environment(tmp_path: Path) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), str(plugged_in(tmp_path / "plugins"))])
    return (
        os.environ
        | {"DATABASE_URL": database_url(), "TOUCHSTONE_DATA": str(settings.DATA_DIR), "PYTHONPATH": path}
        | ({"REDIS_URL": settings.REDIS_URL} if settings.REDIS_URL else {})
    )


def database_url() -> str:
    connection.ensure_connection()
    at = connection.get_connection_params()
    return f"postgres://{quote(at['user'])}:{quote(at.get('password') or '')}@{quote(at['host'], '')}:{at.get('port') or 5432}/{at['dbname']}"


def until(happened: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"{what} did not happen within {PATIENCE} s"
        time.sleep(0.05)


def state(job: InferenceJob) -> str:
    job.refresh_from_db()
    return str(job.status)


def pool_process(worker: "subprocess.Popen[bytes]") -> int:
    """The process of the pool that does the work."""
    return int(Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()[0])


@pytest.fixture
def files() -> Iterator[ExitStack]:
    """Jobs of these tests keep their images in the storage that the workers see."""
    with ExitStack() as stack:
        yield stack


def batch(user, checkpoint, make_image, count: int, files: ExitStack) -> InferenceJob:
    job = jobs.start_batch(user, checkpoint, [make_image(f"{n}.png") for n in range(count)], {})
    files.callback(lambda: jobs.delete_job(InferenceJob.objects.get(pk=job.pk)))
    return job


def forget(job: InferenceJob) -> None:
    """As if the heart had stopped long ago."""
    long_ago = timezone.now() - 10 * STALE_AFTER
    InferenceChunk.objects.filter(job=job, status=ChunkStatus.RUNNING).update(heartbeat_at=long_ago)
    InferenceJob.objects.filter(pk=job.pk).update(heartbeat_at=long_ago)
    ring_forgotten()


def test_a_killed_worker_loses_nothing_and_doubles_nothing(user, make_checkpoint, project, start_worker, files) -> None:
    dataset = make_dataset(project)
    category = make_category(dataset, "red")
    folder = settings.DATA_DIR / "media" / "images" / "killed"
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 24), (250, 0, 0)).save(folder / "red.png")
    for _ in range(200):
        make_sample(dataset, image="images/killed/red.png", image_format="PNG")
    dataset.splits.update(sample_count=200)
    checkpoint = make_checkpoint(task_type="detection", delay_each=0.1)  # three seconds a chunk
    worker = start_worker()
    job = jobs.start_dataset(user, checkpoint, dataset, dataset.splits.get(), {})
    until(lambda: state(job) == "running" and job.done_count, "the first chunk")
    until(lambda: job.chunks.filter(status=ChunkStatus.RUNNING, done_count__gt=0).exists(), "the middle of a chunk")
    kill(pool_process(worker))
    kill(worker.pid)
    worker.wait()
    assert state(job) == "running" and not PredictionRun.objects.completed().exists()
    start_worker()
    forget(job)
    until(lambda: state(job) == "completed", "the end")
    run = PredictionRun.objects.completed().get()
    by_sample = PredictedObject.objects.filter(run=run, category=category).values_list("sample", flat=True)
    assert (len(by_sample), len(set(by_sample)), run.prediction_count, job.done_count) == (200, 200, 200, 200)
    assert job.results.filter(state=ResultState.DONE).count() == 200


def test_two_workers_share_a_job(user, make_checkpoint, make_image, start_worker, files) -> None:
    start_worker(), start_worker()
    job = batch(user, make_checkpoint(delay=0.3), make_image, 320, files)
    both = lambda: job.chunks.filter(status=ChunkStatus.RUNNING).values("heartbeat_at").distinct().count() > 1  # noqa: E731
    until(both, "two workers at once")
    until(lambda: state(job) == "completed", "the end")
    assert (job.done_count, job.results.filter(state=ResultState.DONE).count()) == (320, 320)
    assert not job.chunks.exclude(attempts=1).exists()


def test_cancelling_stops_within_a_chunk(user, make_checkpoint, make_image, start_worker, files) -> None:
    start_worker()
    slow = batch(user, make_checkpoint("slow", delay=0.5), make_image, 16, files)  # eight seconds in one chunk
    until(lambda: state(slow) == "running" and slow.progress_done, "progress within the chunk")
    jobs.cancel(slow)
    cancelled = time.monotonic()
    quick = batch(user, make_checkpoint("quick"), make_image, 1, files)
    until(lambda: state(quick) == "completed", "the next job")
    assert time.monotonic() - cancelled < 5
    assert state(slow) == "cancelled" and not slow.results.filter(state=ResultState.DONE).exists()


def test_a_single_image_overtakes_a_batch(user, make_checkpoint, make_image, start_worker, files) -> None:
    start_worker()
    job = batch(user, make_checkpoint(delay_each=0.05), make_image, 320, files)
    until(lambda: state(job) == "running" and job.done_count, "the first chunk")
    single = jobs.start_single(user, make_checkpoint("other"), make_image("single.png"), {})
    files.callback(lambda: jobs.delete_job(single))
    assert jobs.wait_for(single, PATIENCE) and single.status == JobStatus.COMPLETED
    assert state(job) == "running"
    jobs.cancel(job)


def test_a_worker_that_dies_of_an_image_gives_it_up_in_the_end(user, make_checkpoint, make_image, start_worker, files) -> None:
    checkpoint = make_checkpoint(dies_on=1.0)
    images = [make_image(f"{n}.png", (255 if n == 70 else 100, 0, 0)) for n in range(96)]
    job = jobs.start_batch(user, checkpoint, images, {})
    files.callback(lambda: jobs.delete_job(InferenceJob.objects.get(pk=job.pk)))
    start_worker()

    forgotten = [time.monotonic()]

    def ended() -> bool:
        """A heart that beats each second and has not for four has stopped; one that beats is left alone, as are its neighbours."""
        running = job.chunks.filter(status=ChunkStatus.RUNNING)
        silent = timezone.now() - timedelta(seconds=4)
        is_lost = running.exists() and not running.filter(heartbeat_at__gte=silent).exists()
        if state(job) == "running" and is_lost and time.monotonic() - forgotten[-1] > 6:  # a bell takes a while, too
            forget(job)
            forgotten.append(time.monotonic())
        return bool(state(job) == "completed")

    until(ended, "the end")
    assert (job.done_count, job.failed_count) == (64, 32)
    assert "lost 3 times" in job.results.get(position=70).error


def test_the_queue_is_kept_until_a_worker_comes(user, make_checkpoint, make_image, start_worker, files) -> None:
    job = batch(user, make_checkpoint(), make_image, 3, files)
    assert state(job) == "pending"
    start_worker()
    until(lambda: state(job) == "completed", "the end")


def test_the_web_process_imports_no_torch() -> None:
    code = "import django; django.setup(); import config.urls, config.wsgi, inference.tasks, sys; print(json.dumps('torch' in sys.modules))"
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    done = subprocess.run(
        [sys.executable, "-c", "import json; " + code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert json.loads(done.stdout) is False, done.stderr
