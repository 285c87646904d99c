"""Where models run. Imports torch: for workers only."""

import os

import torch

from inference.adapters.base import AdapterError


def choose(wanted: str = "auto") -> str:
    """The device's name for torch: the best there is for `auto`, else the wanted one. Raises AdapterError."""
    if wanted == "auto":
        return _best()
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise AdapterError(
            f"There is no device '{wanted}' here: {reason}", "Set TOUCHSTONE_DEVICE to auto, cpu, cuda, cuda:N or mps."
        ) from None
    return f"{device.type}:{device.index or 0}" if device.type == "cuda" else device.type


def _best() -> str:
    if torch.cuda.is_available():
        return "cuda:0"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def describe(device: str) -> str:
    """For people: the card's name, or the processor's threads."""
    if device.startswith("cuda"):
        return f"{torch.cuda.get_device_name(device)} ({device})"
    return f"{device}, {torch.get_num_threads()} threads" if device == "cpu" else device


def set_determinism(on: bool) -> None:
    """For the whole process: the same bits each time where `on`, else the fastest algorithms, chosen by measuring."""
    if on:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(on, warn_only=True)
    torch.backends.cudnn.benchmark = not on
    torch.backends.cudnn.allow_tf32 = not on
    torch.backends.cuda.matmul.allow_tf32 = not on


def wait(device: str) -> None:
    """Until the device has done what it was asked to."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device == "mps":
        torch.mps.synchronize()
