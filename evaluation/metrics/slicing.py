"""Images by what they have in common, as positions: made from what is known of every image, without asking."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from evaluation.metrics.columns import Flags, Ints, Scene
from evaluation.metrics.outcome import Slices

PER_IMAGE = [("none", 0, 0), ("1", 1, 1), ("2 to 4", 2, 4), ("5 to 9", 5, 9), ("10 or more", 10, None)]
MEGAPIXELS = [("below 0.3 megapixels", 0.0, 0.3), ("0.3 to 1 megapixel", 0.3, 1.0), ("above 1 megapixel", 1.0, np.inf)]
# A square is that within a twentieth.
NEARLY = 0.05


def slices_of(
    scene: Scene,
    splits: Sequence[str] = (),
    object_images: Ints | None = None,
    tags: Mapping[str, Sequence[int]] | None = None,
) -> Slices:
    """By split, objects per image, orientation, size and tag. A group into which all images fall says nothing and is left out."""
    groups = {
        "split": _named(splits),
        "objects per image": {}
        if object_images is None
        else _by_count(np.bincount(object_images, minlength=scene.image_count)),
        "orientation": _orientations(scene),
        "image size": _sizes(scene),
    }
    found = {name: parts for name, parts in groups.items() if len(parts) > 1}
    if tags:
        found["tag"] = {tag: np.array(sorted(images), np.int64) for tag, images in tags.items()}
    return Slices(found)


def _named(names: Sequence[str]) -> dict[str, Ints]:
    known = np.array(names, dtype=object)
    return {name: np.flatnonzero(known == name) for name in sorted(set(names))}


def _by_count(counts: Ints) -> dict[str, Ints]:
    return _present((name, (counts >= low) & (counts <= (np.inf if high is None else high))) for name, low, high in PER_IMAGE)


def _orientations(scene: Scene) -> dict[str, Ints]:
    width, height = scene.sizes.T.astype(float)
    known = (width > 0) & (height > 0)
    ratio = np.divide(width, height, out=np.ones(len(width)), where=known)
    wide, tall = ratio > 1 + NEARLY, ratio < 1 / (1 + NEARLY)
    return _present([("landscape", known & wide), ("portrait", known & tall), ("square", known & ~wide & ~tall)])


def _sizes(scene: Scene) -> dict[str, Ints]:
    pixels = scene.sizes.prod(axis=1) / 1e6
    return _present((name, (pixels > low) & (pixels <= high)) for name, low, high in MEGAPIXELS)


def _present(parts: Iterable[tuple[str, Flags]]) -> dict[str, Ints]:
    return {name: np.flatnonzero(inside) for name, inside in parts if inside.any()}
