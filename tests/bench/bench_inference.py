"""Inference: a batch through a worker, database and all, against the best bare loop over the same model; a single image by API.

Ratios are taken in turn, A B A B, so that what else runs on the machine slows both. Device: the worker's, a GPU where there is one.
"""

import io
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from PIL import Image

from accounts.models import ApiToken, User
from accounts.projects import personal_project
from inference import jobs
from inference.checkpoints import Told, register_path
from inference.models import InferenceJob
from inference.requests import NewImage
from predictions.models import Checkpoint
from tests.bench.bench_ingest import served
from tests.bench.stage import ROOT, process

IMAGES, SINGLES, UPLOADED = 500, 15, 120
AIM_OF_BATCH, AIM_AGAINST_PREDICT, AIM_OF_REST, AIM_OF_UPLOAD = 0.9, 1.0, 100, 10
MODELS = {"resnet18": "timm", "mobilenetv3_small_100": "timm", "yolo11n": "ultralytics"}
MAKE = """
import sys, torch
name, path = sys.argv[1:]
torch.manual_seed(0)
if name.startswith("yolo"):
    from ultralytics import YOLO
    YOLO(f"{name}.yaml").save(path)
else:
    import timm
    torch.save({"state_dict": timm.create_model(name).state_dict(), "arch": name}, path)
"""


def run(runs: int) -> None:
    user = User.objects.get(username="bench")
    folder = make_images(settings.DATA_DIR / "files" / "inference")
    with worker():
        checkpoints = {name: registered(user, name, framework) for name, framework in MODELS.items()}
        for name, checkpoint in checkpoints.items():
            job = whole_job(user, checkpoint, folder)  # loads and measures; its time does not count
            print(f"{name} on {job.device}, batch size {job.batch_size}", flush=True)
            compare(user, checkpoint, folder, checkpoint.framework, AIM_OF_BATCH, runs, "best bare loop")
            if checkpoint.framework == "ultralytics":
                compare(user, checkpoint, folder, "predict", AIM_AGAINST_PREDICT, runs, "fastest predict")
        by_api(user, checkpoints["resnet18"], folder)


def compare(user: User, checkpoint: Checkpoint, folder: Path, other: str, aim: float, runs: int, label: str) -> None:
    pairs = []
    for _ in range(runs):
        ours = rate_of(user, checkpoint, folder)
        theirs = float(process("-m", "tests.bench.bare_loop", other, checkpoint.path, str(folder)).splitlines()[-1])
        pairs.append((ours, theirs))
    ratio = statistics.median(a / b for a, b in pairs)
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"  images a second: job {ours:7.1f}, {label} {theirs:7.1f}   ratio {ratio:5.2f} (aim: at least {aim})", flush=True)


def rate_of(user: User, checkpoint: Checkpoint, folder: Path) -> float:
    started = time.perf_counter()
    job = whole_job(user, checkpoint, folder)
    return job.image_count / (time.perf_counter() - started)


def whole_job(user: User, checkpoint: Checkpoint, folder: Path) -> InferenceJob:
    """From the request to the last stored result."""
    job = jobs.start_batch(user, checkpoint, [NewImage(path.name, path) for path in sorted(folder.glob("*.jpg"))], {})
    assert jobs._ended_within(job, 1800) and job.status == "completed" and job.done_count == job.image_count, job.error
    return job


def by_api(user: User, checkpoint: Checkpoint, folder: Path) -> None:
    _, key = ApiToken.issue(user, "bench inference")
    paths = sorted(folder.glob("*.jpg"))
    with served() as port:
        address = f"http://127.0.0.1:{port}/api/inference"
        rests = []
        for path in paths[: SINGLES + 2]:
            started = time.perf_counter()
            told = post(f"{address}/single/", key, checkpoint, [("image", path.name, path.read_bytes())])
            rests.append((time.perf_counter() - started) * 1000 - told["inference_ms"])
        print(f"  single image, all but the model: median {statistics.median(rests[2:]):.0f} ms (aim: under {AIM_OF_REST} ms)")
        for label, files in [("images", many(paths)), ("a ZIP", packed(paths))]:
            started = time.perf_counter()
            told = post(f"{address}/batch/", key, checkpoint, files)
            job = InferenceJob.objects.get(pk=told["id"])
            assert jobs._ended_within(job, 600) and job.done_count == UPLOADED, job.error
            rate = UPLOADED / (time.perf_counter() - started)
            print(f"  {UPLOADED} uploaded as {label}: {rate:.1f} images a second (aim: at least {AIM_OF_UPLOAD})", flush=True)


def many(paths: list[Path]) -> list[tuple[str, str, bytes]]:
    return [("images", path.name, path.read_bytes()) for path in paths[:UPLOADED]]


def packed(paths: list[Path]) -> list[tuple[str, str, bytes]]:
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        for path in paths[:UPLOADED]:
            archive.write(path, path.name)
    return [("archive", "images.zip", file.getvalue())]


def post(url: str, key: str, checkpoint: Checkpoint, files: list[tuple[str, str, bytes]]) -> Any:
    mark = uuid.uuid4().hex
    parts = [f'--{mark}\r\nContent-Disposition: form-data; name="checkpoint_id"\r\n\r\n{checkpoint.pk}\r\n'.encode()]
    for field, name, content in files:
        head = f'--{mark}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
        parts += [head.encode(), content, b"\r\n"]
    body = b"".join([*parts, f"--{mark}--\r\n".encode()])
    headers = {"Authorization": f"Bearer {key}", "Content-Type": f"multipart/form-data; boundary={mark}"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=600) as answer:
        return json.load(answer)


@contextmanager
def worker() -> Iterator[None]:
    command = [sys.executable, "-m", "celery", "-A", "config", "--quiet", "worker", "--loglevel", "warning", "-Q", "gpu"]
    command += ["-n", "gpu@bench", "--concurrency", "1", "--without-gossip", "--without-mingle"]
    started = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"TOUCHSTONE_DATA": str(settings.DATA_DIR)})
    try:
        yield
    finally:
        started.terminate()
        started.wait(60)


def registered(user: User, name: str, framework: str) -> Checkpoint:
    path = settings.DATA_DIR / "files" / f"{name}.pt"
    if not path.exists():
        process("-c", MAKE, name, str(path))
    return register_path(personal_project(user), path, Told(framework=framework, name=name), user=user)


def make_images(folder: Path) -> Path:
    """JPEGs of 640 x 480 with about the detail of photographs, about 70 kB each."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(IMAGES):
        path = folder / f"{number:04}.jpg"
        if path.exists():
            continue
        random = np.random.default_rng(number)
        coarse = Image.fromarray(random.integers(0, 255, (30, 40, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((640, 480), Image.Resampling.BICUBIC))
        grained = np.clip(smooth + random.normal(0, 6, (480, 640, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(grained).save(path, quality=88)
    return folder
