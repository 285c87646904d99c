"""How messages travel."""

import subprocess
import sys
import threading
from pathlib import Path

from config.celery import app

ROOT = Path(__file__).resolve().parents[2]


def queue_of(task: str) -> str:
    return app.amqp.router.route({}, task)["queue"].name


def test_tasks_of_inference_go_to_the_queue_gpu() -> None:
    assert queue_of("inference.tasks.predict") == "gpu"


def test_all_other_tasks_go_to_the_queue_cpu() -> None:
    assert queue_of("datasets.tasks.run_dataset_import") == "cpu"


def test_a_message_is_given_back_by_a_worker_that_dies() -> None:
    assert (app.conf.task_acks_late, app.conf.task_reject_on_worker_lost, app.conf.worker_prefetch_multiplier) == (
        True,
        True,
        1,
    )


def test_no_results_are_kept_and_messages_are_json() -> None:
    assert (app.conf.result_backend, app.conf.task_ignore_result, app.conf.accept_content) == (None, True, ["json"])


def test_what_the_clock_rings_for_exists() -> None:
    app.loader.import_default_modules()
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} <= set(app.tasks)


def test_every_thread_finds_our_app() -> None:
    from datasets import tasks

    found = []
    thread = threading.Thread(target=lambda: found.append(tasks.ring_forgotten_jobs.app.main))
    thread.start()
    thread.join()
    assert found == ["touchstone"]


def test_knowing_the_settings_and_addresses_starts_nothing(tmp_path: Path) -> None:
    code = "import django, sys; sys.path.insert(0, '.'); django.setup(); import config.urls, config.wsgi; print('torch' in sys.modules)"
    environment = {"PATH": "", "TOUCHSTONE_DATA": str(tmp_path / "data"), "DJANGO_SETTINGS_MODULE": "config.settings"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert (done.stdout, [path.name for path in (tmp_path / "data").iterdir()]) == ("False\n", ["secret-key"])
