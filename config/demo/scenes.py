"""Pictures of laid tables with their truth: what lies where, as masks of what can be seen. Pure: numpy, Pillow, contourpy.

Pixels count from the upper left corner; boxes are COCO's x, y, width, height.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import contourpy
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from config.demo.surfaces import Floats, Rng, cut_tabletop, enlarge
from config.demo.things import THINGS, Sprite, take

ROWS, COLUMNS = 480, 640
FRUIT = ["apple", "tomato", "plum", "orange", "lemon", "lime", "banana", "egg", "cookie"]
WEIGHTS = np.array([17, 12, 9, 14, 10, 7, 6, 8, 7]) / 90
SIZES = {name: usual for name, (_, usual) in THINGS.items()}
# A thing of which less than this share, or fewer pixels, can be seen is not in the truth.
LEAST_SHARE, LEAST_PIXELS = 0.12, 14

Mask = npt.NDArray[np.bool_]
Circle = tuple[float, float, float]  # x, y, radius


@dataclass(slots=True)
class Thing:
    """One labelled thing of a picture. `mask` (rows, columns) is what can be seen of it, from `left`, `top` on."""

    name: str
    left: int
    top: int
    mask: Mask
    visible_share: float = 1.0
    is_crowd: bool = False

    @property
    def area(self) -> int:
        return int(self.mask.sum())

    @property
    def box(self) -> tuple[float, float, float, float]:
        return float(self.left), float(self.top), float(self.mask.shape[1]), float(self.mask.shape[0])


@dataclass(slots=True)
class Clutter:
    """Something that bears no label but looks as if it might: where, and what it is mistaken for."""

    box: tuple[float, float, float, float]
    mistaken_for: str


@dataclass(slots=True)
class Picture:
    pixels: npt.NDArray[np.uint8]
    things: list[Thing] = field(default_factory=list)
    clutter: list[Clutter] = field(default_factory=list)


@dataclass(slots=True)
class Laid:
    """What was laid under one label: pixels of all its sprites, seen or not, and the part of the table they touch."""

    name: str
    is_crowd: bool
    size: int = 0
    top: int = ROWS
    left: int = COLUMNS
    bottom: int = 0
    right: int = 0


class Table:
    """A tabletop on which sprites are laid one over the other; `owner` (rows, columns) says whose each pixel is."""

    def __init__(self, rng: Rng, rows: int = ROWS, columns: int = COLUMNS) -> None:
        self.rng = rng
        self.image = Image.fromarray(cut_tabletop(rng, rows, columns))
        self.owner = np.full((rows, columns), -1, np.int16)
        self.laid: list[Laid] = []

    def label(self, name: str, *, is_crowd: bool = False) -> int:
        """A new number for what is laid next."""
        self.laid.append(Laid(name, is_crowd))
        return len(self.laid) - 1

    def lay(self, sprite: Sprite, x: float, y: float, number: int = -1) -> None:
        """Shadow and thing, centred at x, y, owned by the labelled thing of that number, or by none."""
        alpha = sprite.image.getchannel("A")
        self._cast_shadow(alpha, sprite.height, x, y)
        left, top = round(x) - alpha.width // 2, round(y) - alpha.height // 2
        self.image.paste(sprite.image, (left, top), alpha)
        solid = np.asarray(alpha) > 127
        rows, columns = self.owner.shape
        # A sprite may lie wholly outside; then both parts are empty.
        first_row, last_row = min(max(0, top), rows), min(max(0, top + alpha.height), rows)
        first_column, last_column = min(max(0, left), columns), min(max(0, left + alpha.width), columns)
        part = solid[first_row - top : last_row - top, first_column - left : last_column - left]
        self.owner[first_row:last_row, first_column:last_column][part] = number
        if number >= 0:
            laid = self.laid[number]
            laid.size += int(solid.sum())
            laid.top, laid.bottom = min(laid.top, first_row), max(laid.bottom, last_row)
            laid.left, laid.right = min(laid.left, first_column), max(laid.right, last_column)

    def _cast_shadow(self, alpha: Image.Image, height: float, x: float, y: float) -> None:
        wide, close = (1.2 + 0.16 * height, 0.52, 0.42), (2.0, 0.30, 0.08)
        for soft, strength, away in (wide, close) if alpha.width > 33 else (wide,):
            dark = _blurred(alpha, soft, strength)
            left = round(x + away * height) - dark.width // 2
            top = round(y + 1.15 * away * height) - dark.height // 2
            self.image.paste((0, 0, 0), (left, top), dark)

    def things(self) -> list[Thing]:
        found = (self.thing(number) for number in range(len(self.laid)))
        return [thing for thing in found if thing is not None]

    def thing(self, number: int) -> Thing | None:
        """What can be seen of the labelled thing, or None where that is too little."""
        laid = self.laid[number]
        mask = self.owner[laid.top : laid.bottom, laid.left : laid.right] == number
        seen = int(mask.sum())
        if seen < LEAST_PIXELS or seen < LEAST_SHARE * laid.size:
            return None
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        cut = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return Thing(laid.name, laid.left + int(columns[0]), laid.top + int(rows[0]), cut, seen / laid.size, laid.is_crowd)

    def photograph(self) -> npt.NDArray[np.uint8]:
        """The picture as a camera sees it: light that falls off, white balance, a little blur and grain."""
        rng = self.rng
        balance = 1 + rng.normal(0, 0.025, 3).astype(np.float32)
        bright = np.asarray(self.image, np.float32) * (self._light()[..., None] * balance)
        bright += self._grain() * np.float32(255 * rng.choice([0.008, 0.012, 0.028], p=[0.5, 0.35, 0.15]))
        picture = Image.fromarray(np.clip(bright, 0, 255, out=bright).astype(np.uint8))
        return np.asarray(picture.filter(ImageFilter.BoxBlur(float(rng.choice([0.3, 0.5, 1.2], p=[0.6, 0.3, 0.1])))))

    def _grain(self) -> Floats:
        """A part of the one sheet of grain that there is."""
        sheet, (rows, columns) = _grain_sheet(), self.owner.shape
        top, left = self.rng.integers(sheet.shape[0] - rows), self.rng.integers(sheet.shape[1] - columns)
        return sheet[top : top + rows, left : left + columns]

    def _light(self) -> Floats:
        """How bright the lamp is (rows, columns), now and then through the bars of a window. Smooth, so it is made small."""
        rng, (rows, columns) = self.rng, self.owner.shape
        down, across = np.mgrid[-1 : 1 : (rows // 4) * 1j, -1 : 1 : (columns // 4) * 1j].astype(np.float32)
        light = rng.uniform(0.88, 1.10) * (1.03 - 0.14 * (across * 0.7 + down) - 0.08 * (across**2 + down**2))
        if rng.random() < 0.25:
            turn = rng.uniform(-0.6, 0.6)
            bars = np.sin((across * np.cos(turn) + down * np.sin(turn)) * rng.uniform(5, 9) + rng.uniform(0, 6))
            light *= 0.80 + 0.30 / (1 + np.exp(-9 * bars))
        return enlarge(light, rows, columns)


@cache
def _grain_sheet() -> Floats:
    return np.random.default_rng(0).standard_normal((ROWS + 200, COLUMNS + 200, 1), np.float32)


def _blurred(cover: Image.Image, radius: float, strength: float) -> Image.Image:
    """The cover, widened by a margin, blurred and weakened; wide blurs are made small, where nobody sees it."""
    step = 4 if radius > 6 else 2 if radius > 3 else 1
    small = cover.resize((-(-cover.width // step), -(-cover.height // step)), Image.Resampling.BOX) if step > 1 else cover
    margin = int(2.5 * radius / step + 1)
    wide = Image.new("L", (small.width + 2 * margin, small.height + 2 * margin))
    wide.paste(small, (margin, margin))
    blur = ImageFilter.GaussianBlur(radius / step) if step > 1 else ImageFilter.BoxBlur(radius)
    soft = wide.filter(blur).point(_weakening(strength))
    return soft.resize((soft.width * step, soft.height * step), Image.Resampling.BILINEAR) if step > 1 else soft


@cache
def _weakening(strength: float) -> list[int]:
    """A table from each level to the weaker one."""
    return [round(strength * level) for level in range(256)]


def draw_picture(seed: int) -> Picture:
    """A laid table: one of several kinds of scene, now and then an empty one."""
    rng = np.random.default_rng([7, seed])
    table = Table(rng)
    zoom = float(np.clip(rng.lognormal(0.05, 0.32), 0.45, 1.6))
    kind = rng.choice(["scatter", "bowl", "heap", "dense", "empty"], p=[0.40, 0.25, 0.13, 0.17, 0.05])
    clutter = list(_lay_clutter(table, zoom))
    taken: list[Circle] = []
    if kind == "bowl":
        taken.append(_lay_bowl(table, zoom))
    if kind == "heap":
        taken.append(_lay_heap(table, zoom))
    if kind == "dense":
        lay_spread(table, min(zoom, 0.75), int(rng.integers(22, 48)), 0.80, taken)
    elif kind != "empty":
        lay_spread(table, zoom, int(rng.integers(3, 14)), 0.90, taken)
    return Picture(table.photograph(), table.things(), clutter)


def _lay_clutter(table: Table, zoom: float) -> Iterator[Clutter]:
    rng = table.rng
    for name, chance, looks_like in (("plate", 0.28, "bowl"), ("leaf", 0.4, "lime"), ("leaf", 0.25, "lime")):
        if rng.random() < chance:
            radius = SIZES[name] * zoom * rng.uniform(0.85, 1.1)
            x, y = rng.uniform(60, COLUMNS - 60), rng.uniform(60, ROWS - 60)
            table.lay(take(rng, name, radius), x, y)
            yield Clutter(_box_about(x, y, radius * 0.95), looks_like)


def _box_about(x: float, y: float, radius: float) -> tuple[float, float, float, float]:
    left, top = max(0.0, x - radius), max(0.0, y - radius)
    return left, top, min(COLUMNS, x + radius) - left, min(ROWS, y + radius) - top


def lay_spread(table: Table, zoom: float, count: int, spacing: float, taken: list[Circle]) -> None:
    """Things beside one another, some half over their neighbours: the flat ones below."""
    rng = table.rng
    names = list(rng.choice(FRUIT, count, p=WEIGHTS))
    names += ["mug"] * int(rng.random() < 0.45) + ["spoon"] * int(rng.random() < 0.40)
    names += ["cherry"] * int(rng.integers(0, 7) * (rng.random() < 0.4)) + ["blueberry"] * int(
        rng.integers(0, 10) * (rng.random() < 0.4)
    )
    for name in sorted(names, key=lambda name: (name != "spoon", name in ("cherry", "blueberry"))):
        radius = SIZES[name] * zoom * rng.uniform(0.85, 1.15)
        room = radius * (0.45 if name in ("banana", "spoon") else 1.0)
        place = _free_place(rng, taken, room, spacing)
        if place:
            taken.append((*place, room))
            table.lay(take(rng, name, radius), *place, table.label(name))


def _free_place(rng: Rng, taken: list[Circle], room: float, spacing: float) -> tuple[float, float] | None:
    for _ in range(30):
        x, y = rng.uniform(-0.2 * room, COLUMNS + 0.2 * room), rng.uniform(-0.2 * room, ROWS + 0.2 * room)
        if all(np.hypot(x - other_x, y - other_y) > spacing * (room + other) for other_x, other_y, other in taken):
            return x, y
    return None


def _lay_bowl(table: Table, zoom: float) -> Circle:
    """A bowl of fruit, or of berries."""
    rng = table.rng
    radius = 92 * zoom * rng.uniform(0.95, 1.3)
    x, y = rng.uniform(0.2, 0.8) * COLUMNS, rng.uniform(0.25, 0.75) * ROWS
    table.lay(take(rng, "bowl", radius), x, y, table.label("bowl"))
    if rng.random() < 0.3:
        _pile(table, "blueberry" if rng.random() < 0.6 else "cherry", x, y, radius * 0.70, zoom, edge=0.0)
    else:
        _fill_bowl(table, x, y, radius, zoom)
    return x, y, radius * 0.95


def _fill_bowl(table: Table, x: float, y: float, radius: float, zoom: float) -> None:
    rng = table.rng
    usual_name = str(rng.choice(["apple", "plum", "orange", "lemon", "lime", "tomato", "egg"]))
    for turn in np.arange(rng.integers(2, 7)) * 2.4 + rng.uniform(0, 6):
        name = usual_name if rng.random() < 0.7 else str(rng.choice(["apple", "orange", "lemon", "lime"]))
        away = radius * 0.48 * np.sqrt(rng.uniform(0.15, 1))
        place = x + away * np.cos(turn), y + away * np.sin(turn)
        table.lay(take(rng, name, min(SIZES[name] * zoom, radius * 0.42)), *place, table.label(name))


def _lay_heap(table: Table, zoom: float) -> Circle:
    """Berries by the dozen: one crowd region, and about it single ones that can be told apart."""
    rng = table.rng
    name = "blueberry" if rng.random() < 0.65 else "cherry"
    x, y, spread = rng.uniform(0.25, 0.75) * COLUMNS, rng.uniform(0.3, 0.7) * ROWS, rng.uniform(60, 105) * zoom
    _pile(table, name, x, y, spread, zoom, edge=0.35)
    return x, y, spread


def _pile(table: Table, name: str, x: float, y: float, spread: float, zoom: float, *, edge: float) -> None:
    rng = table.rng
    size = max(3.5, SIZES[name] * zoom)
    crowd = table.label(name, is_crowd=True)
    berries = [take(rng, name, size * rng.uniform(0.85, 1.15)) for _ in range(16)]
    away = np.sort(spread * np.sqrt(rng.random(int(min(170, 1.5 * (spread / size) ** 2)))))[::-1]
    for distance in away:
        turn = rng.uniform(0, 6.3)
        stretch = 1 + edge * rng.random() * (distance / spread) ** 3
        number = crowd if stretch < 1.12 else table.label(name)
        place = x + distance * stretch * 1.2 * np.cos(turn), y + distance * stretch * np.sin(turn)
        table.lay(berries[rng.integers(len(berries))], *place, number)


def draw_spread(seed: int, names: list[str], side: int) -> Picture:
    """Some of these things beside one another on a small square picture, for networks to learn from."""
    rng = np.random.default_rng([17, seed])
    table = Table(rng, side, side)
    zoom = side / COLUMNS * float(np.clip(rng.lognormal(0.1, 0.25), 0.7, 1.6))
    taken: list[Circle] = []
    for name in map(str, rng.choice(names, int(rng.integers(3, 11)))):
        radius = SIZES[name] * zoom * rng.uniform(0.85, 1.15)
        x, y = rng.uniform(0, side, 2)
        if all(np.hypot(x - other_x, y - other_y) > 0.9 * (radius + other) for other_x, other_y, other in taken):
            taken.append((x, y, radius))
            table.lay(take(rng, name, radius), x, y, table.label(name))
    return Picture(table.photograph(), table.things())


def draw_portrait(seed: int, name: str, side: int = 160) -> npt.NDArray[np.uint8]:
    """One thing alone on a small square picture, for classification."""
    rng = np.random.default_rng([11, seed])
    table = Table(rng, side, side)
    draw, usual = THINGS[name]
    radius = min(usual * rng.uniform(1.1, 1.8), side * 0.44)
    if rng.random() < 0.3:
        table.lay(take(rng, "leaf", 30), rng.uniform(20, side - 20), rng.uniform(20, side - 20))
    x, y = rng.uniform(0.42, 0.58, 2) * side
    table.lay(draw(rng, radius), x, y)
    return table.photograph()


def segmentation(thing: Thing) -> list[list[float]] | dict[str, Any]:
    """The mask in COCO's words: polygons in pixels, or an RLE where it is a crowd or has holes."""
    if thing.is_crowd:
        return run_lengths(thing)
    padded = np.zeros((thing.mask.shape[0] + 2, thing.mask.shape[1] + 2))
    padded[1:-1, 1:-1] = thing.mask
    rings = _contours(padded)
    if any(len(offsets) > 2 for offsets in rings[1]):
        return run_lengths(thing)
    # A pixel's centre stands half a pixel from its edge, and the padding moved everything by one.
    outlines = [points[:-1] - 0.5 + (thing.left, thing.top) for points in rings[0]]
    polygons = [_thin_out(points).round(1).ravel().tolist() for points in outlines if len(points) >= 8]
    return polygons or run_lengths(thing)


