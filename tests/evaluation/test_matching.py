"""Per-image scores, and the matching of items."""

import numpy as np
import pytest

from evaluation.matching import Objects, align, image_exact_match, image_f1


def objects(*rows: tuple[float, ...]) -> Objects:
    """(image, category, x, y, width, height, score or crowd)"""
    table = np.array(rows, dtype=np.float64).reshape(-1, 7)
    return Objects(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:6], table[:, 6])


def f1(truth: Objects, predicted: Objects, images: int = 1) -> list[float]:
    return [pytest.approx(value) for value in image_f1(np.arange(images), truth, predicted)]


BOX = (0, 0, 10, 10)


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [
        ([(0, 1, *BOX, 0)], [(0, 1, *BOX, 0.9)], 1.0),
        ([(0, 1, *BOX, 0)], [], 0.0),
        ([], [(0, 1, *BOX, 0.9)], 0.0),
        ([], [], 1.0),
        ([(0, 1, *BOX, 0)], [(0, 2, *BOX, 0.9)], 0.0),  # another class
        ([(0, 1, *BOX, 0)], [(0, 1, 0, 0, 10, 5, 0.9)], 1.0),  # IoU of exactly one half
        ([(0, 1, *BOX, 0)], [(0, 1, 0, 0, 10, 4.99, 0.9)], 0.0),
        ([(0, 1, *BOX, 0)], [(0, 1, *BOX, 0.9), (0, 1, *BOX, 0.8)], 2 / 3),  # found twice is found once
        ([(0, 1, *BOX, 1)], [(0, 1, 2, 2, 3, 3, 0.9), (0, 1, 4, 4, 3, 3, 0.8)], 1.0),  # a crowd takes many, and counts for none
        ([(0, 1, *BOX, 1), (0, 1, *BOX, 0)], [(0, 1, *BOX, 0.9)], 1.0),  # an object before a crowd
        ([(0, 1, 0, 0, 0, 0, 0)], [(0, 1, 0, 0, 0, 0, 0.5)], 0.0),  # boxes of nothing overlap nothing
    ],
)
def test_f1_of_an_image(truth: list, predicted: list, expected: float) -> None:
    assert f1(objects(*truth), objects(*predicted)) == [expected]


def test_the_most_confident_takes_first_and_the_rest_what_is_left() -> None:
    truth = objects((0, 1, 0, 0, 10, 10, 0), (0, 1, 3, 0, 10, 10, 0))
    # The first overlaps both, and takes the nearer; the second, which fits that one best, is left with the other.
    predicted = objects((0, 1, 2, 0, 10, 10, 0.9), (0, 1, 3, 0, 10, 10, 0.8))
    assert f1(truth, predicted) == [1.0]


def test_equal_scores_keep_the_order_of_the_file() -> None:
    truth = objects((0, 1, 0, 0, 10, 10, 0))
    assert f1(truth, objects((0, 1, 0, 0, 10, 9, 0.5), (0, 1, *BOX, 0.5))) == [2 / 3]


def test_of_objects_that_overlap_alike_the_later_is_taken() -> None:
    truth = objects((0, 1, 0, 0, 10, 10, 0), (0, 1, 4, 0, 10, 10, 0))
    # The first stands between both; what is left fits the first object alone.
    assert f1(truth, objects((0, 1, 2, 0, 10, 10, 0.9), (0, 1, 0, 0, 10, 10, 0.8))) == [1.0]
    assert f1(truth, objects((0, 1, 2, 0, 10, 10, 0.9), (0, 1, 4, 0, 10, 10, 0.8))) == [0.5]


def test_images_are_kept_apart() -> None:
    truth = objects((0, 1, *BOX, 0), (2, 1, *BOX, 0))
    predicted = objects((0, 1, *BOX, 0.9), (1, 1, *BOX, 0.9))
    assert f1(truth, predicted, 4) == [1.0, 0.0, 0.0, 1.0]


def test_against_the_plain_loop() -> None:
    """The same greedy matching, written down image by image."""
    rng = np.random.default_rng(1)

    def some(count: int) -> Objects:
        corners, sides = rng.integers(0, 30, (count, 2)), rng.integers(5, 25, (count, 2))
        kinds = np.stack([rng.integers(0, 12, count), rng.integers(0, 3, count)], axis=1)
        return objects(*np.concatenate([kinds, corners, sides, rng.uniform(0, 1, (count, 1))], axis=1))

    truth, predicted = some(60), some(200)
    crowds = truth.marks > 0.8
    truth = Objects(truth.images, truth.categories, truth.boxes, crowds.astype(float))
    assert f1(truth, predicted, 12) == [plain_f1(image, truth, predicted) for image in range(12)]


def plain_f1(image: int, truth: Objects, predicted: Objects) -> float:
    here = [n for n in range(len(truth)) if truth.images[n] == image]
    said = sorted((n for n in range(len(predicted)) if predicted.images[n] == image), key=lambda n: -predicted.marks[n])
    taken: set[int] = set()
    ignored = 0
    for one in said:
        fits = [n for n in here if n not in taken and truth.categories[n] == predicted.categories[one]]
        fits = [n for n in fits if plain_overlap(truth, n, predicted, one) >= 0.5]
        # Of objects that overlap alike the later, as in pycocotools.
        best = min(fits, key=lambda n: (truth.marks[n], -plain_overlap(truth, n, predicted, one), -n), default=None)
        if best is not None and truth.marks[best]:
            ignored += 1
        elif best is not None:
            taken.add(best)
    total = len(said) - ignored + sum(not truth.marks[n] for n in here)
    return 2 * len(taken) / total if total else 1.0


def plain_overlap(truth: Objects, n: int, predicted: Objects, one: int) -> float:
    (x, y, w, h), (u, v, s, t) = truth.boxes[n], predicted.boxes[one]
    shared = max(0, min(x + w, u + s) - max(x, u)) * max(0, min(y + h, v + t) - max(y, v))
    return shared / (s * t if truth.marks[n] else w * h + s * t - shared)


def test_top_labels() -> None:
    truth = objects((0, 1, *BOX, 0), (1, 2, *BOX, 0), (2, 2, *BOX, 0), (2, 3, *BOX, 0))
    predicted = objects(
        (0, 1, *BOX, 0.5), (0, 2, *BOX, 0.5), (1, 1, *BOX, 0.9), (1, 2, *BOX, 0.8), (2, 3, *BOX, 0.1), (4, 1, *BOX, 1)
    )
    found = image_exact_match(np.arange(5), truth, predicted)
    assert found[:3].tolist() == [1.0, 0.0, 1.0] and np.isnan(found[3:]).all()


def test_alignment_by_key() -> None:
    found = align(["a", "b", "c"], ["c", "d", "a"])
    assert (found.first.tolist(), found.second.tolist()) == ([0, 2], [2, 0])
    assert (found.only_first.tolist(), found.only_second.tolist()) == ([1], [1])
    assert len(align([], []).first) == 0
