"""Asking a model leaves no trace in it, and every known trap is stepped over."""

import copy
import random
from typing import Any

import numpy
import pytest
import torch
from tiny import LETTERS, make_model, make_seq2seq, make_tokenizer
from transformers import GPT2Config, GPT2LMHeadModel

from touchstone_client import Item
from touchstone_client.generator import Generator, Skipped

ITEMS = [Item(number, prompt="abc" * (number + 1) + "=") for number in range(5)]


def make(model: Any = None, tokenizer: Any = None, **further: Any) -> Generator:
    return Generator(model or make_model(), tokenizer or make_tokenizer(), max_new_tokens=6, **further)


def test_it_is_deterministic_and_independent_of_the_batch_size() -> None:
    texts = [[output.text for output in make(batch_size=size).generate(ITEMS)] for size in (1, 2, 5, 5)]
    assert texts[0] == texts[1] == texts[2] == texts[3]


def test_answers_come_in_the_order_of_the_items_with_their_counts() -> None:
    outputs = make(batch_size=2).generate(ITEMS)
    assert [output.item for output in outputs] == ITEMS
    assert [output.prompt_tokens for output in outputs] == [4, 7, 10, 13, 16]
    assert all(0 < output.completion_tokens <= 6 and output.latency_ms > 0 for output in outputs)


def test_every_module_is_in_its_own_mode_again() -> None:
    model = make_model()
    model.train()
    model.model.layers[0].eval()  # a frozen part that is kept in evaluation mode
    before = [module.training for module in model.modules()]
    make(model).generate(ITEMS)
    assert [module.training for module in model.modules()] == before


def states() -> tuple[Any, ...]:
    _, words, *place = numpy.random.get_state()
    return random.getstate(), words.tolist(), place, torch.get_rng_state().tolist()


@pytest.mark.parametrize("sampled", [None, {"do_sample": True, "temperature": 1.5}])
def test_all_random_generators_are_where_they_were(sampled: Any) -> None:
    generator = make(generation_config=sampled)
    before = states()
    generator.generate(ITEMS)
    assert states() == before


