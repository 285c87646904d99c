"""Trainings of the demo: what two real ones sent, recorded by the client, taken in as the API takes it."""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from accounts.models import Project, User
from predictions import prediction_sets, training
from predictions.ingest import Firing, ingest
from predictions.models import TrainingJob, TrainingStatus
from predictions.prediction_sets import NewItem

RECORDINGS = Path(__file__).parent / "recordings"
NAMES = {"dates-lr-1e-3": "Dates, learning rate 1e-3", "dates-lr-4e-3": "Dates, learning rate 4e-3, constant"}
PANEL = {"sample_count": 64, "max_new_tokens": 16, "batch_size": 64}


def fill_trainings(user: User, project: Project, tell: Callable[[str], object]) -> bool:
    """Make the trainings that the project lacks. False where it lacks none."""
    done = TrainingJob.objects.filter(project=project, status=TrainingStatus.COMPLETED).values_list("job_id", flat=True)
    missing = [job_id for job_id in NAMES if job_id not in set(done)]
    for job_id in missing:
        started = time.monotonic()
        job = training.first_contact(user, job_id, project, name=NAMES[job_id], config={"predictions": PANEL})
        rows = sum(_replay(job, user, path, body) for path, body in _requests(job_id))
        tell(f"{job.name}: {rows:,} predictions of a recorded training ({time.monotonic() - started:.1f} s)")
    return bool(missing)


def _requests(job_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
    with gzip.open(RECORDINGS / f"{job_id}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            yield record["path"].rstrip("/").rsplit("/", 1)[1], record["body"]


def _replay(job: TrainingJob, user: User, kind: str, body: dict[str, Any]) -> int:
    """One request; the number of predictions that came with it."""
    job.refresh_from_db()
    if kind == "start":
        training.start(job, body["attempt"], body["environment"], body["framework"])
    elif kind == "sets":
        items = [NewItem(key=item.pop("item_key"), **item) for item in body["items"]]
        prediction_sets.register_sampled(job, user, body["name"], items, source=body["source"], seed=body["seed"])
    elif kind == "progress":
        training.note_progress(job, body)
    elif kind == "predictions":
        firing = Firing(body["epoch"], body["step"], body["attempt"], body["prediction_set"], "", body["generation_params"])
        result = ingest(job, firing, body["predictions"])
        return result.stored + result.updated
    return 0
