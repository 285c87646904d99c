"""Checkpoints of the demo: a classifier that comes with the repository, and the networks that this machine makes for itself."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from multiprocessing.pool import Pool
from pathlib import Path

from django.conf import settings

from accounts.models import Project, User
from config.demo import files, networks
from config.demo.files import DIGITS
from config.demo.networks import Recipe
from datasets.models import Split
from inference import jobs
from inference.checkpoints import Told, register_path
from inference.loading import digest_of
from predictions.models import Checkpoint

NEEDED = ("torch", "ultralytics")
SPLIT = "val"
Tell = Callable[[str], object]


def fill_checkpoints(user: User, project: Project, tell: Tell) -> bool:
    """Register the classifier of digits. False where it is there."""
    if _is_registered(project, DIGITS):
        return False
    register_path(project, DIGITS, Told("timm", name="Digits"), user=user)
    tell("Digits: a classifier of timm's, registered")
    return True


def missing_packages() -> list[str]:
    """What making the networks needs and this environment lacks."""
    return [name for name in NEEDED if find_spec(name) is None]


def folder() -> Path:
    """Where the networks are kept, so that they are made once."""
    return Path(settings.DATA_DIR) / "demo-weights"


def fill_networks(user: User, project: Project, tell: Tell) -> None:
    """Train what is not there yet, one after the other; register each at once, and ask it about the demo's pictures of its kind."""
    os.environ.setdefault("YOLO_CONFIG_DIR", str(settings.DATA_DIR / "ultralytics"))
    with _studio() as (scratch, pool):
        for recipe in networks.RECIPES:
            if not _file(recipe).exists():
                _make(recipe, scratch, pool, tell)
            _register(recipe, user, project, tell)


@contextmanager
def _studio() -> Iterator[tuple[Path, Pool]]:
    """A folder for what is drawn, and those who draw; empty where an attempt that was killed left something."""
    scratch = Path(settings.SCRATCH_ROOT) / "demo-weights"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    folder().mkdir(parents=True, exist_ok=True)
    try:
        with files.artists() as pool:
            yield scratch, pool
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def are_complete(project: Project) -> bool:
    return all(_file(recipe).exists() and _is_registered(project, _file(recipe)) for recipe in networks.RECIPES)


def _file(recipe: Recipe) -> Path:
    return folder() / f"{recipe.name}.pt"


def _make(recipe: Recipe, scratch: Path, pool: Pool, tell: Tell) -> None:
    started = time.monotonic()
    tell(f"{recipe.title}: training a network for {recipe.task_type}")
    figures = networks.train(recipe, folder(), scratch, pool)
    told = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
    tell(f"{recipe.title}: trained in {time.monotonic() - started:.0f} s; on pictures that it had not seen: {told}")


def _register(recipe: Recipe, user: User, project: Project, tell: Tell) -> None:
    """With a run over the pictures of the demo, where the project has them."""
    if _is_registered(project, _file(recipe)):
        return
    told = Told("ultralytics", task_type=recipe.task_type, name=recipe.title)
    checkpoint = register_path(project, _file(recipe), told, user=user)
    tell(f"{recipe.title}: registered")
    split = Split.objects.filter(dataset__project=project, dataset__name=recipe.dataset, name=SPLIT).first()
    if split and split.sample_count:
        jobs.start_dataset(user, checkpoint, split.dataset, split, {}, name=recipe.title)
        tell(f"{recipe.title}: asked about {split.sample_count} pictures of {recipe.dataset}")


def _is_registered(project: Project, file: Path) -> bool:
    with file.open("rb") as opened:
        return Checkpoint.objects.filter(project=project, sha256=digest_of(opened).sha256).exists()
