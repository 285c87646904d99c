"""The table of adapters: key -> dotted path, loaded on first use. Others plug in by the entry point `touchstone.adapters`."""

from importlib import import_module
from importlib.metadata import entry_points

from inference.adapters.base import Adapter, AdapterError

GROUP = "touchstone.adapters"
ADAPTERS = {
    "timm": "inference.adapters.timm:TimmAdapter",
    "ultralytics": "inference.adapters.ultralytics:UltralyticsAdapter",
    "onnx": "inference.adapters.onnx:OnnxAdapter",
}


def known() -> dict[str, str]:
    """Key -> where it is, `package.module:Class`. Ours go before those of the same name that were plugged in."""
    return {entry.name: entry.value for entry in entry_points(group=GROUP)} | ADAPTERS


def adapter(framework: str) -> type[Adapter]:
    """The adapter's class. Raises AdapterError where there is none of that name, or its packages are not installed."""
    where = known().get(framework)
    if where is None:
        raise AdapterError(f"There is no adapter '{framework}'.", f"Known are {', '.join(sorted(known()))}.")
    module, _, name = where.partition(":")
    try:
        found: type[Adapter] = getattr(import_module(module), name)
    except ImportError as error:
        raise AdapterError(
            f"The adapter '{framework}' needs the package {error.name}, which is not installed here.",
            "Install requirements-inference.txt where the workers of the queue 'gpu' run.",
        ) from error
    return found
