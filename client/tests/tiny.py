"""Models and tokenizers of a few kilobytes, made here: nothing is downloaded."""

from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

LETTERS = list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:?!+=-<>|\n")
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def make_tokenizer(*, adds_bos: bool = False, adds_eos: bool = False, pad: bool = True) -> PreTrainedTokenizerFast:
    names = ["<pad>", "<s>", "</s>", "<unk>", *LETTERS]
    backend = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    backend.decoder = decoders.Fuse()
    if adds_bos or adds_eos:
        single = f"{'<s> ' if adds_bos else ''}$A{' </s>' if adds_eos else ''}"
        backend.post_processor = processors.TemplateProcessing(single=single, special_tokens=[("<s>", 1), ("</s>", 2)])
    special: dict[str, Any] = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"} | (
        {"pad_token": "<pad>"} if pad else {}
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, chat_template=TEMPLATE, **special)


def make_model(seed: int = 0, **further: Any) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    settings = {
        "vocab_size": 4 + len(LETTERS),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 64,
        "attention_dropout": 0.2,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    return LlamaForCausalLM(LlamaConfig(**settings | further))


def make_seq2seq(seed: int = 0) -> T5ForConditionalGeneration:
    torch.manual_seed(seed)
    return T5ForConditionalGeneration(
        T5Config(
            vocab_size=4 + len(LETTERS), d_model=32, d_kv=16, d_ff=48, num_layers=2, num_heads=2, dropout_rate=0.2, pad_token_id=0,
            eos_token_id=2, decoder_start_token_id=0,
        )
    )  # fmt: skip


ROWS = [{"prompt": f"{a}+{b}=", "completion": str(a + b)} for a in range(12) for b in range(6)]


def encoded(tokenizer: PreTrainedTokenizerFast, rows: list[dict[str, str]] = ROWS) -> list[dict[str, list[int]]]:
    found = []
    for row in rows:
        ids = tokenizer(row["prompt"] + row["completion"], add_special_tokens=False)["input_ids"] + [2]
        found.append({"input_ids": ids, "labels": ids, "attention_mask": [1] * len(ids)})
    return found


def collate(batch: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    width = max(len(each["input_ids"]) for each in batch)
    fill = {"input_ids": 0, "labels": -100, "attention_mask": 0}
    return {name: torch.tensor([each[name] + [fill[name]] * (width - len(each[name])) for each in batch]) for name in fill}
