"""How to run a checkpoint on this machine, found by measuring it: batch size and threads. Remembered in a file. No Django."""

import io
import json
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from hashlib import sha256
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image

from inference.adapters.base import DEFAULTS, Adapter
from inference.engine import Answer, Picture, Plan, answers, cores

SECONDS = 0.25  # of each measurement, at least
MEASUREMENTS = 2  # of which the better counts: whatever else runs on the machine only ever slows it down
SLOWEST_BATCH = 2.0  # seconds; larger ones make cancelling and single images wait
BUDGET = 6.0  # seconds for all of it; a loaded machine gets the best of what could be measured
GAIN = 1.03  # what a change must bring
SIZES = (1, 2, 4, 8, 16, 32)
SIZES_ON_A_GPU = (1, 4, 16, 32, 64, 128, 256)


class Tunings:
    """The plans measured so far, in a folder: one file for each checkpoint, device and machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def known(self, adapter: Adapter, digest: str) -> Plan | None:
        try:
            return Plan(**json.loads(self._path(adapter, digest).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def plan(self, adapter: Adapter, digest: str) -> Plan:
        """As measured earlier, else now: a few seconds."""
        if known := self.known(adapter, digest):
            return known
        started = time.monotonic()
        plan = measured_plan(adapter)
        if time.monotonic() - started > BUDGET:
            # Cut short, as on a machine that is busy with other things: good enough for now, measured anew next time.
            return plan if plan.batch_size > 1 else replace(usual_plan(adapter), rate=plan.rate)
        path = self._path(adapter, digest)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        whole = path.with_suffix(".new")
        whole.write_text(json.dumps(asdict(plan)))
        whole.replace(path)
        return plan

    def _path(self, adapter: Adapter, digest: str) -> Path:
        return self.folder / f"{_key(adapter, digest)}.json"


def _key(adapter: Adapter, digest: str) -> str:
    """Another machine, device or number of cores is measured anew."""
    about = [digest, adapter.framework, adapter.device, platform.node(), platform.machine(), str(cores())]
    return sha256("\n".join(about).encode()).hexdigest()[:32]


def default_plan(adapter: Adapter) -> Plan:
    """For one image at once: there is nothing to choose."""
    return Plan(torch_threads=0 if is_on_gpu(adapter) else cores())


def usual_plan(adapter: Adapter) -> Plan:
    """For a few images, which are done before anything could be measured."""
    return replace(default_plan(adapter), batch_size=4, decoders=min(cores(), 4))


def is_on_gpu(adapter: Adapter) -> bool:
    return not adapter.device.startswith("cpu")


def measured_plan(adapter: Adapter) -> Plan:
    """The batch size first, with all cores in a forward pass; then whether fewer of them leave more to the decoders."""
    content = sample_jpeg()
    sizes = SIZES_ON_A_GPU if is_on_gpu(adapter) else SIZES
    best = Plan(decoders=min(cores(), 16), torch_threads=0 if is_on_gpu(adapter) else cores())
    _rate(adapter, content, best)  # the first passes warm up: memory, kernels
    worse, until = 0, time.monotonic() + BUDGET
    for size in sizes:
        plan = replace(best, batch_size=size)
        rate = _rate(adapter, content, plan)
        better = rate > best.rate * GAIN
        best, worse = (replace(plan, rate=rate), 0) if better else (best, worse + 1)
        if worse == 2 or size / rate > SLOWEST_BATCH or time.monotonic() > until:
            break
    for plan in _with_other_threads(best):
        if time.monotonic() > until:
            break
        rate = _rate(adapter, content, plan)
        if rate > best.rate * GAIN:
            best = replace(plan, rate=rate)
    return best


def _with_other_threads(plan: Plan) -> Iterator[Plan]:
    if plan.torch_threads > 1:
        yield replace(plan, torch_threads=max(1, plan.torch_threads // 2))
    if plan.decoders > 1:
        yield replace(plan, decoders=max(1, plan.decoders // 2))


def _rate(adapter: Adapter, content: bytes, plan: Plan) -> float:
    """Images a second of the whole way, from JPEG to answers."""
    pictures = (Picture(position, lambda: content) for position in count())
    running = answers(adapter, pictures, DEFAULTS, plan)
    _seconds_of(running, plan.batch_size)
    rates = []
    for _ in range(MEASUREMENTS):
        done, spent = 0, 0.0
        while spent < SECONDS:
            spent += _seconds_of(running, plan.batch_size)
            done += plan.batch_size
        rates.append(done / spent)
    running.close()
    return max(rates)


def _seconds_of(running: Iterator[Answer], batch: int) -> float:
    started = time.perf_counter()
    for _ in range(batch):
        next(running)
    return time.perf_counter() - started


def sample_jpeg() -> bytes:
    """A picture of 640 x 480 with about as much detail as a photograph."""
    random = np.random.default_rng(7)
    coarse = Image.fromarray(random.integers(0, 255, (30, 40, 3), dtype=np.uint8)).resize((640, 480), Image.Resampling.BICUBIC)
    grain = random.normal(0, 6, (480, 640, 3))
    picture = Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8))
    picture.save(file := io.BytesIO(), "JPEG", quality=88)
    return file.getvalue()
