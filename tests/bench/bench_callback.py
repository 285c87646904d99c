"""What the callback costs a training loop, generation aside, before a server that does not answer."""

import json
import os
import subprocess

from tests.bench.stage import ROOT

CLIENT = ROOT / "client"
PYTHON = CLIENT / ".venv" / "bin" / "python"


def run(runs: int) -> None:
    if not PYTHON.exists():
        print("NOT RUN: the client has no environment. make client-setup makes it.")
        return
    environment = os.environ | {"PYTHONPATH": str(CLIENT / "src"), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [str(PYTHON), str(CLIENT / "bench" / "callback.py")],
        cwd=CLIENT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    print(f"a step that does not fire (aim: 1 ms)              {found['quiet_ms']:8.4f} ms")
    print(f"a step that fires, 64 prompts (aim: 5 ms)          {found['firing_ms']:8.4f} ms", flush=True)
