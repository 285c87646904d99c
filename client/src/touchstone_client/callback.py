"""The Hugging Face callback: asks the model the same questions at every firing, and sends what it says."""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from touchstone_client import distributed, scoring
from touchstone_client.errors import TouchstoneError
from touchstone_client.generator import Generator, Output, Skipped, versions
from touchstone_client.items import Item
from touchstone_client.panel import Panel, PanelError, parse_panel
from touchstone_client.run import Run
from touchstone_client.sampler import sample

log = logging.getLogger("touchstone")
METRIC = "touchstone_"


@dataclass(frozen=True)
class Plan:
    """What every rank must agree on: whether to fire, and when. `error` stops the training before it begins."""

    enabled: bool = True
    frequency: str = "epoch"
    every: int = 0
    error: str = ""


@dataclass(frozen=True)
class Shot:
    """What rank 0 found at a firing: the means of its scores, and how many of the next firings to leave out."""

    means: dict[str, float] = field(default_factory=dict)
    leave_out: int = 0


class TouchstoneCallback(TrainerCallback):
    """Add it with `trainer.add_callback(TouchstoneCallback(...))`, before EarlyStoppingCallback where that watches our scores.

    Arguments beat environment variables, which beat the panel that the job's page holds. `freq` is "epoch", "eval" or "steps"
    with `every=N`; `every=N` alone means steps. Questions come from `prompts` (with `references`), `dataset_path` or
    `prediction_set="name@3"`. After a firing the evaluation's metrics hold `eval_touchstone_<score>` (chrF where it is chosen by).

    Raises TouchstoneError here and when the training is about to begin; later nothing that fails stops it.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        job_id: str | None = None,
        project: str | None = None,
        run_name: str | None = None,
        mode: str | None = None,
        dir: str | Path | None = None,
        *,
        prompts: Any = None,
        dataset_path: str | Path | None = None,
        prediction_set: str | None = None,
        references: Sequence[str | None] | None = None,
        num_prompts: int | None = None,
        freq: str | None = None,
        every: int | None = None,
        generation_config: Any = None,
        max_new_tokens: int | None = None,
        batch_size: int | None = None,
        seed: int | None = None,
        max_overhead: float | None = None,
        processing_class: Any = None,
    ) -> None:
        if sum(given is not None for given in (prompts, dataset_path, prediction_set)) > 1:
            raise TouchstoneError("Give one of prompts=, dataset_path= and prediction_set=, not several.")
        if references is not None and prompts is None:
            raise TouchstoneError("references= stands beside prompts=, and there are none.")
        if freq == "steps" and not every:
            raise TouchstoneError('freq="steps" needs every=N.')
        self.run = Run(url, token, job_id, project, run_name, mode, dir, framework="transformers")
        self.prompts, self.references = prompts, references
        self.generation_config, self.processing_class = generation_config, processing_class
        given = {
            "dataset_path": None if dataset_path is None else str(dataset_path),
            "prediction_set": prediction_set,
            "source": "set" if prediction_set else "dataset" if prompts is not None or dataset_path is not None else None,
            "sample_count": num_prompts,
            "sample_frequency": "steps" if every else freq,
            "every_steps": every,
            "max_new_tokens": max_new_tokens,
            "batch_size": batch_size,
            "seed": seed,
            "max_overhead": max_overhead,
        }
        self._given = {name: value for name, value in given.items() if value is not None}
        self._panel({})  # what is wrong with the arguments is said now
        self.panel = Panel()
        self.items: list[Item] = []
        self.set_name = ""
        self.plan: Plan | None = None
        self.missed_count = 0
        self._fired_at: int | None = None
        self._means: dict[str, float] = {}
        self._means_at: int | None = None
        self._leave_out = 0
        self._since = 0.0
        self._told_overhead = False
        self._eval_metrics: dict[str, float] = {}
        # The dearest score is worked out here only where the trainer chooses by it; the server scores all.
        self._wants_chrf = False

    def _panel(self, of_job: Mapping[str, Any]) -> Panel:
        try:
            return parse_panel({**of_job, **self._given})
        except PanelError as error:
            raise TouchstoneError(f"The predictions panel does not fit: {error}") from None

    # --- Before the training -----------------------------------------------------------------------------------------
    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.run.settings.is_disabled:
            return
        self._forget()
        plan = None
        if distributed.rank() == 0:
            try:
                plan = self._prepare(args, state, kwargs.get("model"))
            except TouchstoneError as error:
                plan = Plan(enabled=False, error=str(error))
            except Exception as error:
                self.run.warn(f"Touchstone is off for this training ({type(error).__name__}: {error}).")
                plan = Plan(enabled=False)
        self.plan = distributed.shared(plan)
        if self.plan.error:
            raise TouchstoneError(self.plan.error)
        self._since = time.perf_counter()

    def _forget(self) -> None:
        """A callback may see several trainings; each counts its steps anew."""
        self._fired_at = self._means_at = None
        self._means, self._eval_metrics = {}, {}
        self._leave_out = 0

    def _prepare(self, args: Any, state: Any, model: Any) -> Plan:
        """Rank 0: the server, the panel, the questions."""
        info = self.run.start(self._given.get("prediction_set", ""), {"libraries": versions()})
        self.panel = self._panel(info.panel or {})
        if not self.panel.enabled:
            return Plan(enabled=False)
        reason = distributed.unsafe_reason(model, args)
        if reason:
            self.run.warn(reason)
            self.run.missed(reason)
            return Plan(enabled=False)
        self._wants_chrf = (getattr(args, "metric_for_best_model", None) or "").endswith(f"{METRIC}chrf")
        self._draw(info.prediction_set)
        self.run.progress(epoch=_epoch(state), step=state.global_step, total_steps=state.max_steps)
        return Plan(True, self.panel.sample_frequency, self.panel.every_steps or 0)

    def _draw(self, asked: Mapping[str, Any] | None) -> None:
        """The questions of this training, the same at every firing."""
        if self.panel.source == "set":
            if not asked:
                raise TouchstoneError(
                    f"The prediction set {self.panel.prediction_set!r} could not be fetched, and no earlier start left a copy "
                    f"in {self.run.settings.dir}. Start when the server can be reached, or draw from a file with dataset_path=."
                )
            self.items = [_item(each) for each in asked["items"]]
            self.set_name = f"{asked['name']}@{asked['version']}"
            return
        source = self.prompts if self.prompts is not None else self.panel.dataset_path
        if self.prompts is None and not source:
            raise TouchstoneError(
                "There is nothing to ask: give prompts=, dataset_path= or prediction_set=, or fill in the job's panel."
            )
        self.items = sample(source, self.panel.sample_count, self.panel.seed, self.references)
        name = Path(str(source)).name.split(".")[0] if self.prompts is None else "prompts"
        self.set_name = f"{name}-n{len(self.items)}-seed{self.panel.seed}"[:120]
        self.run.register_set(self.set_name, self.items, "" if self.prompts is not None else str(source), self.panel.seed)

    # --- While it trains ---------------------------------------------------------------------------------------------
    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        plan = self.plan
        if plan is None or not plan.enabled or plan.frequency != "steps":
            return
        if state.global_step % plan.every == 0 or state.global_step == state.max_steps:
            self._fire(state, kwargs)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.plan is not None and self.plan.enabled and self.plan.frequency == "epoch":
            self._fire(state, kwargs)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, Any] | None = None, **kwargs: Any) -> None:
        if self.plan is None or not self.plan.enabled:
            return
        if self.plan.frequency == "eval":
            self._fire(state, kwargs)
        if metrics is None:
            return
        if self._means_at == state.global_step:
            metrics.update({f"eval_{METRIC}{name}": value for name, value in self._means.items()})
        self._keep_promise(args, metrics)
        self._eval_metrics = {name: value for name, value in metrics.items() if isinstance(value, (int, float))}

    def _keep_promise(self, args: Any, metrics: dict[str, Any]) -> None:
        """A trainer that chooses by one of our scores dies without it. The last known one stands in, else NaN, which is never best."""
        wanted = getattr(args, "metric_for_best_model", None) or ""
        name = wanted if wanted.startswith("eval_") else f"eval_{wanted}"
        if name.startswith(f"eval_{METRIC}") and name not in metrics:
            metrics[name] = self._means.get(name.removeprefix(f"eval_{METRIC}"), math.nan)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.plan is None or not self.plan.enabled or distributed.rank() != 0:
            return
        path = Path(args.output_dir).resolve() / f"checkpoint-{state.global_step}"
        self.run.checkpoint(str(path), _epoch(state), state.global_step, self._eval_metrics)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.plan is None:
            return
        if distributed.rank() == 0:
            self.run.progress(epoch=_epoch(state), step=state.global_step, total_steps=state.max_steps)
            self.run.finish()
        self.plan = None

    # --- A firing ----------------------------------------------------------------------------------------------------
    def _fire(self, state: Any, kwargs: Mapping[str, Any]) -> None:
        """Every rank comes by; rank 0 asks, and all learn what it found. An evaluation may call several times a step."""
        if self._fired_at == state.global_step:
            return
        self._fired_at = state.global_step
        if self._leave_out > 0:
            self._leave_out -= 1
            return
        shot = self._shot(state, kwargs) if distributed.rank() == 0 else None
        shot = distributed.shared(shot)
        self._leave_out = shot.leave_out
        if shot.means:
            self._means, self._means_at = shot.means, state.global_step

    def _shot(self, state: Any, kwargs: Mapping[str, Any]) -> Shot:
        epoch, step = _epoch(state), state.global_step
        began = time.perf_counter()
        try:
            means = self._ask(epoch, step, kwargs)
        except Skipped as reason:
            means = self._miss(str(reason), epoch, step)
        except Exception as error:
            means = self._miss(f"{type(error).__name__}: {error}", epoch, step)
        return Shot(means, self._overhead(time.perf_counter() - began, epoch, step, state))

    def _miss(self, reason: str, epoch: float, step: int) -> dict[str, float]:
        self.missed_count += 1
        self.run.warn(f"A firing was missed: {reason} The training goes on.")
        self.run.missed(reason, epoch, step)
        return {}

    def _ask(self, epoch: float, step: int, kwargs: Mapping[str, Any]) -> dict[str, float]:
        generator = Generator(
            kwargs.get("model"),
            self.processing_class or kwargs.get("processing_class") or kwargs.get("tokenizer"),
            self.generation_config,
            self.panel.max_new_tokens,
            self.panel.batch_size,
            self.panel.seed,
        )
        outputs = generator.generate(self.items)
        if generator.halved:
            # It would not fit the next time either.
            self.panel = replace(self.panel, batch_size=generator.batch_size)
            self.run.warn(f"Sampling ran out of memory; its batch size is {generator.batch_size} from now on.")
        rows = [as_row(output) for output in outputs]
        self.run.log(epoch, step, rows, self.set_name, generator.record())
        return mean_scores(outputs, with_chrf=self._wants_chrf)

    def _overhead(self, seconds: float, epoch: float, step: int, state: Any) -> int:
        """What the firing took, of the time since the last one; how many to leave out where that is too much."""
        now = time.perf_counter()
        share = seconds / max(now - self._since, 1e-9)
        self._since = now
        self.run.progress(
            epoch, step, total_steps=state.max_steps, overhead={"seconds": round(seconds, 4), "share": round(share, 5)}
        )
        if not self._told_overhead:
            self._told_overhead = True
            log.warning(
                "Touchstone: sampling %d prompts took %.2f s, %.1f %% of the time so far.",
                len(self.items),
                seconds,
                share * 100,
            )
        most = self.panel.max_overhead
        if most is None or share <= most:
            return 0
        leave_out = math.ceil(share / most) - 1
        self.run.warn(f"Sampling took more than max_overhead={most:g}; it becomes rarer.")
        return leave_out


def _epoch(state: Any) -> float:
    """The trainer adds up fractions; the end of an epoch shall be a whole number."""
    return round(float(state.epoch or 0.0), 4)


def _item(given: Mapping[str, Any]) -> Item:
    """An item as the server writes it."""
    return Item(
        sample_index=int(given["sample_index"]),
        prompt=given.get("prompt"),
        messages=given.get("messages"),
        references=tuple(given.get("references") or ()),
        metadata=dict(given.get("metadata") or {}),
        key=str(given["item_key"]),
    )


def as_row(output: Output) -> dict[str, Any]:
    """An answer as the server takes it."""
    item = output.item
    asked: dict[str, Any] = {"messages": item.messages} if item.prompt is None else {"prompt": item.prompt}
    metadata = dict(item.metadata)
    if output.truncated:
        metadata["prompt_truncated"] = True
    references = list(item.references)
    return {
        "sample_index": item.sample_index,
        "item_key": item.key,
        **asked,
        "ground_truth": references[0] if len(references) == 1 else references or None,
        "prediction": output.text,
        "rendered_prompt": output.rendered_prompt,
        "token_counts": {"prompt": output.prompt_tokens, "completion": output.completion_tokens},
        "latency_ms": output.latency_ms,
        "finish_reason": output.finish_reason,
        "metadata": metadata,
    }


def mean_scores(outputs: Sequence[Output], *, with_chrf: bool = True) -> dict[str, float]:
    """Means of the scores that are defined, by the same definitions as the server's."""
    scored = [scoring.score(output.text, output.item.references, with_chrf=with_chrf) for output in outputs]
    means = {}
    for name in scoring.SCORE_NAMES:
        values = [value for scores in scored if (value := getattr(scores, name)) is not None]
        if values:
            means[name] = sum(values) / len(values)
    return means
