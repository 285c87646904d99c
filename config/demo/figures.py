"""Jointed wooden figures lying on the table, with the places of their joints. Pure: numpy."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from config.demo.scenes import COLUMNS, ROWS, Circle, Picture, Table, Thing, lay_spread
from config.demo.surfaces import Floats, Rng
from config.demo.things import Colour, Sprite, grid, plain, sprite, vary

KEYPOINTS = [
    "head", "neck", "pelvis",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
]  # fmt: skip
# Pairs of keypoint numbers, counted from 1 as COCO does.
SKELETON = [
    [1, 2], [2, 3], [2, 4], [2, 5], [4, 6], [5, 7], [6, 8], [7, 9], [3, 10], [3, 11], [10, 12], [11, 13], [12, 14], [13, 15],
]  # fmt: skip

Joints = dict[str, npt.NDArray[np.float64]]


@dataclass(slots=True)
class Figure:
    """A labelled figure and its joints: x, y (pixels) and COCO's visibility, 0 outside, 1 hidden, 2 seen; (15, 3)."""

    thing: Thing
    keypoints: npt.NDArray[np.float64]


def draw_figures(seed: int) -> tuple[Picture, list[Figure]]:
    """One to three figures, some with fruit over their limbs."""
    rng = np.random.default_rng([13, seed])
    table = Table(rng)
    count = int(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]))
    laid = [
        _lay_figure(table, (place + 0.5) / count, rng.uniform(0.78, 1.25) / (1 + 0.16 * (count - 1))) for place in range(count)
    ]
    centres: list[Circle] = [(*joints["neck"], 45.0) for _, joints in laid]
    lay_spread(table, 0.8, int(rng.integers(1, 7)), 0.9, centres)
    things = {number: thing for number, _ in laid if (thing := table.thing(number))}
    figures = [Figure(things[number], _keypoints(table, number, joints)) for number, joints in laid if number in things]
    return Picture(table.photograph(), list(things.values())), figures


def _lay_figure(table: Table, across: float, scale: float) -> tuple[int, Joints]:
    """Limbs first, then trunk and head over them. The number of its label, and its joints."""
    rng = table.rng
    wood = vary(rng, (0.80, 0.59, 0.38), 0.07)
    number = table.label("figure")
    centre = np.array([COLUMNS * across + rng.normal(0, 25), ROWS * rng.uniform(0.40, 0.58)])
    joints = _pose(rng, centre, scale, rng.normal(0, 0.5))
    for side in ("left", "right"):
        for start, end, thick, thin in (
            ("hip", "knee", 17, 12),
            ("knee", "ankle", 12, 8.5),
            ("shoulder", "elbow", 12, 9),
            ("elbow", "wrist", 9, 7),
        ):
            _lay_limb(table, number, joints[f"{side}_{start}"], joints[f"{side}_{end}"], thick * scale, thin * scale, wood)
        for joint, size in (("knee", 9.5), ("elbow", 8), ("ankle", 9), ("wrist", 8)):
            _lay_ball(table, number, joints[f"{side}_{joint}"], size * scale, wood)
    _lay_limb(table, number, joints["neck"], joints["pelvis"], 36 * scale, 25 * scale, wood)
    _lay_limb(table, number, joints["left_hip"], joints["right_hip"], 19 * scale, 19 * scale, wood)
    _lay_limb(table, number, joints["left_shoulder"], joints["right_shoulder"], 14 * scale, 14 * scale, wood)
    _lay_limb(table, number, joints["neck"], joints["head"], 9 * scale, 9 * scale, wood)
    _lay_limb(table, number, joints["head"], joints["head"] * 1.18 - joints["neck"] * 0.18, 22 * scale, 24 * scale, wood)
    return number, joints


