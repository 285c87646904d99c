import numpy as np
import pytest
from pycocotools import mask as coco_mask

from datasets import shapes


def rle(pixels: np.ndarray) -> dict[str, object]:
    encoded = coco_mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
    return {"size": [int(side) for side in encoded["size"]], "counts": encoded["counts"].decode()}


def test_corners_become_left_top_width_height() -> None:
    assert shapes.xyxy_to_xywh(10, 20, 40, 60) == (10, 20, 30, 40)


def test_yolo_fractions_become_pixels() -> None:
    assert shapes.yolo_to_xywh(0.5, 0.5, 0.5, 0.25, (200, 100)) == (50, 37.5, 100, 25)


def test_the_area_of_polygons_is_exact() -> None:
    square, triangle = [0, 0, 10, 0, 10, 10, 0, 10], [20, 0, 24, 0, 20, 3.5]
    assert shapes.segmentation_area([square, triangle]) == 107


def test_the_direction_of_a_polygon_does_not_matter() -> None:
    assert shapes.segmentation_area([[0, 10, 10, 10, 10, 0, 0, 0]]) == 100


def test_bounds_are_those_of_all_polygons() -> None:
    assert shapes.segmentation_bounds([[5, 6, 7, 6, 7, 8], [1.5, 20, 3, 20, 3, 22]]) == (1.5, 6, 5.5, 16)


def test_an_rle_is_counted_as_height_and_width() -> None:
    pixels = np.zeros((4, 9))
    pixels[1:3, 5:9] = 1
    mask = shapes.normalise_segmentation(rle(pixels), 9, 4)
    assert shapes.segmentation_area(mask) == 8
    assert shapes.segmentation_bounds(mask) == (5, 1, 4, 2)


def test_runs_as_a_list_become_text() -> None:
    pixels = np.zeros((3, 4))
    pixels[:, 2] = 1
    assert shapes.normalise_segmentation({"size": [3, 4], "counts": [6, 3, 3]}) == rle(pixels)


def test_the_length_of_compressed_runs_is_that_of_any_mask() -> None:
    random = np.random.default_rng(1)
    for _ in range(200):
        height, width = random.integers(1, 60, 2)
        found = rle(random.random((height, width)) < random.random())
        assert shapes.decoded_length(str(found["counts"])) == height * width


@pytest.mark.parametrize("counts", ["", "o", "\x00", "z" * 5, "é", "oooooooo0", "0n", "O"])
def test_what_is_no_run_length_code_is_refused(counts: str) -> None:
    with pytest.raises(ValueError, match="RLE"):
        shapes.normalise_segmentation({"size": [2, 2], "counts": counts})


@pytest.mark.parametrize("size", [None, [2], [2, 2, 2], [2.0, 2.0], [0, 4], [-2, -2], ["2", "2"], [True, 4], [2, 10**9]])
def test_a_size_that_is_none_is_refused(size: object) -> None:
    with pytest.raises(ValueError, match="size"):
        shapes.normalise_segmentation({"size": size, "counts": "04"})


@pytest.mark.parametrize(
    "value", [1, "polygon", True, [[0, 0, 1, 1, 1, True]], [["0", 0, 1, 1, 1, 0]], [[0, 0, 1, 1, 1, 1e30]]]
)
def test_what_is_no_mask_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"segmentation|polygon"):
        shapes.normalise_segmentation(value)


def test_a_mask_of_a_hundred_megapixels_is_drawn_coarsely() -> None:
    whole = shapes.normalise_segmentation({"size": [10_000, 10_000], "counts": [0, 10**8]})
    path = shapes.mask_to_path(whole)
    assert path.count("M") == 1
    assert len(path) < 150_000
