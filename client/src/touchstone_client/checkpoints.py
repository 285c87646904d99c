"""Sampling from a saved checkpoint, for trainings inside which it is not safe."""

import argparse
import json
from pathlib import Path
from typing import Any

from touchstone_client.callback import as_row, mean_scores
from touchstone_client.errors import TouchstoneError
from touchstone_client.generator import Generator, Skipped
from touchstone_client.run import Run
from touchstone_client.sampler import sample


def sample_checkpoint(options: argparse.Namespace) -> int:
    """`touchstone sample`: ask the model in a folder that Trainer saved, and send its answers under its epoch and step."""
    folder: Path = options.checkpoint
    if not (folder / "config.json").is_file():
        raise TouchstoneError(f"{folder} holds no config.json. Give a folder that Trainer saved, such as out/checkpoint-500.")
    epoch, step = _place(folder, options)
    items = sample(options.prompts, options.num_prompts, options.seed)
    run = Run(options.url, options.token, options.job_id, dir=options.dir, framework="transformers")
    run.attach()
    model, tokenizer = _load(folder)
    try:
        generator = Generator(model, tokenizer, None, options.max_new_tokens, options.batch_size, options.seed)
        outputs = generator.generate(items)
    except Skipped as reason:
        raise TouchstoneError(str(reason)) from None
    name = f"{Path(options.prompts).name.split('.')[0]}-n{len(items)}-seed{options.seed}"
    run.register_set(name, items, str(options.prompts), options.seed)
    run.log(epoch, step, [as_row(output) for output in outputs], name, generator.record(), str(folder.resolve()))
    run.checkpoint(str(folder.resolve()), epoch, step)
    run.close(timeout=60)
    figures = ", ".join(f"{score} {value:.4f}" for score, value in mean_scores(outputs).items())
    print(f"{len(outputs)} predictions of epoch {epoch:g}, step {step}: {figures or 'no references to score against'}")
    return 0


def _place(folder: Path, options: argparse.Namespace) -> tuple[float, int]:
    """Epoch and step of the checkpoint: as told, else as the trainer wrote them."""
    try:
        state = json.loads((folder / "trainer_state.json").read_text())
    except (OSError, ValueError):
        state = {}
    epoch = options.epoch if options.epoch is not None else state.get("epoch")
    step = options.step if options.step is not None else state.get("global_step")
    if epoch is None and step is None:
        raise TouchstoneError(f"{folder} has no trainer_state.json. Say --epoch and --step.")
    return round(float(epoch or 0), 4), int(step or 0)


def _load(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    config = AutoConfig.from_pretrained(folder)
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    return kind.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
