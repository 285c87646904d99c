"""Asking the model in the middle of its training, and leaving no trace in it.

Mode of every module, states of all random generators and the model's own configuration are as before, whatever happens.
The tokenizer is only read: padding is done here, so that its padding side and pad token are never touched.
"""

import copy
import hashlib
import logging
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from touchstone_client.items import Item

log = logging.getLogger("touchstone")
VERSIONED = ("torch", "transformers", "accelerate", "peft", "trl", "touchstone-client")
# What only sampling looks at; left as they are, the model's own values would be warned of.
SAMPLING = ("temperature", "top_p", "top_k", "typical_p", "min_p", "epsilon_cutoff", "eta_cutoff")


class Skipped(Exception):
    """A firing that cannot be, and why; the training goes on."""


@dataclass(frozen=True)
class Output:
    """An answer. Tokens are counted without padding, latency is a batch's time shared among its items, in ms."""

    item: Item
    text: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str
    latency_ms: float
    rendered_prompt: str | None = None
    truncated: bool = False


@dataclass(frozen=True)
class Encoded:
    item: Item
    ids: list[int]
    rendered: str | None
    truncated: bool


@dataclass
class Generator:
    """Deterministic unless a generation_config says otherwise; with sampling, `seed` makes every firing draw alike."""

    model: Any
    processing_class: Any
    generation_config: Any = None
    max_new_tokens: int = 128
    batch_size: int = 8
    seed: int = 42
    halved: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.model = unwrapped(self.model)
        self.tokenizer = getattr(self.processing_class, "tokenizer", self.processing_class)
        if self.tokenizer is None or not hasattr(self.model, "generate"):
            raise Skipped("The trainer needs a model that generates and a tokenizer (processing_class=) to sample from it.")
        self.is_encoder_decoder = bool(getattr(self.model.config, "is_encoder_decoder", False))
        self.settings = self._settings()

    def generate(self, items: Sequence[Item]) -> list[Output]:
        """The answers in the order of the items. Raises Skipped where memory or vocabulary do not suffice."""
        encoded = [self._encode(item) for item in items]
        self._check_vocabulary(encoded)
        with untouched(self.model), torch.no_grad(), self._autocast():
            torch.manual_seed(self.seed)
            try:
                return self._batches(encoded)
            except torch.cuda.OutOfMemoryError:
                pass
            # Outside the except clause: the error would keep the tensors alive that were too many.
            free_memory()
            self.halved = True
            tried, self.batch_size = self.batch_size, max(1, self.batch_size // 2)
            try:
                return self._batches(encoded)
            except torch.cuda.OutOfMemoryError:
                raise Skipped(f"Out of memory at batch size {tried} and again at {self.batch_size}.") from None
            finally:
                free_memory()

    def record(self) -> dict[str, Any]:
        """How the answers are made: what a reader needs to make them again."""
        parameters = {name: value for name, value in self.settings.to_diff_dict().items() if _is_plain(value)}
        revision = getattr(self.model.config, "_commit_hash", None)
        template = getattr(self.tokenizer, "chat_template", None)
        return {
            **parameters,
            "do_sample": bool(self.settings.do_sample),
            "max_new_tokens": self.settings.max_new_tokens,
            "batch_size": self.batch_size,
            "seed": self.seed,
            "dtype": ", ".join(sorted(_dtype_names(self.model))),
            "device": str(self._device),
            "model": getattr(self.model.config, "_name_or_path", "") or type(self.model).__name__,
            "model_revision": revision,
            "template_hash": hashlib.sha256(template.encode()).hexdigest()[:16] if isinstance(template, str) else None,
            "versions": versions(),
        }

    # --- In ----------------------------------------------------------------------------------------------------------
    def _encode(self, item: Item) -> Encoded:
        rendered = None
        if item.messages is not None:
            if not getattr(self.tokenizer, "chat_template", None):
                raise Skipped(
                    "The prompts are messages, and the tokenizer has no chat template. Set one, or give plain prompts."
                )
            rendered = self.tokenizer.apply_chat_template(item.messages, add_generation_prompt=True, tokenize=False)
        text = rendered if rendered is not None else item.prompt or ""
        # A template writes the special tokens itself; a second BOS would be another question.
        bos = getattr(self.tokenizer, "bos_token", None)
        special = rendered is None and not (bos and text.startswith(bos))
        ids = list(self.tokenizer(text, add_special_tokens=special)["input_ids"])
        if (
            not self.is_encoder_decoder
            and special
            and len(ids) > 1
            and ids[-1] == getattr(self.tokenizer, "eos_token_id", None)
        ):
            ids.pop()  # some tokenizers end every text; nothing follows an end
        limit = self._longest_prompt()
        truncated = limit is not None and len(ids) > limit
        if truncated:
            ids = ids[:limit] if self.is_encoder_decoder else ids[-limit:]  # type: ignore[operator]
        return Encoded(item, ids or [self._pad_id], rendered, truncated)

    def _longest_prompt(self) -> int | None:
        """Tokens that leave room for the answer; None where the model has no limit of its own."""
        positions = self._positions
        if positions is None or self.is_encoder_decoder:
            return positions
        return max(1, positions - self.settings.max_new_tokens)

    @property
    def _positions(self) -> int | None:
        """Tokens that the model can hold; a model of several kinds of input says so in its part for text."""
        config = self.model.config
        text = config.get_text_config() if hasattr(config, "get_text_config") and not self.is_encoder_decoder else config
        positions = getattr(text, "max_position_embeddings", None) or getattr(text, "n_positions", None)
        return positions if isinstance(positions, int) and positions > 0 else None

    @property
    def _vocabulary(self) -> int | None:
        """Rows of the embedding; None where it does not tell."""
        try:
            rows = getattr(self.model.get_input_embeddings(), "num_embeddings", None)
        except (AttributeError, NotImplementedError):
            return None
        return rows if isinstance(rows, int) and rows > 0 else None

    def _check_vocabulary(self, encoded: Sequence[Encoded]) -> None:
        """On a GPU a token that the model does not have would end the whole process, training and all."""
        rows = self._vocabulary
        highest = max((max(each.ids) for each in encoded), default=0)
        if rows is not None and highest >= rows:
            raise Skipped(
                f"The tokenizer made token {highest}, and the model knows {rows:,} tokens. "
                "Call model.resize_token_embeddings(len(tokenizer)) after adding tokens."
            )

    @property
    def _pad_id(self) -> int:
        """A token that the model has: masked ones are looked up too."""
        rows = self._vocabulary
        for value in (getattr(self.tokenizer, "pad_token_id", None), getattr(self.tokenizer, "eos_token_id", None)):
            if isinstance(value, int) and (rows is None or value < rows):
                return value
        return 0

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _settings(self) -> Any:
        """The model's own generation config, greedy, with what was asked for on top. A copy: the model's stays as it is."""
        given = self.generation_config
        settings = copy.deepcopy(self.model.generation_config)
        settings.update(do_sample=False, num_beams=1, max_length=None, use_cache=True, **dict.fromkeys(SAMPLING))
        settings.max_new_tokens = self.max_new_tokens
        settings.pad_token_id = self._pad_id
        if settings.eos_token_id is None:
            settings.eos_token_id = getattr(self.tokenizer, "eos_token_id", None)
        asked = given if isinstance(given, Mapping) else given.to_diff_dict() if given is not None else {}
        for name, value in asked.items():
            setattr(settings, name, value)
        if settings.do_sample and "remove_invalid_values" not in asked:
            # Drawing from NaN fails; on a GPU it would end the whole process.
            settings.remove_invalid_values = True
        self._fit(settings)
        return settings

    def _fit(self, settings: Any) -> None:
        """An answer longer than the model's positions would read past their end. Where it fits not at all, half is for the prompt."""
        positions, asked = self._positions, settings.max_new_tokens
        if positions is not None and isinstance(asked, int) and asked >= positions:
            settings.max_new_tokens = max(1, positions - 1 if self.is_encoder_decoder else positions // 2)

    # --- Out ---------------------------------------------------------------------------------------------------------
    def _batches(self, encoded: Sequence[Encoded]) -> list[Output]:
        found: list[Output] = []
        for start in range(0, len(encoded), self.batch_size):
            found += self._batch(encoded[start : start + self.batch_size])
        return found

    def _batch(self, batch: Sequence[Encoded]) -> list[Output]:
        began = time.perf_counter()
        width = max(len(each.ids) for each in batch)
        pads = [[self._pad_id] * (width - len(each.ids)) for each in batch]
        masks = [[0] * len(pad) for pad in pads]
        ones = [[1] * len(each.ids) for each in batch]
        if self.is_encoder_decoder:
            ids, mask = [e.ids + p for e, p in zip(batch, pads, strict=True)], [o + m for o, m in zip(ones, masks, strict=True)]
        else:
            # The answer continues the last token, so the padding stands before the prompt.
            ids, mask = [p + e.ids for e, p in zip(batch, pads, strict=True)], [m + o for o, m in zip(ones, masks, strict=True)]
        produced = self.model.generate(
            input_ids=torch.tensor(ids, device=self._device),
            attention_mask=torch.tensor(mask, device=self._device),
            generation_config=copy.deepcopy(self.settings),
        )
        tokens = (produced if isinstance(produced, torch.Tensor) else produced.sequences).tolist()
        latency = (time.perf_counter() - began) * 1000 / len(batch)
        skip = 1 if self.is_encoder_decoder else width
        each_returns = len(tokens) // len(batch)
        return [self._output(each, tokens[place * each_returns][skip:], latency) for place, each in enumerate(batch)]

    def _output(self, asked: Encoded, tokens: list[int], latency: float) -> Output:
        ends = self.settings.eos_token_id
        stops = set(ends if isinstance(ends, (list, tuple)) else [ends])
        end = next((place for place, token in enumerate(tokens) if token in stops), None)
        kept = tokens if end is None else tokens[:end]
        text = self.tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return Output(
            item=asked.item,
            text=text,
            prompt_tokens=len(asked.ids),
            completion_tokens=len(kept) + (end is not None),
            finish_reason="length" if end is None else "eos",
            latency_ms=round(latency, 3),
            rendered_prompt=asked.rendered,
            truncated=asked.truncated,
        )

    def _autocast(self) -> Any:
        """A model of one dtype computes in it. One of several (half a body, norms or a head in float32) needs autocast."""
        halves = _dtypes(self.model) & {torch.bfloat16, torch.float16}
        if not halves or len(_dtypes(self.model)) == 1:
            return nullcontext()
        return torch.autocast(self._device.type, dtype=torch.bfloat16 if torch.bfloat16 in halves else torch.float16)


@contextmanager
def untouched(model: Any) -> Iterator[None]:
    """The model in evaluation mode; afterwards every module in its own mode, and all random generators where they were."""
    modes = [(module, module.training) for module in model.modules()]
    states = (random.getstate(), _numpy_state(), torch.get_rng_state())
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else None
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        random.setstate(states[0])
        _set_numpy_state(states[1])
        torch.set_rng_state(states[2])
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        if mps is not None:
            torch.mps.set_rng_state(mps)


def _numpy_state() -> Any:
    try:
        import numpy
    except ImportError:
        return None
    return numpy.random.get_state()


def _set_numpy_state(state: Any) -> None:
    if state is not None:
        import numpy

        numpy.random.set_state(state)


def free_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def unwrapped(model: Any) -> Any:
    """The model itself, under DataParallel, DistributedDataParallel and torch.compile."""
    while True:
        inner = getattr(model, "module", None) or getattr(model, "_orig_mod", None)
        if not isinstance(inner, torch.nn.Module) or hasattr(type(model), "generate"):
            return model
        model = inner


def _dtypes(model: Any) -> set[torch.dtype]:
    return {parameter.dtype for parameter in model.parameters() if parameter.dtype.is_floating_point}


def _dtype_names(model: Any) -> set[str]:
    return {str(dtype).removeprefix("torch.") for dtype in _dtypes(model)}


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str)) or (isinstance(value, list) and len(value) < 20)


def versions() -> dict[str, str]:
    """Of the libraries that the answers depend on."""
    found = {}
    for name in VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
