"""Models by a name of the Hugging Face hub, such as hf-hub:timm/resnet18.a1_in1k: what the hub says of them, and their weights.

The hub is asked once: what it sent stays in Hugging Face's own cache, and is taken from there where the hub cannot be reached.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from inference.adapters.base import AdapterError

PREFIXES = ("hf-hub:", "hf_hub:")
FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class HubModel:
    """`architecture` is timm's own name, unless only the hub knows how the model is built. `config`: timm's `pretrained_cfg`."""

    architecture: str
    config: dict[str, Any]
    weights: Path

    @property
    def class_names(self) -> list[str]:
        names = self.config.get("label_names") or []
        return [str(name) for name in names] if isinstance(names, (list, tuple)) else []


def is_hub_name(name: str) -> bool:
    return name.startswith(PREFIXES)


def config_of(name: str) -> dict[str, Any]:
    """What the hub says of the model's input and classes. Raises AdapterError."""
    return _described(name)[0]


def fetched(name: str) -> HubModel:
    """The model with its file of weights. Raises AdapterError."""
    from huggingface_hub.errors import EntryNotFoundError
    from timm.models._hub import download_from_hf

    config, architecture, arguments = _described(name)
    for file in FILES:
        try:
            path = _asked(name, partial(download_from_hf, _id_of(name), file))
        except EntryNotFoundError:
            continue
        return HubModel(name if arguments else architecture, config, Path(path))
    raise AdapterError(f"'{_id_of(name)}' on the hub has no weights that timm reads.", f"Looked for: {', '.join(FILES)}.")


def _id_of(name: str) -> str:
    return name.partition(":")[2]


def _described(name: str) -> tuple[dict[str, Any], str, dict[str, Any]]:
    from huggingface_hub.errors import EntryNotFoundError
    from timm.models._hub import load_model_config_from_hf

    try:
        found: tuple[dict[str, Any], str, dict[str, Any]] = _asked(name, partial(load_model_config_from_hf, _id_of(name)))
    except (EntryNotFoundError, KeyError, ValueError, TypeError):
        raise AdapterError(
            f"'{_id_of(name)}' on the hub is no model of timm's.", "Its config.json must name an architecture."
        ) from None
    return found


def _asked(name: str, ask: Callable[[], Any]) -> Any:
    """What the hub answers. Raises AdapterError where it cannot be asked, or has no such model; EntryNotFoundError for a file."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        return ask()
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError):
        raise AdapterError(
            f"The hub has no model '{_id_of(name)}' that may be read from here.",
            "Check the name; for a private one set HF_TOKEN where this runs.",
        ) from None
    except EntryNotFoundError as missing:
        if not isinstance(missing, LocalEntryNotFoundError):
            raise
        raise _unreachable(name) from None
    except (HfHubHTTPError, OSError):
        raise _unreachable(name) from None


def _unreachable(name: str) -> AdapterError:
    return AdapterError(
        f"The hub cannot be reached for '{_id_of(name)}', and its files are not here from earlier.",
        "Connect this machine (HF_ENDPOINT names a mirror), or download the weights elsewhere and register the file.",
    )
