"""Tabletops: wood, stone and cloth made of noise. Pure: numpy and Pillow. Colours are arrays (rows, columns, 3) from 0 to 1."""

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Rng = np.random.Generator

# Larger than a picture, so that every picture shows another part of it.
ROWS, COLUMNS = 760, 1000


def enlarge(grid: Floats, rows: int, columns: int) -> Floats:
    """A smooth enlargement of a small array of numbers."""
    image = Image.fromarray(grid.astype(np.float32), mode="F")
    return np.asarray(image.resize((columns, rows), Image.Resampling.BICUBIC), dtype=np.float32)


def noise(rng: Rng, rows: int, columns: int, cell: tuple[float, float], octaves: int = 4) -> Floats:
    """Fractal noise about zero. `cell` is the size of its largest grain in pixels (down, across); each octave halves it."""
    total = np.zeros((rows, columns), np.float32)
    strength = 1.0
    for octave in range(octaves):
        down, across = (
            max(2, round(length / max(1.0, size / 2**octave))) for length, size in zip((rows, columns), cell, strict=True)
        )
        total += strength * enlarge(rng.standard_normal((down + 1, across + 1)).astype(np.float32), rows, columns)
        strength /= 2
    return total


def blend(low: tuple[float, float, float], high: tuple[float, float, float], share: Floats) -> Floats:
    """From the one colour (share 0) to the other (share 1)."""
    share = np.clip(share, 0, 1)[..., None]
    return (np.array(low, np.float32) * (1 - share) + np.array(high, np.float32) * share).astype(np.float32)


def _planks(rng: Rng, dark: tuple[float, float, float], light: tuple[float, float, float], width: int) -> Floats:
    rows = np.arange(ROWS)
    plank = rows // width
    shade = rng.uniform(-0.13, 0.13, ROWS // width + 1).astype(np.float32)[plank]
    waves = noise(rng, ROWS, COLUMNS, (90, 700), 3)
    waves += rng.uniform(-3, 3, ROWS // width + 1).astype(np.float32)[plank][:, None]
    rings = 0.5 + 0.5 * np.sin(waves * 7 + rows[:, None] * 0.11)
    fibre = noise(rng, ROWS, COLUMNS, (2.2, 160), 2)
    share = 0.5 + 0.22 * (rings - 0.5) + 0.11 * fibre + shade[:, None] + 0.05 * waves
    surface = blend(dark, light, share)
    gap = np.abs((rows % width) - width + 0.5)
    return surface * (1 - 0.6 * np.exp(-((np.minimum(gap, rows % width) / 1.6) ** 2)))[:, None, None].astype(np.float32)


def _oak(rng: Rng) -> Floats:
    return _planks(rng, (0.47, 0.31, 0.17), (0.83, 0.65, 0.44), 170)


def _walnut(rng: Rng) -> Floats:
    return _planks(rng, (0.16, 0.09, 0.055), (0.42, 0.27, 0.18), 230)


def _painted(rng: Rng) -> Floats:
    return _planks(rng, (0.58, 0.66, 0.67), (0.92, 0.94, 0.92), 130)


def _marble(rng: Rng) -> Floats:
    bent = noise(rng, ROWS, COLUMNS, (320, 320), 5)
    veins = np.exp(-np.abs(np.sin(bent * 1.7 + np.linspace(0, 9, COLUMNS, dtype=np.float32))) * 13)
    fine = np.exp(-np.abs(noise(rng, ROWS, COLUMNS, (260, 260), 5)) * 16)
    cloud = noise(rng, ROWS, COLUMNS, (220, 220), 3)
    return blend((0.90, 0.895, 0.885), (0.52, 0.53, 0.55), 0.09 * cloud + 0.55 * veins + 0.3 * fine)


def _slate(rng: Rng) -> Floats:
    layers = noise(rng, ROWS, COLUMNS, (160, 340), 6)
    grit = rng.standard_normal((ROWS, COLUMNS)).astype(np.float32)
    return blend((0.12, 0.135, 0.155), (0.34, 0.36, 0.385), 0.4 + 0.16 * layers + 0.05 * grit)


def _weave(rng: Rng, dark: tuple[float, float, float], light: tuple[float, float, float]) -> Floats:
    rows, columns = np.mgrid[0:ROWS, 0:COLUMNS].astype(np.float32)
    wobble = noise(rng, ROWS, COLUMNS, (40, 40), 2) * 0.7
    threads = np.sin((rows + wobble) * 2.1) * np.sin((columns + wobble) * 2.1)
    slubs = noise(rng, ROWS, COLUMNS, (2, 70), 2) + noise(rng, ROWS, COLUMNS, (70, 2), 2)
    folds = noise(rng, ROWS, COLUMNS, (420, 300), 2)
    return blend(dark, light, 0.55 + 0.13 * threads + 0.09 * slubs + 0.16 * folds)


def _linen(rng: Rng) -> Floats:
    return _weave(rng, (0.62, 0.57, 0.49), (0.93, 0.89, 0.82))


def _blue_cloth(rng: Rng) -> Floats:
    return _weave(rng, (0.12, 0.21, 0.34), (0.38, 0.51, 0.66))


def _checked(rng: Rng) -> Floats:
    """A chequered tablecloth: two crossing rows of stripes over the weave."""
    cloth = _weave(rng, (0.80, 0.78, 0.74), (0.97, 0.96, 0.93))
    bands = (np.arange(max(ROWS, COLUMNS)) // 62 % 2).astype(np.float32)
    stripes = (bands[:ROWS, None] + bands[None, :COLUMNS])[..., None] / 2
    return cloth * (1 - stripes * np.array([0.20, 0.52, 0.50], np.float32))


# How to make each, and its share of the pictures.
TABLETOPS: list[tuple[Callable[[Rng], Floats], float]] = [
    (_oak, 0.18),
    (_walnut, 0.14),
    (_painted, 0.13),
    (_marble, 0.15),
    (_slate, 0.14),
    (_linen, 0.13),
    (_blue_cloth, 0.08),
    (_checked, 0.05),
]


@cache
def tabletop(kind: int) -> Pixels:
    """The whole of one tabletop, made once per process."""
    surface = TABLETOPS[kind][0](np.random.default_rng(kind))
    return (surface.clip(0, 1) * 255).astype(np.uint8)


def cut_tabletop(rng: Rng, rows: int, columns: int) -> Pixels:
    """A part of some tabletop, turned over at random, as an array of its own: (rows, columns, 3), 0 to 255."""
    whole = tabletop(int(rng.choice(len(TABLETOPS), p=[share for _, share in TABLETOPS])))
    top, left = rng.integers(ROWS - rows + 1), rng.integers(COLUMNS - columns + 1)
    part = whole[top : top + rows, left : left + columns]
    return part[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])].copy()
