"""How to run a checkpoint on this machine, found on the images of its jobs: batch size and threads. Remembered in a file. No Django."""

import json
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from weakref import WeakKeyDictionary

from inference.adapters.base import Adapter
from inference.engine import Pace, Plan, cores

SECONDS = 0.15  # of each measurement, at least
BATCHES = 3  # of each measurement, at least
SLOWEST_BATCH = 2.0  # seconds; larger ones make cancelling and single images wait
GAIN = 1.03  # what a change must bring
WORSE = 2  # so many sizes without a gain end the search
SIZES = (1, 2, 4, 8, 16, 32)
SIZES_ON_A_GPU = (1, 4, 16, 32, 64, 128, 256)
DETERMINISTIC_BATCH = 4


class Search(Pace):
    """Tries plans on the batches that are to be done anyway: the batch size first, then fewer threads of a forward pass.

    Nothing is measured for its own sake: a job begins with small batches and ends with the best. `found` is called with the plan
    in the end.
    """

    def __init__(self, start: Plan, sizes: tuple[int, ...], found: Callable[[Plan], None]) -> None:
        self.best, self.sizes, self.found = start, sizes, found
        self._plans: Iterator[Plan] | None = self._candidates()
        self._try(next(self._plans))

    def took(self, images: int, seconds: float) -> None:
        if self._plans is None:
            return
        self._batches += 1
        if self._batches == 1:
            return  # of what was decoded ahead, at the pace of the plan before
        self._images += images
        self._seconds += seconds
        if self._batches > BATCHES and self._seconds >= SECONDS:
            self._judge()

    def _judge(self) -> None:
        assert self._plans is not None
        rate = self._images / self._seconds
        if rate > self.best.rate * GAIN:
            self.best = replace(self.plan, rate=rate)
        if following := next(self._plans, None):
            self._try(following)
        else:
            self._plans, self.plan = None, self.best
            self.found(self.best)

    def _try(self, plan: Plan) -> None:
        """Its rate is the best one so far: the pace of the job, for whoever plans by it."""
        self.plan = replace(plan, rate=self.best.rate)
        self._batches, self._images, self._seconds = 0, 0, 0.0

    def _candidates(self) -> Iterator[Plan]:
        worse = 0
        for size in self.sizes:
            if self.best.rate and size / self.best.rate > SLOWEST_BATCH:
                break
            yield replace(self.best, batch_size=size)
            worse = 0 if self.best.batch_size == size else worse + 1
            if worse == WORSE:
                break
        if self.best.torch_threads > 1:
            yield replace(self.best, torch_threads=self.best.torch_threads // 2)


class Tunings:
    """The paces of loaded checkpoints. What was found lies in a folder: one file for each checkpoint, device and machine.

    `same_bits`: nothing is searched, as sums of floats depend on the size of their batch.
    """

    def __init__(self, folder: Path, *, same_bits: bool = False) -> None:
        self.folder, self.same_bits = folder, same_bits
        self._paces: WeakKeyDictionary[Adapter, Pace] = WeakKeyDictionary()

    def pace(self, adapter: Adapter, digest: str) -> Pace:
        """As found earlier; else a search, which goes on from job to job while the checkpoint stays loaded."""
        if adapter not in self._paces:
            self._paces[adapter] = self._begun(adapter, digest)
        return self._paces[adapter]

    def _begun(self, adapter: Adapter, digest: str) -> Pace:
        start = replace(default_plan(adapter), decoders=min(cores(), 16))
        if self.same_bits:
            return Pace(replace(start, batch_size=DETERMINISTIC_BATCH))
        path = self.folder / f"{_key(adapter, digest)}.json"
        if known := _read(path):
            return Pace(known)
        return Search(start, SIZES_ON_A_GPU if is_on_gpu(adapter) else SIZES, lambda plan: _write(path, plan))


def _read(path: Path) -> Plan | None:
    try:
        return Plan(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _write(path: Path, plan: Plan) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    whole = path.with_suffix(".new")
    whole.write_text(json.dumps(asdict(plan)))
    whole.replace(path)


def _key(adapter: Adapter, digest: str) -> str:
    """Another machine, device or number of cores is measured anew."""
    about = [digest, adapter.framework, adapter.device, platform.node(), platform.machine(), str(cores())]
    return sha256("\n".join(about).encode()).hexdigest()[:32]


def default_plan(adapter: Adapter) -> Plan:
    """For one image at once: there is nothing to choose."""
    return Plan(torch_threads=0 if is_on_gpu(adapter) else cores())


def is_on_gpu(adapter: Adapter) -> bool:
    return not adapter.device.startswith("cpu")
