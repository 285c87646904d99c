"""Outlines of masks, as pages draw them."""

import numpy as np
from pycocotools import mask

from datasets.shapes import mask_to_path


def path_of(pixels: list[str]) -> str:
    found = mask.encode(np.asfortranarray([[int(cell == "#") for cell in row] for row in pixels], np.uint8))
    return mask_to_path({"size": list(found["size"]), "counts": found["counts"].decode()})


def corners(path: str) -> set[tuple[float, float]]:
    return {(float(x), float(y)) for x, y in (point.split() for point in path[1:-1].split("L"))}


def test_a_mask_is_outlined_around_its_pixels() -> None:
    """The contour at half height runs half a pixel outside the pixels' centres: along their edges, corners cut."""
    found = corners(path_of(["......", "...##.", "...##.", "......"]))
    assert {min(x for x, _ in found), max(x for x, _ in found)} == {3.0, 5.0}
    assert {min(y for _, y in found), max(y for _, y in found)} == {1.0, 3.0}


def test_a_mask_at_the_border_is_closed() -> None:
    found = corners(path_of(["##", "##"]))
    assert (min(found), max(found)) == ((0.0, 0.5), (2.0, 1.5))


def test_parts_and_holes_have_lines_of_their_own() -> None:
    assert path_of(["###..", "#.#..", "###.#"]).count("M") == 3


def test_an_empty_mask_is_no_line() -> None:
    assert path_of(["...", "..."]) == ""


def test_polygons_are_drawn_as_they_are() -> None:
    assert mask_to_path([[0, 0, 10.25, 0, 10, 10]]) == "M0 0L10.2 0L10 10Z"
