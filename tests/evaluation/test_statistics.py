"""Paired statistics against published examples, against scipy and statsmodels, and where they degenerate."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from evaluation import statistics


# --- Published examples --------------------------------------------------------------------------------------------------------
def test_agresti_s_approval_ratings() -> None:
    """Agresti, Categorical Data Analysis (1990), p. 350: 1,600 voters asked twice; 150 turned away, 86 came over."""
    assert statistics.mcnemar(86, 150) == pytest.approx(3.716e-5, rel=1e-3)
    # Of so many pairs Newcombe's interval is the normal one to the third digit: 0.04 +- 1.96 * 0.00955.
    low, high = statistics.paired_difference(794, 150, 86, 570)  # type: ignore[misc]
    assert (low, high) == pytest.approx((-0.04 - 0.01872, -0.04 + 0.01872), abs=5e-4)


@pytest.mark.parametrize(
    ("successes", "total", "expected"),
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_newcombe_s_table_of_wilson_intervals(successes: int, total: int, expected: tuple[float, float]) -> None:
    """Newcombe, Statistics in Medicine 17 (1998), 857-872, table I, method 3: the score method without correction."""
    assert statistics.wilson(successes, total) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), 2635-2650, table II, method 10; he takes first minus second.
        ((36, 12, 2, 0), (-0.3404, -0.0569)),
        # Fagerland, Lydersen and Laake, Statistics in Medicine 33 (2014), table VI: airway hyper-responsiveness.
        ((1, 7, 1, 12), (-0.507, -0.026)),
    ],
)
def test_newcombe_s_interval_of_a_paired_difference(table: tuple[int, ...], expected: tuple[float, float]) -> None:
    assert statistics.paired_difference(*table) == pytest.approx(expected, abs=5e-4)


def test_holm_s_own_steps() -> None:
    """Holm (1979): the smallest p times all, the next times one fewer, and never less than the one before."""
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_connor_s_sample_size() -> None:
    """Connor (1987): with 12 % that change, 584 pairs find a difference of 4 points at 80 % power and 5 %."""
    assert statistics.detectable_share(round(0.12 * 584), 584) == pytest.approx(0.04, abs=2e-4)


def test_the_issue_s_sentence() -> None:
    assert round(statistics.mcnemar(12, 9), 2) == 0.66


# --- Other libraries -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("improved", "regressed"), [(12, 9), (0, 5), (5, 0), (1, 0), (86, 150), (3, 3), (0, 1200), (40_000, 40_900)]
)
def test_mcnemar_as_scipy_and_statsmodels_have_it(improved: int, regressed: int) -> None:
    found = statistics.mcnemar(improved, regressed)
    assert found == pytest.approx(stats.binomtest(improved, improved + regressed).pvalue, rel=1e-9, abs=1e-300)
    assert found == pytest.approx(float(statsmodels_mcnemar([[0, improved], [regressed, 0]], exact=True).pvalue), abs=1e-12)


@pytest.mark.parametrize(("successes", "total"), [(0, 1), (1, 1), (3, 7), (999, 1000), (0, 10_000)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilson_as_scipy_and_statsmodels_have_it(successes: int, total: int, confidence: float) -> None:
    found = statistics.wilson(successes, total, confidence)
    theirs = stats.binomtest(successes, total).proportion_ci(confidence, method="wilson")
    assert found == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert found == pytest.approx(proportion_confint(successes, total, 1 - confidence, method="wilson"), abs=1e-12)


def test_holm_as_statsmodels_has_it() -> None:
    p_values = np.random.default_rng(3).uniform(0, 0.2, 9)
    assert statistics.holm(list(p_values)) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


def test_the_bootstrap_as_scipy_has_it() -> None:
    """Their percentile interval, of as many resamples; with 2,000 items the expansion for few items is in the third digit."""
    values = np.random.default_rng(5).gamma(0.5, 1, 2_000) - 0.47
    [found] = statistics.paired_bootstrap(values)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=1)
    assert found.mean == pytest.approx(values.mean())
    assert found.interval == pytest.approx(tuple(theirs.confidence_interval), abs=0.002)
    assert found.standard_error == pytest.approx(theirs.standard_error, rel=0.03)
    assert found.p_value == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.02)


def test_of_few_items_the_bootstrap_is_as_careful_as_student() -> None:
    """Plain percentiles of five items are far too narrow."""
    values = np.array([0.1, 0.4, 0.2, 0.5, 0.3])
    [found] = statistics.paired_bootstrap(values)
    student = stats.ttest_1samp(values, 0)
    assert 0.01 < student.pvalue < found.p_value * 2 and found.p_value > 0.01  # type: ignore[operator]
    low, _ = student.confidence_interval(0.95)
    assert found.interval[0] < 0.15 and found.interval[1] > 0.45 and low < found.interval[0]  # type: ignore[index]


def test_the_interval_covers_what_it_says() -> None:
    """200 samples of 15 skewed differences whose true mean is 0: near 95 % of the intervals hold it."""
    rng = np.random.default_rng(11)
    samples = rng.exponential(1, (15, 200)) - 1
    found = [statistics.paired_bootstrap(samples[:, column], resamples=1_000)[0].interval for column in range(200)]
    covered = np.mean([low <= 0 <= high for low, high in found])  # type: ignore[misc]
    assert 0.87 <= covered <= 0.99


def test_the_p_value_says_what_the_interval_says() -> None:
    rng = np.random.default_rng(7)
    for shift in np.linspace(-0.5, 0.5, 21):
        [found] = statistics.paired_bootstrap(rng.normal(shift, 1, 30))
        low, high = found.interval  # type: ignore[misc]
        if abs(found.p_value - 0.05) > 0.005:  # type: ignore[operator]
            assert (found.p_value < 0.05) == (low > 0 or high < 0)  # type: ignore[operator]


# --- Columns, weights, repetition ----------------------------------------------------------------------------------------------
def test_columns_are_judged_as_if_alone() -> None:
    table = np.random.default_rng(2).normal(0.1, 1, (300, 3))
    together = statistics.paired_bootstrap(table)
    assert [one.interval for one in together] == [
        pytest.approx(statistics.paired_bootstrap(table[:, column])[0].interval) for column in range(3)
    ]


def test_items_without_a_score_are_left_out() -> None:
    values = np.array([0.2, np.nan, 0.4, np.nan, 0.1, -0.1])
    [found] = statistics.paired_bootstrap(values)
    assert found.items == 4 and found.mean == pytest.approx(0.15)


def test_a_heavy_item_counts_as_it_weighs() -> None:
    [found] = statistics.paired_bootstrap([1.0, 0.0, 0.0], [8.0, 1.0, 1.0])
    assert found.mean == pytest.approx(0.8)


def test_equal_weights_change_nothing() -> None:
    values = np.random.default_rng(4).normal(size=50)
    plain, weighed = statistics.paired_bootstrap(values), statistics.paired_bootstrap(values, np.full(50, 2.5))
    assert plain[0].interval == pytest.approx(weighed[0].interval)


def test_it_says_the_same_twice() -> None:
    values = np.random.default_rng(4).normal(size=50)
    assert statistics.paired_bootstrap(values) == statistics.paired_bootstrap(values)


def test_progress_is_told_to_the_end() -> None:
    told: list[tuple[int, int]] = []
    statistics.paired_bootstrap(np.zeros(30_000) + 0.5, progress=lambda done, total: told.append((done, total)))
    assert len(told) > 5 and told[-1] == (2_000, 2_000)


# --- Degenerate cases ----------------------------------------------------------------------------------------------------------
def test_nothing_matched() -> None:
    assert statistics.wilson(0, 0) is None and statistics.mcnemar(0, 0) == 1.0
    assert statistics.paired_difference(0, 0, 0, 0) is None and statistics.detectable_share(0, 0) is None
    assert statistics.paired_bootstrap([]) == [statistics.Bootstrap()]
    assert statistics.paired_bootstrap([np.nan, np.nan]) == [statistics.Bootstrap()]
    assert statistics.holm([]) == [] and statistics.holm([None, 0.04]) == [None, 0.04]


def test_one_item() -> None:
    assert statistics.paired_bootstrap([0.5]) == [statistics.Bootstrap(0.5, items=1)]
    assert statistics.mcnemar(1, 0) == 1.0 and statistics.detectable_share(1, 1) == 1.0
    assert statistics.mean_interval(np.array([0.5])) is None


def test_all_the_same() -> None:
    [found] = statistics.paired_bootstrap(np.zeros(20))
    assert (found.mean, found.interval, found.p_value) == (0.0, (0.0, 0.0), 1.0)
    low, high = statistics.paired_difference(20, 0, 0, 0)  # type: ignore[misc]
    assert low < 0 < high and statistics.paired_difference(0, 0, 0, 20) is not None


def test_every_item_better_by_the_same() -> None:
    """Nothing varies, and yet two items are no proof."""
    [two], [many] = statistics.paired_bootstrap([0.5, 0.5]), statistics.paired_bootstrap(np.full(40, 0.5))
    assert two.p_value > 0.05 and many.p_value < 0.005  # type: ignore[operator]


def test_few_changes_need_at_least_six_items() -> None:
    """Where nothing changes so far, a difference that could be seen must change about eight items, all one way."""
    assert 0.07 < statistics.detectable_share(0, 100) < 0.09  # type: ignore[operator]
    assert statistics.detectable_mean(0.0) is None and statistics.detectable_mean(0.01) == pytest.approx(0.028, abs=1e-4)
