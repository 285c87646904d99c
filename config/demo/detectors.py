"""Simulated detectors: what a network of some skill would say of a picture whose truth is known. Pure: numpy and Pillow.

No network was trained. A simulated one misses small and hidden things, draws its boxes the less well the smaller a thing is,
takes similar things for one another, reports some twice, sees things where nothing is, and is roughly as sure as it is right.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from config.demo.figures import Figure
from config.demo.scenes import COLUMNS, ROWS, Mask, Picture, Thing, segmentation
from config.demo.surfaces import Rng, enlarge

Box = tuple[float, float, float, float]

SIMILAR = {
    "apple": ["tomato", "plum"],
    "tomato": ["apple", "orange"],
    "plum": ["apple", "egg"],
    "orange": ["lemon", "tomato"],
    "lemon": ["lime", "orange", "egg"],
    "lime": ["lemon"],
    "cherry": ["tomato", "blueberry"],
    "blueberry": ["cherry", "plum"],
    "banana": ["lemon", "spoon"],
    "egg": ["plum", "cookie", "lemon"],
    "cookie": ["egg", "apple"],
    "mug": ["bowl"],
    "bowl": ["mug"],
    "spoon": ["banana"],
}
LEAST_SCORE = 0.05


@dataclass(frozen=True, slots=True)
class Skill:
    """How good a detector is: `half_found` is the side in pixels at which it finds half of the things, `jitter` the error of
    a box's edges as a share of its sides, `mistakes` the share of wrong classes, `alarms` the false ones per picture."""

    half_found: float
    jitter: float
    mistakes: float
    duplicates: float
    alarms: float
    sureness: float
    masks: bool = False


RUNS = {
    "nano-epoch-05": Skill(half_found=24, jitter=0.105, mistakes=0.20, duplicates=0.16, alarms=2.6, sureness=-0.7),
    "nano-epoch-20": Skill(half_found=15, jitter=0.060, mistakes=0.09, duplicates=0.07, alarms=1.3, sureness=0.0),
    "small-final": Skill(half_found=9, jitter=0.028, mistakes=0.03, duplicates=0.03, alarms=0.6, sureness=0.7, masks=True),
}
POSE_RUNS = {
    "pose-epoch-10": Skill(half_found=60, jitter=0.060, mistakes=0.12, duplicates=0.08, alarms=0.35, sureness=-0.3),
    "pose-final": Skill(half_found=25, jitter=0.022, mistakes=0.02, duplicates=0.02, alarms=0.08, sureness=0.6),
}


@dataclass(slots=True)
class Detection:
    name: str
    box: Box
    score: float
    mask: list[list[float]] | dict[str, Any] | None = None
    keypoints: list[float] | None = None


def detect_things(rng: Rng, picture: Picture, skill: Skill) -> list[Detection]:
    """What the detector says of a laid table, surest first."""
    found: list[Detection] = []
    for thing in picture.things:
        found += _in_crowd(rng, thing, skill) if thing.is_crowd else _of_thing(rng, thing, skill)
    found += _false_alarms(rng, picture, skill)
    return _surest_first(found)


def detect_figures(rng: Rng, figures: list[Figure], skill: Skill) -> list[Detection]:
    """What the detector says of wooden figures, with keypoints as COCO writes them: x, y and 1 for each."""
    found: list[Detection] = []
    for figure in figures:
        for detection in _of_thing(rng, figure.thing, skill):
            detection.name = figure.thing.name
            detection.keypoints = _keypoints(rng, figure, skill)
            found.append(detection)
    for _ in range(rng.poisson(skill.alarms)):
        box = _anywhere(rng, rng.uniform(60, 160))
        spots = rng.uniform(0, 1, (len(figures[0].keypoints), 2)) * box[2:] + box[:2] if figures else np.zeros((0, 2))
        found.append(Detection("figure", box, _score(rng, 0.30, skill), keypoints=_flat(spots)))
    return _surest_first(found)


def _surest_first(found: list[Detection]) -> list[Detection]:
    return sorted((one for one in found if one.score >= LEAST_SCORE), key=lambda one: -one.score)


def _of_thing(rng: Rng, thing: Thing, skill: Skill) -> Iterator[Detection]:
    side = np.sqrt(thing.area)
    chance = 0.985 / (1 + (skill.half_found / side) ** 2.6) * min(1.0, 0.35 + thing.visible_share)
    if rng.random() > chance:
        return
    box = _jittered(rng, thing.box, skill, side)
    # Small and hidden things are mistaken more often.
    mistaken = rng.random() < skill.mistakes * (1 + 14 / side) * (1.4 - 0.4 * thing.visible_share)
    name = str(rng.choice(SIMILAR.get(thing.name, [thing.name]))) if mistaken else thing.name
    sureness = overlap(thing.box, box) * (0.75 + 0.25 * thing.visible_share) - 0.22 * mistaken - 1.6 / side
    score = _score(rng, sureness, skill)
    yield Detection(name, box, score, _mask_in(rng, thing.mask, box) if skill.masks else None)
    if rng.random() < skill.duplicates:
        again = _jittered(rng, _jittered(rng, thing.box, skill, side), skill, side / 3)
        yield Detection(name, again, score * rng.uniform(0.25, 0.75), _mask_in(rng, thing.mask, again) if skill.masks else None)
    if mistaken and rng.random() < 0.4:
        yield Detection(
            thing.name, box, score * rng.uniform(0.4, 0.95), _mask_in(rng, thing.mask, box) if skill.masks else None
        )


