"""Sample predictions of a training, sent to Touchstone.

`TouchstoneCallback` serves the Hugging Face Trainer, `Run` any other loop. Nothing heavy is imported until it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from touchstone_client.callback import TouchstoneCallback
    from touchstone_client.errors import TouchstoneError
    from touchstone_client.items import Item
    from touchstone_client.run import Run
    from touchstone_client.sampler import sample

__version__ = "0.1.0"
__all__ = ["Item", "Run", "TouchstoneCallback", "TouchstoneError", "sample"]

_HOMES = {"Item": "items", "Run": "run", "TouchstoneCallback": "callback", "TouchstoneError": "errors", "sample": "sampler"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'touchstone_client' has no attribute {name!r}")
    return getattr(import_module(f"touchstone_client.{_HOMES[name]}"), name)
