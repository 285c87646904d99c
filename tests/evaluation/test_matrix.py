"""Items x runs: disagreement, flips, and what was never solved."""

import numpy as np
import pytest

from evaluation.matrix import Matrix, solved_matrix
from predictions.models import PredictionRun, TextPrediction
from predictions.trajectories import is_solved, tell
from tests.factories import make_answer, make_firing, make_training_job

NAN = np.nan


def matrix(*rows: list[float]) -> Matrix:
    return Matrix([f"item {n}" for n in range(len(rows))], [], np.array(rows, dtype=float))


@pytest.mark.parametrize(
    ("outcomes", "flips"),
    [
        ([0, 0, 0], 0),
        ([0, 1, 1], 0),  # solving it first is no flip
        ([1, 0, 1], 2),
        ([0, 1, 0, 1, 0], 3),
        ([1, NAN, 0, NAN, 1], 2),  # a run that did not ask it says nothing
        ([NAN, NAN], 0),
    ],
)
def test_flips(outcomes: list[float], flips: int) -> None:
    assert matrix(outcomes).flips.tolist() == [flips]


def test_never_solved_is_asked_and_never_right() -> None:
    assert matrix([0, 0], [0, 1], [NAN, NAN], [NAN, 0]).never_solved.tolist() == [0, 3]


def test_the_most_disputed_comes_first() -> None:
    found = matrix([1, 1, 1, 1], [0, 0, 0, 1], [0, 1, 0, 1], [NAN, NAN, NAN, 0], [0, 0, 0, 0])
    assert found.by_disagreement().tolist() == [2, 1, 3, 4, 0]
    assert found.disagreement.tolist() == pytest.approx([0, 0.1875, 0.25, 0, 0])


@pytest.mark.django_db
def test_solved_is_what_the_item_s_page_calls_solved() -> None:
    job = make_training_job()
    for epoch, said in enumerate(["no", "right", "no", "right"], 1):
        make_firing(job, epoch, [make_answer(0, said), make_answer(1, said, ground_truth=None), make_answer(2, said)])
    TextPrediction.objects.filter(sample_index=2, run__epoch=1).update(passed=True)
    TextPrediction.objects.filter(sample_index=2, run__epoch=2).update(passed=False)
    runs = list(PredictionRun.objects.of_training(job))
    found = solved_matrix(runs)
    for place, key in enumerate(found.keys):
        rows = list(TextPrediction.objects.filter(item__key=key).select_related("run").order_by("run__epoch"))
        expected = [np.nan if is_solved(row) is None else float(is_solved(row) or 0) for row in rows]
        assert found.values[place].tolist() == pytest.approx(expected, nan_ok=True)
        assert found.flips[place] == tell(rows).flips
