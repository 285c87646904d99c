"""A classifier's input, described as timm describes it: what is done to one picture, and the arithmetic for the whole batch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image as Pictures
from timm.data import create_transform
from timm.data.transforms import MaybeToTensor
from torchvision.transforms import Compose, Normalize, ToTensor

from inference.adapters.base import Image, check_size

# Scaled to the shortest side, the middle cut out, 0 to 1: what is done where a model says no more.
PLAIN = {"mean": (0.0,) * 3, "std": (1.0,) * 3, "interpolation": "bilinear", "crop_pct": 1.0, "crop_mode": "center"}


# Of an image longer than so many times its width only the middle is scaled.
MOST_RATIO = 32


def middle(image: Image) -> Image:
    """All that a crop of the centre will show of a very long image: the whole, scaled by its short side, fits into no memory."""
    height, width = image.shape[:2]
    most = min(height, width) * MOST_RATIO
    top, left = max(0, height - most) // 2, max(0, width - most) // 2
    return image[top : top + most, left : left + most]


class ClassifierInput:
    """`config`: timm's input_size [channels, height, width], interpolation, crop_pct, crop_mode, mean and std of 0 to 1."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        known = {key: config[key] for key in ("input_size", *PLAIN)}
        known["input_size"] = tuple(known["input_size"])
        # The whole is scaled so that the crop has the input's size: a share of nearly nothing makes it endless.
        check_size([side / max(known["crop_pct"], 1e-9) for side in known["input_size"][1:]])
        *on_picture, to_tensor, normalize = create_transform(**known, is_training=False).transforms
        assert isinstance(to_tensor, (MaybeToTensor, ToTensor)) and isinstance(normalize, Normalize)
        self.is_cropped = known["crop_mode"] == "center"
        self.is_grey = known["input_size"][0] == 1
        self._on_picture = Compose(on_picture)
        self.mean, self.std = (np.asarray(value, np.float32).reshape(-1, 1, 1) for value in (normalize.mean, normalize.std))

    def pixels(self, image: Image) -> Image:
        """uint8 [height, width, channels]."""
        picture = Pictures.fromarray(middle(image) if self.is_cropped else image)
        pixels = np.asarray(self._on_picture(picture.convert("L") if self.is_grey else picture))
        return pixels[..., None] if pixels.ndim == 2 else pixels


def plain(size: Sequence[int], channels: int = 3, **told: Any) -> dict[str, Any]:
    """The description for an input of that size (height, width), with what is told beside it.

    A side unlike the other is reached by stretching, as Ultralytics does it.
    """
    shape = "center" if size[0] == size[1] else "squash"
    wanted = {key: value for key, value in told.items() if key in PLAIN and value}
    return {**PLAIN, "crop_mode": shape, **wanted, "input_size": (channels, *size)}
