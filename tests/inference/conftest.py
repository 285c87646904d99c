"""Checkpoints of the adapter that looks at colours, and images for it."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from accounts.models import Project, User
from inference import adapters, runner
from inference.models import InferenceJob, TrustedWeights
from inference.requests import NewImage
from predictions.models import Checkpoint
from tests.factories import make_project
from tests.fakes import shades


@pytest.fixture
def shades_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In this process; workers of their own find it on their path."""
    monkeypatch.setitem(adapters.ADAPTERS, shades.KEY, "tests.fakes.shades:ShadesAdapter")
    yield
    runner.loaded.close()


@pytest.fixture
def project(user: User) -> Project:
    return make_project(user)


@pytest.fixture
def make_checkpoint(project: Project, tmp_path: Path, shades_known: None) -> Callable[..., Checkpoint]:
    def make(name: str = "shades", **weights: Any) -> Checkpoint:
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(weights | {"name": name}))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        # What is no file of torch's is loaded for nobody but those whom an administrator has vouched for.
        TrustedWeights.objects.get_or_create(sha256=digest)
        return Checkpoint.objects.create(
            project=project, name=name, path=str(path), framework=shades.KEY, file_size=path.stat().st_size, sha256=digest,
            task_type=weights.get("task_type", "classification"), class_names=shades.COLOURS,
        )  # fmt: skip

    return make


@pytest.fixture
def make_image(tmp_path: Path) -> Callable[..., NewImage]:
    def make(name: str = "a.png", colour: tuple[int, int, int] = (200, 10, 10), size: tuple[int, int] = (32, 24)) -> NewImage:
        path = tmp_path / name
        Image.new("RGB", size, colour).save(path)
        return NewImage(name, path)

    return make


@pytest.fixture
def work() -> Callable[[InferenceJob], InferenceJob]:
    """All of a job in this process, as one worker does it: bell by bell."""

    def run(job: InferenceJob) -> InferenceJob:
        bells = [job.pk]
        while bells:
            runner.run_some(bells.pop(), bells.append)
        job.refresh_from_db()
        return job

    return run
