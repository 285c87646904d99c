"""Truth and predictions as columns, which is how metrics read them: one array per field, a row per object.

Images and categories are positions (0, 1, ...), never ids of a file; images in order of their ids. Boxes are COCO xywh in pixels, masks COCO polygons or RLE of
their image's size, keypoints x, y, visibility for each point, noughts where a category has fewer than others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


def by_category(categories: Ints) -> Ints:
    """Positions in order of their categories, of one category in their own order. Small numbers are sorted by counting."""
    return np.argsort(categories.astype(np.uint16) if categories.max(initial=0) < 2**16 else categories, kind="stable")


@dataclass(frozen=True)
class Skeletons:
    """Which points the poses of each category have, and how exactly people place them.

    `sigmas` has the shape [categories, points], in the points' order, NaN past a category's last. Categories with the same of
    `kinds` have the same points; poses of different points cannot be held against each other.
    """

    sigmas: Floats
    kinds: Ints

    @property
    def counts(self) -> Ints:
        """How many points each category has."""
        return np.asarray((~np.isnan(self.sigmas)).sum(axis=1))

    def alike(self) -> list[tuple[Ints, Floats]]:
        """Categories that have the same sigmas, with those; categories without points are left out."""
        found: dict[bytes, list[int]] = {}
        for place in np.flatnonzero(self.counts):
            found.setdefault(self.sigmas[place].tobytes(), []).append(int(place))
        return [(np.array(places), self.sigmas[places[0], : self.counts[places[0]]]) for places in found.values()]


@dataclass(frozen=True)
class Scene:
    """What truth and predictions refer to: image sizes (width, height in pixels, shape [images, 2]) and categories in order; of
    poses also their skeletons.
    """

    sizes: Ints
    category_names: Sequence[str]
    skeletons: Skeletons | None = None

    @property
    def image_count(self) -> int:
        return len(self.sizes)


class Rows:
    """Columns of the same length, of which some may be missing."""

    categories: Ints

    def of_categories(self, categories: Ints) -> Self:
        """The rows of these categories."""
        places = np.flatnonzero(np.isin(self.categories, categories))
        columns = {name: values for name, values in vars(self).items() if values is not None}
        return replace(self, **{name: _at(values, places) for name, values in columns.items()})  # type: ignore[type-var]


def _at(values: Any, places: Ints) -> Any:
    return values[places] if isinstance(values, np.ndarray) else [values[place] for place in places.tolist()]


@dataclass(frozen=True)
class Truth(Rows):
    """Ground truth: `ids` are the annotations' keys; `boxes` has the shape [objects, 4], `keypoints` [objects, points, 3]."""

    ids: Ints
    images: Ints
    categories: Ints
    boxes: Floats
    areas: Floats
    crowds: Flags
    masks: Sequence[Any] | None = None
    keypoints: Floats | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def left_out(self, kind: str) -> Flags:
        """Objects that count neither when found nor when missed: crowds, and for keypoints people without a labelled point."""
        if kind != "keypoints" or self.keypoints is None:
            return self.crowds
        return self.crowds | ~(self.keypoints[:, :, 2] > 0).any(axis=1)


@dataclass(frozen=True)
class Predictions(Rows):
    """What a model claims, in the order of its file: equal scores keep it. Same shapes as of the truth.

    `areas` (pixels) are what sizes go by; None: those of the boxes.
    """

    ids: Ints
    images: Ints
    categories: Ints
    scores: Floats
    boxes: Floats
    masks: Sequence[Any] | None = None
    keypoints: Floats | None = None
    areas: Floats | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def by_score(self) -> Ints:
        """Positions by falling score; of equal scores in order of images, and within an image of the file, as pycocotools goes."""
        return np.lexsort((self.images, -self.scores))


@dataclass(frozen=True)
class LabelColumns:
    """Classification: an image's true and predicted category by position, -1 where it has none, and how sure the model was.

    `probabilities` has the shape [images, classes] in the scene's order of categories, all nought where
    an image has none; None where only first choices are known.
    """

    truth: Ints
    predicted: Ints
    confidence: Floats
    probabilities: Floats | None = None
