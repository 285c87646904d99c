"""What lies on the table, drawn from above: each thing is a height map with colours under one lamp. Pure: numpy and Pillow.

Coordinates are pixels from the thing's centre, y downwards. A shape is given by its signed distance (pixels, negative
inside) and its height over the table (pixels); shading follows from the slope.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from config.demo.surfaces import Floats, Rng, blend, noise

# Where the lamp stands (from the upper left), and halfway between it and the camera above.
LAMP = np.array([-0.42, -0.52, 0.74], np.float32)
HALFWAY = (LAMP + np.array([0, 0, 1], np.float32)) / np.linalg.norm(LAMP + np.array([0, 0, 1], np.float32))
WARM, COOL = np.array([1.06, 1.0, 0.92], np.float32), np.array([0.42, 0.45, 0.50], np.float32)

Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Sprite:
    """A thing drawn: a square picture with its coverage as alpha, and how high it stands in pixels."""

    image: Image.Image
    height: float


def grid(half: int, angle: float = 0.0) -> tuple[Floats, Floats]:
    """x and y of a square patch about the centre, in the frame of a thing that is turned by the angle (radians)."""
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return x * cos + y * sin, y * cos - x * sin


def shade(colour: Floats, height: Floats, gloss: float, sharpness: float = 40) -> Floats:
    """The colours (rows, columns, 3) of a surface of this height under the lamp, with a highlight as strong as `gloss`."""
    down, across = np.gradient(height)
    length = np.sqrt(across**2 + down**2 + 1)
    facing = (-across * LAMP[0] - down * LAMP[1] + LAMP[2]) / length
    mirror = (-across * HALFWAY[0] - down * HALFWAY[1] + HALFWAY[2]) / length
    lit = colour * (COOL + WARM * (0.78 * np.clip(facing, 0, 1))[..., None])
    rim = 0.10 * (1 - 1 / length) ** 3
    return lit + (gloss * np.clip(mirror, 0, 1) ** sharpness + rim)[..., None]


def sprite(colour: Floats, distance: Floats, height: Floats, gloss: float, sharpness: float = 40) -> Sprite:
    """A thing of this outline and height in these colours, under the lamp. Its edge is a pixel wide."""
    pixels = np.concatenate([shade(colour, height, gloss, sharpness), np.clip(0.5 - distance, 0, 1)[..., None]], axis=2)
    return Sprite(Image.fromarray((np.clip(pixels, 0, 1) * 255).astype(np.uint8), mode="RGBA"), float(height.max()))


def plain(shape: tuple[int, int], colour: Colour) -> Floats:
    return np.broadcast_to(np.array(colour, np.float32), (*shape, 3)).copy()


def vary(rng: Rng, colour: Colour, by: float = 0.05) -> Colour:
    red, green, blue = (float(np.clip(part + rng.uniform(-by, by), 0, 1)) for part in colour)
    return red, green, blue


def _ball(distance: Floats, radius: float, flatness: float = 0.95) -> Floats:
    """Height of a ball whose outline is where the distance is zero."""
    share = np.clip(1 + distance / radius, 0, 1)
    return flatness * radius * np.sqrt(np.clip(1 - share**2, 0, 1))


def _dents(rng: Rng, side: int, cell: float) -> Floats:
    return noise(rng, side, side, (cell, cell), 2)


def _polar(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    return np.hypot(x, y), np.arctan2(y, x)


def _stem(colour: Floats, height: Floats, x: Floats, y: Floats, radius: float, tint: Colour) -> Floats:
    """A short stalk from the middle outwards, drawn onto the colours; returns the raised height."""
    line = np.hypot(np.clip(x, 0, 0.34 * radius) - x, y + 0.004 * x**2)
    share = np.clip(1.2 + 0.05 * radius - line, 0, 1)
    colour[:] = colour * (1 - share[..., None]) + np.array(tint, np.float32) * share[..., None]
    return height + share * 0.10 * radius


def apple(rng: Rng, radius: float) -> Sprite:
    x, y = grid(int(radius * 1.2) + 3, rng.uniform(0, 6.3))
    r, angle = _polar(x, y)
    distance = r - radius * (1 + 0.015 * np.cos(5 * angle + rng.uniform(0, 6)) + 0.015 * np.cos(2 * angle))
    streaks = np.interp(angle, np.linspace(-np.pi, np.pi, 80), rng.normal(0, 0.8, 80), period=2 * np.pi).astype(np.float32)
    streaks *= 0.4 + 0.6 * np.clip(r / radius, 0, 1)
    red, green = vary(rng, (0.72, 0.07, 0.08)), vary(rng, (0.80, 0.72, 0.22))
    ripe = rng.uniform(0.55, 1.0)
    colour = blend(green, red, ripe + 0.16 * streaks + 0.30 * np.cos(angle + 1) - 0.5 * np.exp(-((r / radius / 0.22) ** 2)))
    height = _ball(distance, radius) - 0.42 * radius * np.exp(-((r / radius / 0.20) ** 2))
    height = _stem(colour, height, x, y, radius, (0.27, 0.17, 0.08))
    return sprite(colour, distance, height, 0.45, 50)


def tomato(rng: Rng, radius: float) -> Sprite:
    x, y = grid(int(radius * 1.2) + 3, rng.uniform(0, 6.3))
    r, angle = _polar(x, y)
    distance = r - radius * (1 + 0.012 * np.cos(rng.integers(4, 8) * angle) + 0.015 * np.cos(3 * angle + 1))
    colour = blend(vary(rng, (0.83, 0.13, 0.06)), (0.93, 0.42, 0.12), 0.15 + 0.15 * _dents(rng, len(x), radius))
    height = _ball(distance, radius, 0.85) - 0.20 * radius * np.exp(-((r / radius / 0.22) ** 2))
    if rng.random() < 0.75:
        leaf = np.clip(radius * (0.13 + 0.42 * np.abs(np.cos(2.5 * angle)) ** 5) - r, 0, 1)
        colour = colour * (1 - leaf[..., None]) + np.array([0.25, 0.42, 0.14], np.float32) * leaf[..., None]
        height = height + leaf * 0.06 * radius
        height = _stem(colour, height, x, y, radius * 0.7, (0.33, 0.47, 0.17))
    return sprite(colour, distance, height, 0.75, 90)


def plum(rng: Rng, radius: float) -> Sprite:
    x, y = grid(int(radius * 1.25) + 3, rng.uniform(0, 6.3))
    r, _ = _polar(x / 1.12, y)
    crease = np.exp(-((y / radius / 0.07) ** 2)) * (x > -0.2 * radius)
    distance = r - radius
    bloom = 0.30 + 0.22 * _dents(rng, len(x), radius * 0.8)
    colour = blend(vary(rng, (0.22, 0.06, 0.20), 0.03), (0.47, 0.36, 0.56), bloom)
    return sprite(colour, distance, _ball(distance, radius) - 0.05 * radius * crease, 0.22, 18)


def orange(rng: Rng, radius: float) -> Sprite:
    x, y = grid(int(radius * 1.15) + 3, rng.uniform(0, 6.3))
    r, angle = _polar(x, y)
    distance = r - radius * (1 + 0.012 * np.cos(3 * angle + rng.uniform(0, 6)))
    pores = rng.standard_normal(x.shape).astype(np.float32) * (0.30 if radius > 14 else 0.12)
    colour = blend(vary(rng, (0.93, 0.45, 0.05), 0.04), (0.98, 0.62, 0.14), 0.3 + 0.25 * _dents(rng, len(x), radius))
    navel = np.exp(-((r / radius / 0.085) ** 2))
    colour *= (1 - 0.55 * navel)[..., None]
    return sprite(colour, distance, _ball(distance, radius) + pores - 0.10 * radius * navel, 0.38, 22)


def _citrus(rng: Rng, radius: float, dark: Colour, light: Colour, length: float, tip: float) -> Sprite:
    x, y = grid(int(radius * (length + tip) * 1.1) + 3, rng.uniform(0, 6.3))
    half_width = radius * np.sqrt(np.clip(1 - (x / (length * radius)) ** 2, 0, 1))
    nipple = tip * radius * np.exp(-(((np.abs(x) - length * radius) / (0.20 * radius)) ** 2))
    distance = (np.abs(y) - np.maximum(half_width, nipple)) * np.clip(half_width / radius + 0.35, 0.35, 1)
    distance = np.where(np.abs(x) > (length + 0.10) * radius, 4, distance).astype(np.float32)
    body, _ = _polar(x / length, y)
    height = _ball(np.minimum(body - radius, np.maximum(distance, -0.2 * radius)), radius)
    pores = rng.standard_normal(x.shape).astype(np.float32) * (0.26 if radius > 14 else 0.1)
    colour = blend(dark, light, 0.45 + 0.22 * _dents(rng, len(x), radius) + 0.25 * (1 - np.abs(x) / radius))
    return sprite(colour, distance, height + pores * (distance < -1), 0.42, 26)


def lemon(rng: Rng, radius: float) -> Sprite:
    return _citrus(rng, radius * 0.86, vary(rng, (0.90, 0.74, 0.06), 0.04), (0.98, 0.89, 0.30), 1.30, 0.24)


def lime(rng: Rng, radius: float) -> Sprite:
    return _citrus(rng, radius * 0.88, vary(rng, (0.25, 0.47, 0.07), 0.04), (0.60, 0.75, 0.22), 1.17, 0.15)


def cherry(rng: Rng, radius: float) -> Sprite:
    x, y = grid(int(radius * 2.6) + 3, rng.uniform(0, 6.3))
    r, angle = _polar(x, y)
    ball = r - radius * (1 + 0.05 * np.cos(angle) - 0.06 * np.exp(-((angle / 0.5) ** 2)))
    bend = 0.10 * (x - 0.1 * radius) ** 2 / radius
    stalk = np.where((x > 0.1 * radius) & (x < 2.4 * radius), np.abs(y - bend) - max(0.9, 0.055 * radius), 9)
    colour = blend(vary(rng, (0.42, 0.015, 0.05), 0.03), (0.72, 0.06, 0.10), 0.35 + 0.3 * np.cos(angle + 2))
    on_stalk = (stalk < ball) & (ball > -0.8 * radius)
    colour[on_stalk & (stalk < 1)] = (0.42, 0.50, 0.18)
    height = np.maximum(_ball(ball, radius), np.clip(-stalk, 0, 1) * 0.2 * radius)
    return sprite(colour, np.minimum(ball, stalk).astype(np.float32), height, 0.95, 60)


def blueberry(rng: Rng, radius: float) -> Sprite:
    x, y = grid(int(radius * 1.15) + 3, rng.uniform(0, 6.3))
    distance = np.hypot(x, y) - radius
    r, angle = _polar(x - rng.uniform(-0.3, 0.4) * radius, y)
    crown = np.exp(-(((r / radius - 0.24) / 0.10) ** 2)) * (0.6 + 0.4 * np.cos(5 * angle))
    middle = np.exp(-((r / radius / 0.20) ** 2))
    colour = blend(vary(rng, (0.13, 0.16, 0.33), 0.03), (0.42, 0.50, 0.70), 0.35 + 0.25 * _dents(rng, len(x), radius))
    colour *= (1 - 0.75 * middle)[..., None]
    return sprite(colour, distance, _ball(distance, radius) + 0.10 * radius * crown - 0.18 * radius * middle, 0.18, 14)


def egg(rng: Rng, radius: float) -> Sprite:
    x, y = grid(int(radius * 1.35) + 3, rng.uniform(0, 6.3))
    r, _ = _polar(x / 1.22, y * (1 + 0.17 * x / radius))
    distance = r - radius
    shell = (0.93, 0.89, 0.83) if rng.random() < 0.4 else vary(rng, (0.80, 0.57, 0.41), 0.06)
    colour = plain(x.shape, shell) * (1 + 0.02 * _dents(rng, len(x), 4))[..., None]
    return sprite(colour, distance, _ball(distance, radius), 0.16, 16)


def banana(rng: Rng, radius: float) -> Sprite:
    x, y = grid(int(radius * 1.55) + 4, rng.uniform(0, 6.3))
    bow = radius * 1.25
    r, angle = _polar(x, y - bow * 0.72)
    along = (angle + np.pi / 2) / 0.92  # -1 to 1 from tip to tip
    width = radius * 0.27 * np.clip(1 - np.abs(along) ** 3.5, 0, 1) ** 0.6 + radius * 0.06
    side = r - bow
    distance = np.maximum(np.abs(side) - width, (np.abs(along) - 1.08) * bow * 0.9).astype(np.float32)
    colour = blend(vary(rng, (0.93, 0.74, 0.12), 0.03), (0.78, 0.76, 0.25), np.abs(along) ** 4 * rng.uniform(0.2, 0.8))
    spots = _dents(rng, len(x), max(3.0, radius * 0.10)) > rng.uniform(1.7, 3.2)
    colour = np.where((spots | (np.abs(along) > 1.0))[..., None], np.array([0.34, 0.22, 0.10], np.float32), colour)
    profile = np.sqrt(np.clip(1 - (side / width) ** 2, 0, 1))
    ridge = 0.10 * np.exp(-(((side / width) - 0.25) ** 2) / 0.02)
    return sprite(colour.astype(np.float32), distance, width * (profile + ridge) * 1.1, 0.18, 18)


def cookie(rng: Rng, radius: float) -> Sprite:
    x, y = grid(int(radius * 1.2) + 3, rng.uniform(0, 6.3))
    r, angle = _polar(x, y)
    distance = r - radius * (1 + 0.03 * np.cos(4 * angle + 1) + 0.025 * np.cos(9 * angle))
    crust = _dents(rng, len(x), radius * 0.3)
    colour = blend(vary(rng, (0.70, 0.45, 0.22), 0.05), (0.86, 0.66, 0.40), 0.5 + 0.25 * crust - 0.5 * (r / radius) ** 4)
    height = 0.30 * radius * np.clip(1 - (r / radius) ** 4, 0, 1) ** 0.5 + 0.03 * radius * crust
    for _ in range(int(rng.integers(7, 14))):
        away, turn, size = radius * 0.78 * np.sqrt(rng.random()), rng.uniform(0, 6.3), radius * rng.uniform(0.09, 0.15)
        chip = np.clip((size - np.hypot(x - away * np.cos(turn), y - away * np.sin(turn))) / 1.5, 0, 1)
        colour = colour * (1 - chip[..., None]) + np.array([0.20, 0.11, 0.07], np.float32) * chip[..., None]
        height = height + chip * 0.07 * radius
    return sprite(colour.astype(np.float32), distance, height, 0.10, 12)


def _glaze(rng: Rng) -> Colour:
    glazes: list[Colour] = [
        (0.92, 0.91, 0.88), (0.28, 0.42, 0.52), (0.75, 0.42, 0.30), (0.36, 0.45, 0.36), (0.90, 0.78, 0.52), (0.24, 0.25, 0.28),
    ]  # fmt: skip
    return glazes[int(rng.integers(len(glazes)))]


def mug(rng: Rng, radius: float) -> Sprite:
    x, y = grid(int(radius * 1.6) + 3, rng.uniform(0, 6.3))
    r, angle = _polar(x, y)
    handle = np.maximum(np.abs(np.hypot(x - radius * 1.08, y) - radius * 0.36) - radius * 0.085, radius * 0.9 - r)
    wall = np.abs(r - radius * 0.93) - radius * 0.07
    distance = np.minimum(r - radius, handle)
    inside = np.clip(radius * 0.87 - r, 0, 1)[..., None]
    drink: Colour = (0.20, 0.11, 0.06) if rng.random() < 0.6 else (0.66, 0.47, 0.31)
    foam = np.exp(-((((r / radius) - 0.80) / 0.05) ** 2)) * (0.6 + 0.4 * np.cos(7 * angle + rng.uniform(0, 6)))
    liquid = blend(drink, (0.80, 0.62, 0.44), 0.45 * foam + 0.06 * _dents(rng, len(x), radius * 0.5))
    colour = plain(x.shape, _glaze(rng)) * (1 - inside) + liquid * inside
    rim = radius * 0.07 * np.sqrt(np.clip(1 - (np.clip(wall, -9e9, 0) / (radius * 0.07) + 1) ** 2, 0, 1))
    height = np.maximum(np.where(wall < 0, rim, 0), np.where(handle < 0, np.sqrt(np.clip(-handle * radius * 0.16, 0, None)), 0))
    drawn = sprite(colour.astype(np.float32), distance.astype(np.float32), height, 0.5, 40)
    return Sprite(drawn.image, radius * 0.75)


def bowl(rng: Rng, radius: float) -> Sprite:
    x, y = grid(int(radius * 1.05) + 3)
    r = np.hypot(x, y)
    wall = np.abs(r - radius * 0.95) - radius * 0.05
    rim = radius * 0.05 * np.sqrt(np.clip(-wall / (radius * 0.05), 0, 1))
    hollow = np.where(r < radius * 0.90, -0.55 * radius * np.sqrt(np.clip(1 - (r / radius / 0.92) ** 2, 0, 1)), 0)
    glaze = _glaze(rng)
    rings = 1 + 0.03 * np.cos(r * 0.9) * (r < radius * 0.9)
    colour = plain(x.shape, glaze) * rings[..., None]
    drawn = sprite(colour.astype(np.float32), r - radius, rim + hollow * 0.75, 0.35, 40)
    return Sprite(drawn.image, radius * 0.40)


def plate(rng: Rng, radius: float) -> Sprite:
    """Flat and unlabelled: what a detector takes for a bowl."""
    x, y = grid(int(radius * 1.05) + 3)
    r = np.hypot(x, y)
    height = 0.05 * radius * (np.clip((r / radius - 0.62) / 0.1, 0, 1) + 0.6 * np.clip((r / radius - 0.7) / 0.3, 0, 1))
    colour = plain(x.shape, _glaze(rng))
    band = np.exp(-(((r / radius - 0.93) / 0.012) ** 2))[..., None]
    colour = colour * (1 - 0.45 * band)
    drawn = sprite(colour.astype(np.float32), r - radius, height, 0.18, 40)
    return Sprite(drawn.image, radius * 0.09)


def spoon(rng: Rng, radius: float) -> Sprite:
    x, y = grid(int(radius * 1.1) + 3, rng.uniform(0, 6.3))
    head, _ = _polar((x + radius * 0.68) / 1.45, y)
    head_distance = head - radius * 0.215
    taper = radius * (0.036 + 0.030 * np.clip(x / radius, 0, 1) ** 2)
    handle = np.maximum(np.abs(y) - taper, np.maximum(x - radius * 0.98, -x - radius * 0.45))
    distance = np.minimum(head_distance, handle).astype(np.float32)
    dish = -0.13 * radius * np.clip(1 - (head / (radius * 0.185)) ** 2, 0, 1) * (head_distance < 0)
    rounded = 1.4 * np.sqrt(np.clip(-distance * radius * 0.02, 0, None))
    steel = rng.random() < 0.7
    colour = plain(x.shape, (0.74, 0.75, 0.77) if steel else vary(rng, (0.62, 0.43, 0.26)))
    drawn = sprite(colour, distance, rounded + dish, 0.9 if steel else 0.1, 12 if steel else 20)
    return Sprite(drawn.image, radius * 0.06)


def leaf(rng: Rng, radius: float) -> Sprite:
    """Mint or basil, unlabelled: what a detector takes for a lime."""
    x, y = grid(int(radius * 1.15) + 3, rng.uniform(0, 6.3))
    along = np.clip(x / radius, -1, 1)
    width = radius * 0.50 * np.sqrt(np.clip(1 - along**2, 0, 1)) * (1 - 0.35 * along)
    distance = np.where(np.abs(x) < radius, np.abs(y) - width * (1 + 0.05 * np.cos(x * 22 / radius)), 4).astype(np.float32)
    veins = np.exp(-((y / (0.03 * radius + 0.4)) ** 2)) + 0.5 * np.exp(-(np.sin((x - np.abs(y) * 0.9) * 11 / radius) ** 2) * 14)
    colour = blend(vary(rng, (0.16, 0.36, 0.11), 0.04), (0.45, 0.62, 0.26), 0.3 + 0.5 * veins)
    height = 0.16 * radius * np.sqrt(np.clip(1 - (y / np.maximum(width, 1)) ** 2, 0, 1)) - 0.06 * radius * np.clip(veins, 0, 1)
    return sprite(colour, distance, height, 0.16, 14)


Draw = Callable[[Rng, float], Sprite]
# Drawing and size: the usual radius in pixels where the camera is at its usual height.
THINGS: dict[str, tuple[Draw, float]] = {
    "apple": (apple, 40),
    "tomato": (tomato, 35),
    "plum": (plum, 27),
    "orange": (orange, 40),
    "lemon": (lemon, 31),
    "lime": (lime, 26),
    "cherry": (cherry, 12),
    "blueberry": (blueberry, 8),
    "banana": (banana, 82),
    "egg": (egg, 27),
    "cookie": (cookie, 34),
    "mug": (mug, 46),
    "bowl": (bowl, 86),
    "spoon": (spoon, 92),
    "plate": (plate, 125),
    "leaf": (leaf, 24),
}
UNLABELLED = {"plate", "leaf"}
# So many of each are drawn, large, and taken in the size wanted: ten times quicker than a new drawing each time.
KEPT, LARGE = 7, 1.3


def take(rng: Rng, name: str, radius: float) -> Sprite:
    """One of the drawings that are kept of a thing, in this size."""
    drawn = _drawing(name, int(rng.integers(KEPT)))
    scale = radius / (LARGE * THINGS[name][1])
    side = 2 * round(drawn.image.width * scale / 2) + 1
    return Sprite(drawn.image.resize((side, side), Image.Resampling.BILINEAR), drawn.height * scale)


@cache
def _drawing(name: str, number: int) -> Sprite:
    draw, usual = THINGS[name]
    return draw(np.random.default_rng([number, *name.encode()]), LARGE * usual)