def test_all_is_restored_after_an_error_too() -> None:
    model = make_model().train()
    before = states()
    model.generate = lambda **_: (torch.rand(3), numpy.random.rand(3), random.random(), 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make(model).generate(ITEMS)
    assert (model.training, states()) == (True, before)


def test_sampling_draws_alike_at_every_firing() -> None:
    generator = make(generation_config={"do_sample": True, "temperature": 2.0})
    first = [o.text for o in generator.generate(ITEMS)]
    torch.rand(7)  # the training goes on between two firings
    assert [o.text for o in generator.generate(ITEMS)] == first


def test_the_tokenizer_and_the_configurations_stay() -> None:
    model, tokenizer = make_model(use_cache=False), make_tokenizer(pad=False)
    tokenizer.padding_side = "right"
    before = copy.deepcopy((model.config.to_dict(), model.generation_config.to_dict()))
    make(model, tokenizer).generate(ITEMS)
    assert (tokenizer.padding_side, tokenizer.pad_token) == ("right", None)
    assert (model.config.to_dict(), model.generation_config.to_dict()) == before


def test_the_model_s_own_way_of_answering_is_not_ours() -> None:
    plain = [output.text for output in make().generate(ITEMS)]
    model = make_model()
    model.generation_config.update(do_sample=True, temperature=9.0, top_k=1, num_beams=3, max_length=8)
    generator = make(model)
    assert [output.text for output in generator.generate(ITEMS)] == plain
    asked = {
        name: getattr(generator.settings, name) for name in ("do_sample", "num_beams", "max_length", "temperature", "top_k")
    }
    assert asked == {"do_sample": False, "num_beams": 1, "max_length": None, "temperature": None, "top_k": None}


def test_the_cache_is_used_where_the_training_has_it_switched_off() -> None:
    model = make_model(use_cache=False)
    widths = []
    forward = model.forward
    model.forward = lambda *args, **kwargs: (widths.append(kwargs["input_ids"].shape[1]), forward(*args, **kwargs))[1]
    make(model, batch_size=5).generate(ITEMS)
    assert widths[0] == 16 and set(widths[1:]) == {1}


def test_gradient_checkpointing_stays_on_and_does_no_harm() -> None:
    model = make_model().train()
    plain = [output.text for output in make(model).generate(ITEMS)]
    model.gradient_checkpointing_enable()
    assert [output.text for output in make(model).generate(ITEMS)] == plain
    assert model.is_gradient_checkpointing and all(layer.gradient_checkpointing for layer in model.model.layers)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mixed", ["pure", "head in float32", "norms in float32"])
def test_half_models_answer(dtype: torch.dtype, mixed: str) -> None:
    model = make_model().to(dtype)
    if mixed == "head in float32":
        model.lm_head.float()
    if mixed == "norms in float32":
        for name, module in model.named_modules():
            if name.endswith("norm"):
                module.float()
    forward, dtypes = model.forward, set()
    model.forward = lambda *args, **kwargs: (dtypes.add(autocast_dtype()), forward(*args, **kwargs))[1]
    assert len(make(model).generate(ITEMS)) == 5
    assert dtypes == {None if mixed == "pure" else dtype}


def autocast_dtype() -> torch.dtype | None:
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None


def test_a_float32_model_under_autocast_answers() -> None:
    model = make_model()
    forward = model.forward

    def under_autocast(*args: Any, **kwargs: Any) -> Any:  # as accelerate wraps it for bf16=True
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return forward(*args, **kwargs)

    model.forward = under_autocast
    assert len(make(model).generate(ITEMS)) == 5


class Recorder:
    """The ids that the model was given."""

    def __init__(self, model: Any) -> None:
        self.ids: list[list[int]] = []
        generate = model.generate

        def recorded(**kwargs: Any) -> Any:
            self.ids += kwargs["input_ids"].tolist()
            return generate(**kwargs)

        model.generate = recorded


@pytest.mark.parametrize("adds_bos", [False, True])
def test_a_template_s_bos_is_the_only_one(adds_bos: bool) -> None:
    model = make_model()
    seen = Recorder(model)
    make(model, make_tokenizer(adds_bos=adds_bos)).generate([Item(0, messages=[{"role": "user", "content": "hi"}])])
    assert seen.ids[0].count(1) == 1


def test_a_prompt_that_begins_with_bos_gets_no_second_one() -> None:
    model = make_model()
    seen = Recorder(model)
    make(model, make_tokenizer(adds_bos=True)).generate([Item(0, prompt="<s>hi"), Item(1, prompt="hi")])
    assert [ids.count(1) for ids in seen.ids] == [1, 1]


def test_nothing_is_asked_after_an_end() -> None:
    model = make_model()
    seen = Recorder(model)
    make(model, make_tokenizer(adds_eos=True)).generate([Item(0, prompt="hi")])
    assert seen.ids[0][-1] != 2


def test_padding_stands_on_the_left() -> None:
    model = make_model()
    seen = Recorder(model)
    make(model, batch_size=5).generate(ITEMS)
    assert all(ids[-1] != 0 for ids in seen.ids) and seen.ids[0][0] == 0


def test_messages_without_a_template_are_told() -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = None
    with pytest.raises(Skipped, match="chat template"):
        make(tokenizer=tokenizer).generate([Item(0, messages=[{"role": "user", "content": "hi"}])])


def test_too_long_a_prompt_is_cut_on_the_left_and_says_so() -> None:
    model = make_model()
    seen = Recorder(model)
    output = make(model).generate([Item(0, prompt="a" * 200 + "xyz")])[0]
    assert (output.truncated, output.prompt_tokens, len(seen.ids[0])) == (True, 58, 58)
    assert seen.ids[0][-3:] == make_tokenizer()("xyz")["input_ids"]


def test_the_end_is_told_from_the_limit() -> None:
    model = make_model()
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.lm_head.weight[2] = 0  # all alike: the first token, padding, is chosen
    limit = make(model).generate(ITEMS[:1])[0]
    model.generation_config.eos_token_id = 0
    ended = make(model).generate(ITEMS[:1])[0]
    assert (limit.finish_reason, limit.completion_tokens, ended.finish_reason, ended.completion_tokens) == (
        "length",
        6,
        "eos",
        1,
    )


@pytest.mark.parametrize("failures", [1, 2])
def test_out_of_memory_halves_once_then_skips(failures: int) -> None:
    model = make_model()
    generate, calls = model.generate, []

    def hungry(**kwargs: Any) -> Any:
        calls.append(len(kwargs["input_ids"]))
        if len(calls) <= failures:
            raise torch.cuda.OutOfMemoryError("too many")
        return generate(**kwargs)

    model.generate = hungry
    generator = make(model, batch_size=4)
    if failures == 1:
        assert len(generator.generate(ITEMS)) == 5 and calls == [4, 2, 2, 1] and generator.halved
    else:
        with pytest.raises(Skipped, match="batch size 4 and again at 2"):
            generator.generate(ITEMS)


def test_encoder_decoders_answer() -> None:
    outputs = make(make_seq2seq(), make_tokenizer(adds_eos=True), batch_size=2).generate(ITEMS)
    assert [output.prompt_tokens for output in outputs] == [5, 8, 11, 14, 17]


def test_the_record_names_what_is_needed_to_do_it_again() -> None:
    record = make().record()
    assert {
        "do_sample",
        "max_new_tokens",
        "dtype",
        "device",
        "batch_size",
        "template_hash",
        "model_revision",
        "seed",
    } <= record.keys()
    assert (record["do_sample"], record["dtype"], record["max_new_tokens"]) == (False, "float32", 6)
    assert {"torch", "transformers"} <= record["versions"].keys()


def test_a_model_that_cannot_generate_is_told() -> None:
    with pytest.raises(Skipped, match="generates"):
        make(torch.nn.Linear(2, 2))


# --- What would end the process on a GPU -----------------------------------------------------------------------------------
def make_gpt2(**further: Any) -> GPT2LMHeadModel:
    """Its positions are a table: reading past their end is an error, on a GPU a fatal one."""
    settings = {"vocab_size": 4 + len(LETTERS), "n_positions": 16, "n_embd": 16, "n_layer": 1, "n_head": 2}
    return GPT2LMHeadModel(GPT2Config(**settings | {"bos_token_id": 1, "eos_token_id": 2} | further))


@pytest.mark.parametrize("asked", [15, 16, 40])
def test_an_answer_never_reads_past_the_positions(asked: int) -> None:
    generator = Generator(make_gpt2(), make_tokenizer(), max_new_tokens=asked)
    output = generator.generate([Item(0, prompt="abcdefghijklmnop")])[0]
    assert output.truncated and output.prompt_tokens + output.completion_tokens <= 16
    assert generator.record()["max_new_tokens"] == (15 if asked == 15 else 8)


def test_a_token_that_the_model_does_not_have_is_told() -> None:
    with pytest.raises(Skipped, match="resize_token_embeddings"):
        make(make_gpt2(vocab_size=10)).generate([Item(0, prompt="Z")])


def test_padding_that_the_model_does_not_have_is_not_used() -> None:
    tokenizer = make_tokenizer(pad=False)
    tokenizer.add_special_tokens({"pad_token": "<added>"})
    model = make_gpt2()
    assert tokenizer.pad_token_id >= model.config.vocab_size
    assert len(make(model, tokenizer).generate(ITEMS[:2])) == 2 and tokenizer.pad_token == "<added>"


def test_a_model_that_became_nan_is_sampled_without_an_error() -> None:
    model = make_model()
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))
    assert len(make(model, generation_config={"do_sample": True}).generate(ITEMS[:2])) == 2
