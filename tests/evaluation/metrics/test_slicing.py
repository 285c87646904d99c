"""Slices: every image in one part of each group, and none where all are alike."""

import numpy as np

from evaluation.metrics.columns import Scene
from evaluation.metrics.slicing import slices_of


def test_images_are_told_apart_by_shape_size_and_number_of_objects() -> None:
    scene = Scene(np.array([[640, 480], [480, 640], [500, 510], [4000, 3000]]), ["cat"])
    found = slices_of(scene, ["train", "train", "val", "val"], np.array([0, 0, 0, 3])).groups
    told = {group: {name: images.tolist() for name, images in parts.items()} for group, parts in found.items()}
    assert told == {
        "split": {"train": [0, 1], "val": [2, 3]},
        "objects per image": {"none": [1, 2], "1": [3], "2 to 4": [0]},
        "orientation": {"landscape": [0, 3], "portrait": [1], "square": [2]},
        "image size": {"below 0.3 megapixels": [2], "0.3 to 1 megapixel": [0, 1], "above 1 megapixel": [3]},
    }


def test_groups_of_one_part_say_nothing() -> None:
    assert slices_of(Scene(np.full((3, 2), 100), ["cat"]), ["val"] * 3).groups == {}


def test_images_of_unknown_size_are_in_no_part() -> None:
    found = slices_of(Scene(np.array([[0, 0], [640, 480], [480, 640]]), ["cat"])).groups
    assert sorted(image for part in found["orientation"].values() for image in part.tolist()) == [1, 2]


def test_tags_may_overlap() -> None:
    found = slices_of(Scene(np.full((3, 2), 100), ["cat"]), tags={"night": [2, 0], "rain": [0]}).groups
    assert {tag: images.tolist() for tag, images in found["tag"].items()} == {"night": [0, 2], "rain": [0]}
