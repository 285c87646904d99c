"""Two processes on the CPU: rank 0 samples, both learn the same score, and a failure of one leaves neither waiting."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny import make_model

from touchstone_client.distributed import unsafe_reason

HERE = Path(__file__).parent
SCRIPT = """
import json, os, sys
sys.path.insert(0, {here!r})
import torch
from tiny import ROWS, collate, encoded, make_model, make_tokenizer
from transformers import Trainer, TrainerCallback, TrainingArguments
from touchstone_client import TouchstoneCallback
from touchstone_client.callback import Generator

if {broken}:
    Generator.generate = lambda *_: 1 / 0

class Look(TrainerCallback):
    seen = []
    def on_evaluate(self, args, state, control, metrics=None, **_):
        self.seen.append({{name: value for name, value in metrics.items() if "touchstone" in name}})

tokenizer = make_tokenizer()
args = TrainingArguments("out", num_train_epochs=2, report_to="none", save_strategy="no", eval_strategy="epoch", use_cpu=True, disable_tqdm=True, ddp_backend="gloo")
trainer = Trainer(make_model(), args, train_dataset=encoded(tokenizer), eval_dataset=encoded(tokenizer)[:8], data_collator=collate, processing_class=tokenizer,
    callbacks=[TouchstoneCallback(mode="offline", job_id="j", dir="spool", prompts=ROWS, num_prompts=4, max_new_tokens=3), Look()])
trainer.train()
rank = os.environ["RANK"]
weights = float(sum(p.double().sum() for p in trainer.model.parameters()))
open(f"rank{{rank}}.json", "w").write(json.dumps({{"seen": Look.seen, "weights": weights}}))
"""


@pytest.mark.parametrize("broken", [False, True])
def test_two_processes_agree(tmp_path: Path, broken: bool) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT.format(here=str(HERE), broken=broken))
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node=2",
        "--master_port=0",
        "--standalone",
        str(script),
    ]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent / "src")},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert first == second and len(first["seen"]) == 2
    assert all(("eval_touchstone_char_error_rate" in each) != broken for each in first["seen"])
    rows = [line for path in (tmp_path / "spool").rglob("*.jsonl") for line in path.open() if '"predictions"' in line]
    assert len(rows) == (0 if broken else 2)


class Arguments:
    fsdp: object = None
    deepspeed: object = None


def test_fsdp_is_refused_with_a_way_out() -> None:
    args = Arguments()
    args.fsdp = ["full_shard"]
    assert "touchstone sample" in (unsafe_reason(make_model(), args) or "")


def test_zero_3_is_refused() -> None:
    args = Arguments()
    args.deepspeed = {"zero_optimization": {"stage": 3}}
    assert "ZeRO-3" in (unsafe_reason(make_model(), args) or "")


def test_zero_2_is_not() -> None:
    args = Arguments()
    args.deepspeed = {"zero_optimization": {"stage": 2}}
    assert unsafe_reason(make_model(), args) is None


def test_a_model_wrapped_by_fsdp_is_seen(tmp_path: Path) -> None:
    fake = type("FullyShardedDataParallel", (torch.nn.Module,), {})
    model = torch.nn.Sequential(fake())
    assert "FSDP" in (unsafe_reason(model, Arguments()) or "")
