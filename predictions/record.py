"""The record of a run: how its answers were made and judged, and in what two runs differ, in words."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from predictions.models import PredictionRun
from predictions.totals import bleu_signature

LONGEST_IN_WORDS = 80
# What a record reads beside its run: select it with the run.
RECORDED = ("set_version__prediction_set", "dataset", "split")
# As a trainer's client names them in generation_params; what is in neither list is a parameter of its library's generation.
SETTINGS = {
    "model": "Model",
    "model_revision": "Model revision",
    "template_hash": "Template",
    "dtype": "Number format",
    "device": "Device",
    "batch_size": "Batch size",
}
PARAMETERS = {
    "do_sample": "Sampling",
    "temperature": "Temperature",
    "top_p": "Top p",
    "top_k": "Top k",
    "num_beams": "Beams",
    "max_new_tokens": "Most new tokens",
    "seed": "Seed",
}
# What two model states differ in by their nature.
OF_THE_STATE = ("model", "checkpoint", "bleu_signature")


class Entry(NamedTuple):
    """`value` is None where nothing tells."""

    name: str
    label: str
    value: Any

    @property
    def text(self) -> str:
        """The value as people read it."""
        if isinstance(self.value, bool):
            return "yes" if self.value else "no"
        return self.value if isinstance(self.value, str) else json.dumps(self.value)


def record(run: PredictionRun) -> list[Entry]:
    """Everything known of how a run came about, in the order in which people read it; what is not known is left out."""
    given = dict(run.generation_params)
    versions = given.pop("versions", None)
    questions = [
        Entry("prediction_set", "Prediction set", str(run.set_version) if run.set_version else None),
        Entry("set_hash", "Content of the set", run.set_version.content_hash[:16] if run.set_version else None),
        Entry("dataset", "Dataset", run.dataset.name if run.dataset else None),
        Entry("split", "Split", run.split.name if run.split else None),
        Entry("checkpoint", "Checkpoint", run.checkpoint),
    ]
    settings = [Entry(name, label, given.pop(name, None)) for name, label in SETTINGS.items()]
    parameters = [Entry(name, label, given.pop(name, None)) for name, label in PARAMETERS.items()]
    others = [Entry(name, name.replace("_", " ").capitalize(), given[name]) for name in sorted(given)]
    judged = [
        Entry("score_version", "Score definitions", run.score_version),
        Entry("validator_version", "Validators", run.validator_version),
        Entry("bleu_signature", "BLEU", bleu_signature() if run.score_version else None),
    ]
    found = [*questions, *settings, *parameters, *others, *_libraries(versions), *judged]
    return [entry for entry in found if entry.value not in (None, "")]


def _libraries(versions: Any) -> list[Entry]:
    if not isinstance(versions, Mapping):
        return [Entry("versions", "Libraries", versions)]
    return [Entry(f"versions.{name}", str(name), versions[name]) for name in sorted(versions)]


def differences(a: PredictionRun, b: PredictionRun) -> list[str]:
    """In what two runs differ besides the model state itself; what is not known of one is said, of both is not."""
    one, other = ({entry.name: entry for entry in record(run)} for run in (a, b))
    names = [name for name in [*one, *(name for name in other if name not in one)] if name not in OF_THE_STATE]
    if _are_other_models(a, b):
        names = [name for name in names if name != "model_revision"]
    words = []
    if bool(a.generation_params) != bool(b.generation_params):
        silent = "the second" if a.generation_params else "the first"
        words.append(f"How the answers of {silent} were made is not recorded.")
        made = set(SETTINGS) | set(PARAMETERS) | set(a.generation_params) | set(b.generation_params)
        names = [name for name in names if name not in made and not name.startswith("versions.")]
    for name in names:
        mine, theirs = one.get(name), other.get(name)
        if mine is None or theirs is None or mine.value != theirs.value:
            label = (mine or theirs).label  # type: ignore[union-attr]
            words.append(f"{label}: {_in_words(mine)} against {_in_words(theirs)}.")
    return words


def _are_other_models(a: PredictionRun, b: PredictionRun) -> bool:
    """A revision says something of one model only."""
    models = [run.generation_params.get("model") for run in (a, b)]
    return None not in models and models[0] != models[1]


def _in_words(entry: Entry | None) -> str:
    if entry is None:
        return "unknown"
    return entry.text if len(entry.text) <= LONGEST_IN_WORDS else f"{entry.text[:LONGEST_IN_WORDS]}…"


def as_dict(run: PredictionRun) -> dict[str, Any]:
    """The record by name, as the API writes it."""
    return {entry.name: entry.value for entry in record(run)}