def _in_crowd(rng: Rng, thing: Thing, skill: Skill) -> Iterator[Detection]:
    """Single berries out of a heap that the truth marks as a crowd."""
    size = np.sqrt(thing.area / 60)
    chance = 1 / (1 + (skill.half_found / size) ** 2.6)
    rows, columns = np.nonzero(thing.mask)
    for spot in rng.integers(0, len(rows), rng.binomial(34, chance)):
        side = size * rng.uniform(0.8, 1.2)
        box = _inside(thing.left + columns[spot] - side / 2, thing.top + rows[spot] - side / 2, side, side)
        disc = _disc() if skill.masks else None
        yield Detection(
            thing.name, box, _score(rng, rng.uniform(0.35, 0.75), skill), None if disc is None else _mask_in(rng, disc, box)
        )


def _false_alarms(rng: Rng, picture: Picture, skill: Skill) -> Iterator[Detection]:
    for clutter in picture.clutter:
        if rng.random() < min(0.8, 0.35 * skill.alarms):
            box = _jittered(rng, clutter.box, skill, 30)
            yield Detection(
                clutter.mistaken_for, box, _score(rng, 0.48, skill), _mask_in(rng, _disc(), box) if skill.masks else None
            )
    for _ in range(rng.poisson(skill.alarms)):
        box = _anywhere(rng, float(np.exp(rng.normal(3.4, 0.6))))
        name = str(rng.choice(list(SIMILAR)))
        yield Detection(name, box, _score(rng, 0.25, skill), _mask_in(rng, _disc(), box) if skill.masks else None)


def _score(rng: Rng, quality: float, skill: Skill) -> float:
    """From how well a detection fits (0 to 1) to how sure the detector is of it."""
    return float(1 / (1 + np.exp(-(7.5 * (quality - 0.55) + skill.sureness + rng.normal(0, 0.75)))))


def _jittered(rng: Rng, box: Box, skill: Skill, side: float) -> Box:
    """The box as drawn by the detector: edges off by a share of the sides, and by a pixel or so in any case."""
    left, top, width, height = box
    off = rng.normal(0, skill.jitter * (1 + 6 / side), 4) * (width, height, width, height) + rng.normal(0, 0.35, 4)
    return _inside(left + off[0], top + off[1], width - off[0] + off[2], height - off[1] + off[3])


def _anywhere(rng: Rng, side: float) -> Box:
    shape = rng.uniform(0.6, 1.5)
    return _inside(rng.uniform(0, COLUMNS - 20), rng.uniform(0, ROWS - 20), side * shape, side / shape)


def _inside(left: float, top: float, width: float, height: float) -> Box:
    x, y = min(max(left, 0.0), COLUMNS - 2), min(max(top, 0.0), ROWS - 2)
    return float(x), float(y), float(max(2.0, min(left + width, COLUMNS) - x)), float(max(2.0, min(top + height, ROWS) - y))


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes (x, y, width, height)."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if across <= 0 or down <= 0:
        return 0.0
    return across * down / (one[2] * one[3] + other[2] * other[3] - across * down)


def _disc() -> Mask:
    down, across = np.mgrid[-1:1:40j, -1:1:40j]
    disc: Mask = down**2 + across**2 < 1
    return disc


def _mask_in(rng: Rng, mask: Mask, box: Box) -> list[list[float]] | dict[str, Any]:
    """The mask, stretched into the box, with an edge that wavers as a network's does."""
    width, height = max(3, round(box[2])), max(3, round(box[3]))
    soft = Image.fromarray((mask * 255).astype(np.uint8)).resize((width, height), Image.Resampling.BILINEAR)
    waver = enlarge(rng.standard_normal((5, 5)).astype(np.float32), height, width)
    stretched: Mask = np.asarray(soft, np.float32) / 255 + 0.16 * waver > 0.5
    if not stretched.any():
        stretched = np.ones((height, width), bool)
    left, top = min(round(box[0]), COLUMNS - width), min(round(box[1]), ROWS - height)
    return segmentation(Thing("", max(0, left), max(0, top), stretched))


def _keypoints(rng: Rng, figure: Figure, skill: Skill) -> list[float]:
    """The joints as the network sees them: off by a share of the figure's size, left and right now and then swapped."""
    spots = figure.keypoints[:, :2].copy()
    seen = figure.keypoints[:, 2]
    left, top, width, height = figure.thing.box
    spots[seen == 0] = (left + width / 2, top + height / 2)
    error = 0.55 * skill.jitter * np.sqrt(width * height) * np.where(seen == 2, 0.5, 1.6)
    spots += rng.normal(0, 1, spots.shape) * error[:, None]
    if rng.random() < 3 * skill.mistakes:
        for pair in ([3, 4], [5, 6], [7, 8]) if rng.random() < 0.5 else ([9, 10], [11, 12], [13, 14]):
            spots[pair] = spots[pair[::-1]]
    return _flat(spots.clip(0, (COLUMNS - 1, ROWS - 1)))


def _flat(spots: npt.NDArray[np.float64]) -> list[float]:
    return np.column_stack([spots.round(2), np.ones(len(spots))]).ravel().tolist()
