"""Paired tests: worked numbers, scipy as the witness, and coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_rel
from statsmodels.stats.contingency_tables import mcnemar as reference
from statsmodels.stats.multitest import multipletests

from luthier.statistics import Interval, bootstrap_test, holm, mcnemar, share_difference, totals_interval, wilson


def test_mcnemar_is_the_two_sided_chance_of_the_split() -> None:
    assert mcnemar(1, 7) == pytest.approx(2 * (1 + 8) / 256)
    assert mcnemar(7, 1) == mcnemar(1, 7)
    assert mcnemar(5, 5) == 1.0
    assert mcnemar(0, 0) == 1.0


@pytest.mark.parametrize(("one", "other"), [(0, 1), (3, 12), (40, 2), (100, 130)])
def test_mcnemar_equals_scipys_binomial_test(one: int, other: int) -> None:
    assert mcnemar(one, other) == pytest.approx(binomtest(one, one + other).pvalue, abs=1e-9)


@pytest.mark.parametrize(("one", "other"), [(0, 1), (3, 12), (100, 130)])
def test_mcnemar_equals_statsmodels(one: int, other: int) -> None:
    assert mcnemar(one, other) == pytest.approx(reference([[50, one], [other, 20]], exact=True).pvalue, abs=1e-9)


def test_the_difference_of_newcombes_own_example_is_his() -> None:
    found = share_difference(both=36, only_first=12, only_second=2, neither=0)
    assert [found.low, found.high] == pytest.approx([0.0569, 0.3404], abs=5e-5)


def test_the_correlation_of_the_models_is_taken_half_a_count_a_row_smaller() -> None:
    # 20 * 8 - 9 * 3 = 133, less 40 / 2 is 113; the margins are 29 right, 11 wrong and 23 right, 17 wrong
    correlation = 113 / (29 * 11 * 23 * 17) ** 0.5
    first, second = wilson(29, 40), wilson(23, 40)
    mine, other = 29 / 40 - first.low, second.high - 23 / 40
    found = share_difference(both=20, only_first=9, only_second=3, neither=8)
    assert found.low == pytest.approx(6 / 40 - (mine**2 - 2 * correlation * mine * other + other**2) ** 0.5)


def test_swapping_the_models_mirrors_the_interval() -> None:
    one, other = share_difference(20, 9, 3, 8), share_difference(20, 3, 9, 8)
    assert [one.low, one.high] == pytest.approx([-other.high, -other.low])


def test_equal_answers_on_ten_rows_prove_no_equality() -> None:
    found = share_difference(10, 0, 0, 0)
    assert found.low < -0.2
    assert found.high > 0.2


def test_a_difference_on_every_row_stays_within_one() -> None:
    found = share_difference(0, 30, 0, 0)
    assert 0.8 < found.low < 1.0
    assert found.high == pytest.approx(1.0)


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="0 successes in 0 trials"):
        share_difference(0, 0, 0, 0)


@pytest.mark.parametrize("chances", [(0.25, 0.6, 0.05, 0.1), (0.85, 0.05, 0.03, 0.07)])
def test_the_difference_is_covered_as_often_as_promised(chances: tuple[float, ...]) -> None:
    generator, trials = np.random.default_rng(3), 2000
    truth = chances[1] - chances[2]
    ends: list[Interval] = [share_difference(*map(int, row)) for row in generator.multinomial(60, chances, trials)]
    covered = np.mean([end.low <= truth <= end.high for end in ends])
    assert covered >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / trials)


# ------------------------------------------------------------------------------------- the paired bootstrap, Holm


def apart(totals: np.ndarray) -> np.ndarray:
    means: np.ndarray = (totals[..., 0] - totals[..., 1]) / totals[..., 2]
    return means


def losses(seed: int, n: int, difference: float) -> np.ndarray:
    """Two models' losses of n rows and the rows' tokens; the second model's are so much smaller on average."""
    generator = np.random.default_rng(seed)
    tokens = generator.integers(1, 20, n)
    first = tokens * generator.lognormal(0, 0.5, n)
    return np.column_stack([first, first - tokens * generator.normal(difference, 0.3, n), tokens])


def test_the_bootstrap_test_is_near_students_where_rows_weigh_alike() -> None:
    rows = losses(0, 200, 0.04)
    rows[:, :2] /= rows[:, 2:]
    rows[:, 2] = 1
    expected = ttest_rel(rows[:, 0], rows[:, 1]).pvalue
    assert 0.01 < expected < 0.3
    assert bootstrap_test(rows, apart, np.random.default_rng(0), 20_000) == pytest.approx(expected, abs=0.01)
    assert bootstrap_test(rows[:7], apart, np.random.default_rng(0)) == pytest.approx(
        ttest_rel(rows[:7, 0], rows[:7, 1]).pvalue, abs=1e-9
    )


def test_two_equal_models_are_told_apart_in_one_of_twenty() -> None:
    found = [bootstrap_test(losses(seed, 60, 0.0), apart, np.random.default_rng(seed), 500) for seed in range(400)]
    share = np.mean([one is not None and one < 0.05 for one in found])
    assert 0.025 < share < 0.08  # 400 draws of 5% stay within 2.9% to 7.1% in 95 of 100


def test_the_test_and_the_interval_say_the_same() -> None:
    for seed in range(20):
        rows = losses(seed, 150, 0.05)
        interval = totals_interval(rows, apart, np.random.default_rng(seed))
        probability = bootstrap_test(rows, apart, np.random.default_rng(seed))
        assert interval is not None
        assert probability is not None
        if abs(probability - 0.05) > 0.015:
            assert (probability < 0.05) == (not interval.low <= 0 <= interval.high)


def test_the_same_answers_are_no_difference_and_one_row_is_no_test() -> None:
    rows = np.column_stack([np.arange(30.0), np.arange(30.0), np.ones(30)])
    assert bootstrap_test(rows, apart, np.random.default_rng(0)) == 1.0
    assert bootstrap_test(rows[:5], apart, np.random.default_rng(0)) == 1.0
    assert bootstrap_test(rows[:1], apart, np.random.default_rng(0)) is None


def test_holm_is_statsmodels() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    found = list(np.random.default_rng(0).uniform(size=25) ** 3)
    assert holm(found) == pytest.approx(multipletests(found, method="holm")[1], abs=1e-12)
