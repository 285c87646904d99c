"""Several processes: rank 0 samples where that is safe, the others wait for what it found."""

from typing import Any

import torch
from torch import distributed


def is_distributed() -> bool:
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def rank() -> int:
    return distributed.get_rank() if is_distributed() else 0


def shared(value: Any) -> Any:
    """Rank 0's value, on every rank; each must call it at the same place. What the others give is ignored."""
    if not is_distributed():
        return value
    holder = [value]
    distributed.broadcast_object_list(holder, src=0)
    return holder[0]


def unsafe_reason(model: Any, args: Any) -> str | None:
    """Why rank 0 cannot generate alone: its model holds only a part of the weights. None where it can."""
    kind = _sharding(model, args)
    if kind is None:
        return None
    return (
        f"{kind} spreads the weights over processes, so that sampling inside the training is not safe, and is switched off. "
        "Sample from the saved checkpoints instead: touchstone sample CHECKPOINT_DIR --prompts FILE"
    )


def _sharding(model: Any, args: Any) -> str | None:
    if getattr(args, "fsdp", None):
        return "FSDP"
    if any("FullyShardedDataParallel" in type(module).__name__ or "FSDPModule" in _bases(module) for module in model.modules()):
        return "FSDP"
    stage = _zero_stage(args)
    if stage == 3 or any(hasattr(parameter, "ds_id") for parameter in model.parameters()):
        return "DeepSpeed ZeRO-3"
    if any(
        type(parameter).__name__ == "DTensor" or type(parameter.data).__name__ == "DTensor" for parameter in model.parameters()
    ):
        return "Tensor parallelism"
    return None


def _bases(module: torch.nn.Module) -> set[str]:
    return {base.__name__ for base in type(module).__mro__}


def _zero_stage(args: Any) -> int | None:
    plugin = getattr(args, "deepspeed_plugin", None) or getattr(args, "hf_deepspeed_config", None)
    for source in (plugin, getattr(plugin, "hf_ds_config", None)):
        if source is None:
            continue
        if callable(getattr(source, "is_zero3", None)) and source.is_zero3():
            return 3
        stage = getattr(source, "zero_stage", None)
        if isinstance(stage, int):
            return stage
    given = getattr(args, "deepspeed", None)
    if isinstance(given, dict):
        return given.get("zero_optimization", {}).get("stage")
    return None