def _contours(heights: npt.NDArray[np.float64]) -> Any:
    """Outlines at half height, and where each has holes. The generator itself: its usual maker takes longer than the work."""
    down, across = np.mgrid[: heights.shape[0], : heights.shape[1]].astype(np.float64)
    generator = contourpy.SerialContourGenerator(
        across, down, heights, np.zeros(heights.shape, bool), corner_mask=False,
        line_type=contourpy.LineType.Separate, fill_type=contourpy.FillType.OuterOffset,
        quad_as_tri=False, z_interp=contourpy.ZInterp.Linear,
    )  # fmt: skip
    return generator.filled(0.5, np.inf)


def _thin_out(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Every fifth point of a long outline, which stand half a pixel to a pixel apart; more of a short one."""
    return points[:: max(1, min(5, len(points) // 24))]


def run_lengths(thing: Thing, rows: int = ROWS, columns: int = COLUMNS) -> dict[str, Any]:
    """COCO's uncompressed RLE: lengths of the runs of 0 and 1 in turn, column by column, beginning with 0."""
    whole = np.zeros((rows, columns), np.int8)
    height, width = thing.mask.shape
    whole[thing.top : thing.top + height, thing.left : thing.left + width] = thing.mask
    flat = whole.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=0))
    return {"size": [rows, columns], "counts": np.diff(edges, prepend=0, append=flat.size).tolist()}
