"""Train a small transformer from scratch with the Hugging Face Trainer, and watch it learn in Touchstone.

    export TOUCHSTONE_URL=... TOUCHSTONE_TOKEN=... TOUCHSTONE_JOB_ID=...
    python learn_dates.py

takes about a minute on two cores. TOUCHSTONE_MODE=offline writes to disk only; `touchstone sync touchstone` sends it later.
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Trainer, TrainingArguments

from dates import rows
from touchstone_client import TouchstoneCallback

LETTERS = sorted(set("abcdefghijklmnopqrstuvwxyzADFJMNOS0123456789 .,/-="))


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A letter is a token."""
    names = ["<pad>", "<eos>", "<unk>", *LETTERS]
    backend = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")


def make_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=96,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    return LlamaForCausalLM(config)


def encode(row: dict[str, str], tokenizer: PreTrainedTokenizerFast) -> dict[str, list[int]]:
    """The loss counts on the completion alone."""
    prompt = tokenizer(row["prompt"])["input_ids"]
    answer = [*tokenizer(row["completion"])["input_ids"], tokenizer.eos_token_id]
    return {"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer}


def collate(batch: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    width = max(len(each["input_ids"]) for each in batch)

    def padded(name: str, filler: int) -> torch.Tensor:
        return torch.tensor([each[name] + [filler] * (width - len(each[name])) for each in batch])

    mask = torch.tensor([[1] * len(each["input_ids"]) + [0] * (width - len(each["input_ids"])) for each in batch])
    return {"input_ids": padded("input_ids", 0), "labels": padded("labels", -100), "attention_mask": mask}


def main() -> None:
    options = parse()
    torch.manual_seed(options.seed)
    tokenizer = make_tokenizer()
    training = [encode(row, tokenizer) for row in rows(options.rows, seed=1)]
    with tempfile.TemporaryDirectory() as scratch:
        held_out = Path(scratch) / "dates.jsonl"
        held_out.write_text("".join(json.dumps(row) + "\n" for row in rows(400, seed=2)))
        arguments = TrainingArguments(
            output_dir=str(options.out or scratch),
            num_train_epochs=options.epochs,
            per_device_train_batch_size=64,
            learning_rate=options.learning_rate,
            lr_scheduler_type=options.schedule,
            warmup_steps=20,
            save_strategy="epoch" if options.out else "no",
            logging_steps=50,
            report_to="none",
            seed=options.seed,
            disable_tqdm=True,
            use_cpu=options.cpu,
            dataloader_pin_memory=False,
        )
        trainer = Trainer(
            make_model(tokenizer), arguments, train_dataset=training, data_collator=collate, processing_class=tokenizer
        )
        if not options.without_touchstone:
            trainer.add_callback(
                TouchstoneCallback(
                    run_name=options.run_name,
                    dataset_path=held_out,
                    num_prompts=options.prompts,
                    max_new_tokens=16,
                    batch_size=64,
                )
            )
        trainer.train()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=float, default=15)
    parser.add_argument("--rows", type=int, default=2000, help="training examples")
    parser.add_argument("--prompts", type=int, default=64, help="held-out prompts that are asked every epoch")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--schedule", default="linear")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--run-name", default="dates")
    parser.add_argument("--out", type=Path, help="keep a checkpoint of every epoch in this folder")
    parser.add_argument("--cpu", action="store_true", help="leave a GPU alone")
    parser.add_argument("--without-touchstone", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
