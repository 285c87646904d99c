"""Where a classifier looked: Grad-CAM (Selvaraju et al., 2017) on the last layer that still knows places. For workers."""

from typing import Any

import cv2
import numpy as np
import torch

from inference.adapters.base import Adapter, AdapterError, Image

# Places on a side; networks for small pictures end in layers of two by two, which say little.
FINE = 4


def heat_map(adapter: Adapter, image: Image, class_id: int | None = None) -> np.ndarray[Any, Any]:
    """float32 [height, width] of the image, 0 to 1: how much each place spoke for the class (default: the model's own choice).

    All zero where nothing spoke for it. What preprocessing cut off is 0. Raises AdapterError for what is no classifier in torch.
    """
    if adapter.task_type != "classification":
        raise AdapterError(f"Grad-CAM explains classifiers; this checkpoint is for {adapter.task_type}.")
    module = adapter.torch_module()
    batch = adapter.input_tensor([adapter.preprocess(image)]).clone().requires_grad_(True)
    layer, scores = _watched(module, batch)
    chosen = int(scores[0].argmax()) if class_id is None else class_id
    (slopes,) = torch.autograd.grad(scores[0, chosen], layer)
    maps, slopes = _as_maps(module, layer), _as_maps(module, slopes)
    weights = slopes.mean((2, 3), keepdim=True)
    heat = torch.relu((weights * maps).sum(1))[0].detach().float().cpu().numpy()
    heat = heat / heat.max() if heat.max() > 0 else heat
    return _on_image(heat, adapter.preprocessing, image)


def _watched(module: Any, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The output of the last layer that still knows places, and the scores that came of it."""
    seen: dict[bool, torch.Tensor] = {}  # by whether it is fine enough to tell places well

    def note(_: Any, __: Any, output: Any) -> None:
        if not isinstance(output, torch.Tensor):
            return
        if output.ndim == 3:
            seen.clear()  # it goes on in rows of tokens, which are no picture
        elif output.ndim == 4 and (side := _smaller_side(module, output)) > 1:
            seen[side >= FINE] = output

    def note_tokens(_: Any, __: Any, output: torch.Tensor) -> None:
        seen[True] = output

    tokens = _last_tokens(module)
    watched = [(tokens, note_tokens)] if tokens is not None else [(part, note) for part in module.modules()]
    hooks = [part.register_forward_hook(hook) for part, hook in watched]
    try:
        with torch.enable_grad():
            answer = module(batch)
    finally:
        for hook in hooks:
            hook.remove()
    if not seen:
        raise AdapterError("The last layers of this architecture keep no places apart, which Grad-CAM needs.")
    # Ultralytics answers with probabilities and the scores before them; the slope of a sure probability is nearly zero.
    return seen[True] if True in seen else seen[False], answer[-1] if isinstance(answer, (tuple, list)) else answer


def _last_tokens(module: Any) -> Any:
    """Of timm's vision transformers the last layer whose tokens all count: after it the class token alone is read."""
    if not hasattr(module, "num_prefix_tokens") or not hasattr(getattr(module, "patch_embed", None), "grid_size"):
        return None
    return getattr(module.blocks[-1], "norm1", None)


def _smaller_side(module: Any, output: torch.Tensor) -> int:
    return min(output.shape[1:3] if _has_channels_last(module) else output.shape[2:])


def _has_channels_last(module: Any) -> bool:
    """As Swin's layers have them."""
    return str(getattr(module, "output_fmt", "NCHW")) == "NHWC"


def _as_maps(module: Any, values: torch.Tensor) -> torch.Tensor:
    """[1, channels, rows, columns] of a layer's output, or of its slopes."""
    if values.ndim == 3:
        rows, columns = module.patch_embed.grid_size
        places = values[:, module.num_prefix_tokens :]
        return places.transpose(1, 2).reshape(1, -1, rows, columns)
    return values.permute(0, 3, 1, 2) if _has_channels_last(module) else values


def _on_image(heat: np.ndarray[Any, Any], told: dict[str, Any], image: Image) -> np.ndarray[Any, Any]:
    """From the middle that the model saw to the whole image."""
    height, width = image.shape[:2]
    _, seen_height, seen_width = told["input_size"]
    if told["crop_mode"] == "squash":
        share_y = share_x = told["crop_pct"]
    else:
        # The side that is the shorter one against the input's shape is seen to the crop's share.
        gain = max(seen_height / height, seen_width / width) / told["crop_pct"]
        share_y, share_x = min(1.0, seen_height / (height * gain)), min(1.0, seen_width / (width * gain))
    part_height, part_width = max(1, round(height * share_y)), max(1, round(width * share_x))
    whole = np.zeros((height, width), np.float32)
    top, left = (height - part_height) // 2, (width - part_width) // 2
    whole[top : top + part_height, left : left + part_width] = cv2.resize(heat, (part_width, part_height)).clip(0, 1)
    return whole