def _pose(rng: Rng, centre: npt.NDArray[np.float64], scale: float, lean: float) -> Joints:
    """Joints of a figure that faces the camera, so that its left is on the right. Angles from straight down, clockwise."""

    def away(start: npt.NDArray[np.float64], angle: float, length: float) -> npt.NDArray[np.float64]:
        return start + scale * length * np.array([np.sin(angle + lean), np.cos(angle + lean)])

    joints: Joints = {"pelvis": away(centre, 0, 42)}
    joints["neck"] = away(centre, np.pi, 48)
    joints["head"] = away(joints["neck"], np.pi + rng.normal(0, 0.25), 36)
    for side, sign in (("left", 1), ("right", -1)):
        joints[f"{side}_shoulder"] = away(away(joints["neck"], sign * np.pi / 2, 38), 0, 9)
        joints[f"{side}_hip"] = away(away(joints["pelvis"], sign * np.pi / 2, 19), 0, 6)
        arm, leg = rng.choice([0.35, 1.2, 2.2]) + rng.normal(0, 0.3), abs(rng.normal(0.15, 0.35))
        joints[f"{side}_elbow"] = away(joints[f"{side}_shoulder"], sign * arm, 54)
        joints[f"{side}_wrist"] = away(joints[f"{side}_elbow"], sign * (arm + rng.normal(0.2, 0.7)), 50)
        joints[f"{side}_knee"] = away(joints[f"{side}_hip"], sign * leg, 68)
        joints[f"{side}_ankle"] = away(joints[f"{side}_knee"], sign * (leg - abs(rng.normal(0, 0.5))), 66)
    return joints


def _lay_limb(
    table: Table,
    number: int,
    start: npt.NDArray[np.float64],
    end: npt.NDArray[np.float64],
    thick: float,
    thin: float,
    wood: Colour,
) -> None:
    middle, (across, down) = (start + end) / 2, end - start
    table.lay(
        _limb(table.rng, float(np.hypot(across, down)), float(np.arctan2(down, across)), thick, thin, wood), *middle, number
    )


def _limb(rng: Rng, length: float, angle: float, thick: float, thin: float, wood: Colour) -> Sprite:
    """A turned piece of wood between two points: thick at its start, thin at its end, with a slight belly."""
    x, y = grid(int(length / 2 + max(thick, thin)) + 3, angle)
    along = np.clip(x / max(length, 1) + 0.5, 0, 1)
    width = (thick + (thin - thick) * along) * (0.80 + 0.20 * np.sin(np.pi * np.clip(along * 0.86 + 0.07, 0, 1)))
    beyond = np.maximum(np.abs(x) - length / 2, 0)
    distance = (np.hypot(beyond, y) - width).astype(np.float32)
    height = np.sqrt(np.clip(width**2 - y**2 - beyond**2, 0, None)).astype(np.float32)
    return sprite(_wood(rng, x, y, wood), distance, height, 0.22, 26)


def _wood(rng: Rng, x: Floats, y: Floats, wood: Colour) -> Floats:
    grain = np.sin(y * 1.1 + 0.02 * x + 0.8 * np.sin(0.05 * x + rng.uniform(0, 6)))
    return plain(x.shape, wood) * (1 + 0.035 * grain)[..., None].astype(np.float32)


def _lay_ball(table: Table, number: int, place: npt.NDArray[np.float64], radius: float, wood: Colour) -> None:
    x, y = grid(int(radius) + 3)
    distance = np.hypot(x, y) - np.float32(radius)
    height = np.sqrt(np.clip(radius**2 - x**2 - y**2, 0, None)).astype(np.float32)
    darker = wood[0] * 0.85, wood[1] * 0.80, wood[2] * 0.76
    table.lay(sprite(plain(x.shape, darker), distance, height, 0.3, 30), *place, number)


def _keypoints(table: Table, number: int, joints: Joints) -> npt.NDArray[np.float64]:
    found = np.zeros((len(KEYPOINTS), 3))
    for row, name in enumerate(KEYPOINTS):
        x, y = joints[name]
        if 0 <= x < COLUMNS and 0 <= y < ROWS:
            found[row] = x, y, 2 if table.owner[int(y), int(x)] == number else 1
    return found
