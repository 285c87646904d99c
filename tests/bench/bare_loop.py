"""The fastest bare loop over a checkpoint: no jobs, no database. A process of its own, as its threads would be a worker's.

`python -m tests.bench.bare_loop FRAMEWORK WEIGHTS FOLDER` prints the best images a second over batch sizes; with `predict`
as the framework, of the ways to call Ultralytics' own `predict`. The ways are probed on some of the images first.
"""

import io
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZES = (1, 4, 8, 16, 32)


def main(framework: str, weights: str, folder: str) -> None:
    paths = sorted(Path(folder).glob("*.jpg"))
    ways = predict_ways(weights) if framework == "predict" else loops(framework, weights)
    probe = paths[: max(32, len(paths) // 5)]
    best = max(ways, key=lambda way: rate(way, probe))
    print(rate(best, paths))


def rate(way: Callable[[list[Path]], None], paths: list[Path]) -> float:
    started = time.perf_counter()
    way(paths)
    return len(paths) / (time.perf_counter() - started)


def loops(framework: str, weights: str) -> list[Callable[[list[Path]], None]]:
    import torch

    from inference.adapters import adapter
    from inference.engine import cores

    made: Any = adapter(framework)()
    made.load_checkpoint(Path(weights), "cuda:0" if torch.cuda.is_available() else "cpu")
    return [loop(made, size, threads) for threads in sorted({cores(), max(1, cores() // 2)}) for size in SIZES]


def loop(made: Any, size: int, threads: int) -> Callable[[list[Path]], None]:
    import torch

    from inference.adapters.base import DEFAULTS
    from inference.engine import cores

    def prepare(path: Path) -> tuple[Any, Any]:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            pixels = np.asarray(image.convert("RGB"))
        return pixels, made.preprocess(pixels)

    def run(paths: list[Path]) -> None:
        with ThreadPoolExecutor(cores(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            torch.set_num_threads(threads)
            ready = pool.map(prepare, paths)
            for _ in range(0, len(paths), size):
                batch = list(islice(ready, size))
                images, tensors = zip(*batch, strict=True)
                made.postprocess(made.forward(tensors), tensors, images, DEFAULTS)

    return run


def predict_ways(weights: str) -> list[Callable[[list[Path]], None]]:
    import torch
    from ultralytics import YOLO

    from inference.engine import cores

    model = YOLO(weights)
    torch.set_num_threads(cores())

    def one_by_one(paths: list[Path]) -> None:
        for path in paths:
            model.predict(str(path), verbose=False)

    def streamed(size: int) -> Callable[[list[Path]], None]:
        def run(paths: list[Path]) -> None:
            for _ in model.predict([str(path) for path in paths], batch=size, stream=True, verbose=False):
                pass

        return run

    return [one_by_one, streamed(1), streamed(4), streamed(16)]


if __name__ == "__main__":
    main(*sys.argv[1:])
