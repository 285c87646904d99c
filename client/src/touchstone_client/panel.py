"""The predictions panel: what a training job samples, how often and how. Form, API and client validate it here."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

SOURCES = ("dataset", "set")
FREQUENCIES = ("epoch", "eval", "steps")
SET_REFERENCE = re.compile(r"(?P<name>[^@\s][^@]{0,118})@(?P<version>[1-9][0-9]{0,8}|latest)")
WHOLE_NUMBERS = {
    "sample_count": (1, 10_000),
    "every_steps": (1, 10_000_000),
    "seed": (0, 2**32 - 1),
    "max_new_tokens": (1, 32_768),
    "batch_size": (1, 4096),
}
OPTIONAL = ("every_steps", "max_overhead")


class PanelError(ValueError):
    """What is wrong with a panel, field by field."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in errors.items()))
        self.errors = errors


@dataclass(frozen=True)
class Panel:
    """`sample_frequency` is `epoch`, `eval`, or `steps` with `every_steps`. `max_overhead` is a share of training time."""

    enabled: bool = True
    source: str = "dataset"
    dataset_path: str = ""
    prediction_set: str = ""
    sample_count: int = 32
    sample_frequency: str = "epoch"
    every_steps: int | None = None
    seed: int = 42
    max_new_tokens: int = 128
    batch_size: int = 8
    validators: list[Any] = field(default_factory=list)
    max_overhead: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def firings(self, *, epochs: float, steps_per_epoch: int | None = None) -> int | None:
        """How often it samples in a training; None where the steps decide and are not known."""
        if not self.enabled:
            return 0
        if self.sample_frequency != "steps":
            return int(epochs)
        if steps_per_epoch is None or not self.every_steps:
            return None
        return int(epochs * steps_per_epoch) // self.every_steps

    def tokens(self, firings: int, item_count: int | None = None) -> int:
        """The most tokens that so many firings write."""
        return firings * (self.sample_count if item_count is None else item_count) * self.max_new_tokens


def parse_panel(given: Mapping[str, Any]) -> Panel:
    """The panel of a config's `predictions`. Raises PanelError, which names every field that is wrong."""
    errors: dict[str, str] = {}
    known = {name: value for name, value in given.items() if name in Panel.__dataclass_fields__}
    for name in given.keys() - known.keys():
        errors[name] = f"Unknown. Known are {', '.join(Panel.__dataclass_fields__)}."
    for name in OPTIONAL:
        if known.get(name) == "":
            known[name] = None
    for name, value in known.items():
        reason = _wrong(name, value)
        if reason:
            errors[name] = reason
    if not errors:
        errors = _contradictions(Panel(**known))
    if errors:
        raise PanelError(errors)
    return Panel(**known)


def _wrong(name: str, value: Any) -> str | None:
    """What is wrong with a single field."""
    if name in WHOLE_NUMBERS:
        return _wrong_number(name, value)
    if name == "enabled":
        return None if isinstance(value, bool) else "Must be true or false."
    if name in ("source", "sample_frequency"):
        choices = SOURCES if name == "source" else FREQUENCIES
        return None if value in choices else f"Must be one of {', '.join(choices)}."
    if name == "validators":
        return None if isinstance(value, list) else "Must be a list."
    if name == "max_overhead":
        fits = value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 1)
        return None if fits else "Must be a share of the training time above 0 and up to 1, such as 0.05."
    return None if isinstance(value, str) and len(value) <= 2000 else "Must be a text of up to 2,000 characters."


def _wrong_number(name: str, value: Any) -> str | None:
    if value is None and name in OPTIONAL:
        return None
    least, most = WHOLE_NUMBERS[name]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        return f"Must be a whole number from {least:,} to {most:,}."
    return None


def _contradictions(panel: Panel) -> dict[str, str]:
    """What only shows between fields. A disabled panel may be incomplete: nobody reads it."""
    if not panel.enabled:
        return {}
    errors = {}
    if panel.source == "set" and not panel.prediction_set:
        errors["prediction_set"] = "Choose a prediction set, as name@version."
    if panel.prediction_set and not SET_REFERENCE.fullmatch(panel.prediction_set):
        errors["prediction_set"] = "Must read name@version, such as golden@3 or golden@latest."
    if panel.sample_frequency == "steps" and not panel.every_steps:
        errors["every_steps"] = "Say after how many steps to sample."
    return errors
