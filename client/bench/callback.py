"""What the callback costs a training loop, generation aside: a step that does not fire, and one that does.

Printed as JSON: median milliseconds. Run by `make bench` with the client's own interpreter.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from touchstone_client import TouchstoneCallback
from touchstone_client.generator import Output

PROMPTS, STEPS, FIRINGS = 64, 20_000, 100


class Instant:
    """Answers at once, so that all the rest is what is measured."""

    halved = False

    def __init__(self, *_: Any) -> None:
        pass

    def generate(self, items: Any) -> list[Output]:
        return [
            Output(item, "an answer of some twelve words that stands here for what models say", 20, 14, "eos", 1.0)
            for item in items
        ]

    def record(self) -> dict[str, Any]:
        return {"do_sample": False, "max_new_tokens": 16}


def main() -> None:
    from touchstone_client import callback as module

    module.Generator = Instant
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:9"  # nobody is there
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            {"prompt": f"question {n} of many, to be answered", "completion": f"the answer {n} to the question"}
            for n in range(PROMPTS)
        ]
        made = TouchstoneCallback(url, "ts_x", "bench", dir=Path(folder), prompts=rows, num_prompts=PROMPTS, every=10**6)
        state = SimpleNamespace(global_step=0, max_steps=10**9, epoch=0.0)
        made.on_train_begin(SimpleNamespace(), state, None, model=torch.nn.Linear(2, 2))
        quiet = []
        for step in range(1, STEPS):
            state.global_step = step
            began = time.perf_counter()
            made.on_step_end(None, state, None)
            quiet.append(time.perf_counter() - began)
        loud = []
        for firing in range(1, FIRINGS):
            state.global_step, state.epoch = firing * 10**6, float(firing)
            began = time.perf_counter()
            made.on_step_end(None, state, None)
            loud.append(time.perf_counter() - began)
        assert made.missed_count == 0 and made.run.problems == 0 and made._means_at == state.global_step
        made.run.finish(timeout=0)
    print(json.dumps({"quiet_ms": statistics.median(quiet) * 1000, "firing_ms": statistics.median(loud) * 1000}))


if __name__ == "__main__":
    main()
