"""Images through a loaded checkpoint: reading, decoding and preprocessing in threads, the model in this one; outputs of a GPU in another.

No Django, no broker. An image that cannot be read, or that the model stumbles over, is an answer of its own; the others go on.
"""

import logging
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from inference.adapters.base import Adapter, AdapterError, InferenceResult, InferenceSettings
from inference.decoding import MOST_PIXELS, Unreadable, decoded

log = logging.getLogger("touchstone.inference")


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of a job: its position, how to read its bytes, and whether it is turned as its EXIF orientation says."""

    position: int
    read: Callable[[], bytes]
    upright: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a picture: a result, or why there is none."""

    position: int
    result: InferenceResult | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to run: images a batch, threads that decode and preprocess, and threads of one forward pass (0: as torch likes).

    `rate` is the images a second that were measured with it; 0 where nothing was.
    """

    batch_size: int = 1
    decoders: int = 1
    torch_threads: int = 0
    rate: float = 0.0


class Pace:
    """The plan of each batch: always the same. `inference.tuning.Search` finds a better one on the way."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def took(self, images: int, seconds: float) -> None:
        """Told of each whole batch but the first: the time from one to the next, waiting for the slowest part included."""


@dataclass(slots=True)
class _Prepared:
    position: int
    image: Any = None
    tensor: Any = None
    error: str = ""
    seconds: float = 0.0


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_torch_threads(count: int) -> None:
    """For forward passes of the calling thread; nothing where no adapter has loaded torch, or `count` is 0."""
    torch = sys.modules.get("torch")
    if torch is not None and count:
        torch.set_num_threads(count)


def _side_by_side() -> None:
    """In a thread of the pools: they are parallel to each other, so torch need not be parallel in each of them."""
    set_torch_threads(1)


def answers(
    adapter: Adapter, pictures: Iterable[Picture], settings: InferenceSettings, pace: Pace, most_pixels: int = MOST_PIXELS
) -> Generator[Answer, None, None]:
    """An answer for each picture, about in their order; unreadable ones may come before their time.

    Bounded: at most two batches and a picture for each decoder are in memory. Closing the generator stops between batches.
    """
    source = iter(pictures)
    waiting: deque[Future[_Prepared]] = deque()
    with (
        ThreadPoolExecutor(pace.plan.decoders, "decode", _side_by_side) as decoders,
        _beside_the_model(adapter) as last,
    ):
        finishing: Future[list[Answer]] | None = None
        try:
            while True:
                started, plan = time.perf_counter(), pace.plan
                most_waiting = 2 * plan.batch_size + plan.decoders
                batch: list[_Prepared] = []
                failed: list[_Prepared] = []
                while len(batch) < plan.batch_size:
                    for picture in islice(source, max(0, most_waiting - len(waiting))):
                        waiting.append(decoders.submit(_prepare, adapter, picture, most_pixels))
                    if not waiting:
                        break
                    prepared = waiting.popleft().result()
                    (failed if prepared.error else batch).append(prepared)
                set_torch_threads(plan.torch_threads)
                forwarded = list(_forward(adapter, batch)) if batch else []
                before = finishing.result() if finishing else []
                if finishing and len(batch) == plan.batch_size and not failed:
                    pace.took(len(batch), time.perf_counter() - started)
                finishing = last.submit(_finish, adapter, forwarded, settings)
                yield from (Answer(each.position, error=each.error) for each in failed)
                yield from before
                if not waiting:
                    yield from finishing.result()
                    return
        finally:
            for future in waiting:
                future.cancel()


class _Here(Executor):
    """Does at once what it is given."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def _beside_the_model(adapter: Adapter) -> Executor:
    """Where outputs become answers: beside a GPU's next batch. On a processor both would only take turns at the same cores."""
    return _Here() if adapter.device == "cpu" else ThreadPoolExecutor(1, "postprocess", _side_by_side)


def _prepare(adapter: Adapter, picture: Picture, most_pixels: int) -> _Prepared:
    started = time.perf_counter()
    try:
        image = decoded(picture.read(), upright=picture.upright, most_pixels=most_pixels)
        return _Prepared(picture.position, image, adapter.preprocess(image), seconds=time.perf_counter() - started)
    except FileNotFoundError:
        return _Prepared(picture.position, error="The stored file is gone.")
    except Unreadable as reason:
        return _Prepared(picture.position, error=str(reason))
    except Exception as error:
        log.warning("picture %s: %s: %s", picture.position, type(error).__name__, error)
        return _Prepared(
            picture.position, error=f"It cannot be prepared for the model ({type(error).__name__}: {error})."[:500]
        )


@dataclass(frozen=True, slots=True)
class _Forwarded:
    """A batch and what the model made of it; where it failed with one image alone, `error` says how."""

    batch: Sequence[_Prepared]
    outputs: Any = None
    seconds: float = 0.0
    error: str = ""


def _forward(adapter: Adapter, batch: Sequence[_Prepared]) -> Iterator[_Forwarded]:
    """The batch; where it fails (no memory, an odd image) its halves, down to single images."""
    started = time.perf_counter()
    try:
        outputs = adapter.forward([each.tensor for each in batch])
    except AdapterError:  # of the weights themselves: fewer images would not help
        raise
    except Exception as error:
        log.warning("a batch of %s failed: %s: %s", len(batch), type(error).__name__, error)
        told = f"The model failed with it ({type(error).__name__}: {error})."[:500]
    else:
        yield _Forwarded(batch, outputs, time.perf_counter() - started)
        return
    if len(batch) == 1:
        yield _Forwarded(batch, error=told)
        return
    half = len(batch) // 2
    yield from _forward(adapter, batch[:half])
    yield from _forward(adapter, batch[half:])


def _finish(adapter: Adapter, forwarded: Sequence[_Forwarded], settings: InferenceSettings) -> list[Answer]:
    return [answer for each in forwarded for answer in _postprocess(adapter, each, settings)]


def _postprocess(adapter: Adapter, forwarded: _Forwarded, settings: InferenceSettings) -> list[Answer]:
    batch = forwarded.batch
    if forwarded.error:
        return [Answer(each.position, error=forwarded.error) for each in batch]
    started = time.perf_counter()
    results = adapter.postprocess(forwarded.outputs, [each.tensor for each in batch], [each.image for each in batch], settings)
    after = (time.perf_counter() - started) * 1000 / len(batch)
    inference = forwarded.seconds * 1000 / len(batch)
    return [
        Answer(
            each.position,
            replace(result, preprocess_ms=each.seconds * 1000, inference_ms=inference, postprocess_ms=after),
        )
        for each, result in zip(batch, results, strict=True)
    ]
