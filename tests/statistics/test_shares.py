"""Intervals of a share: worked numbers, coverage computed exactly over all counts, and scipy as the witness."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest
from statsmodels.stats.proportion import proportion_confint

from luthier.statistics import Interval, clopper_pearson, wilson

SHARES = np.linspace(0.01, 0.99, 99)


def coverage(ends: list[Interval], n: int) -> np.ndarray:
    """The exact chance, for each of 99 shares, that the interval of the count drawn holds the share."""
    low, high = (np.array([getattr(end, side) for end in ends]) for side in ("low", "high"))
    holds = (low[:, None] <= SHARES) & (high[:, None] >= SHARES)
    chances = binom.pmf(np.arange(n + 1)[:, None], n, SHARES)
    return np.asarray((chances * holds).sum(axis=0))


def test_wilson_at_nine_of_ten_is_the_number_worked_by_hand() -> None:
    # z = 1.959964, z^2 = 3.841459: center (0.9 + 0.192073) / 1.3841459 = 0.788987,
    # half-width sqrt(0.009 + 0.0096036) * 1.959964 / 1.3841459 = 0.193137
    assert wilson(9, 10).low == pytest.approx(0.788987 - 0.193137, abs=1e-6)
    assert wilson(9, 10).high == pytest.approx(0.788987 + 0.193137, abs=1e-6)


def test_clopper_pearson_without_a_failure_is_the_root_of_the_tail() -> None:
    assert clopper_pearson(10, 10).low == pytest.approx(0.025**0.1, abs=1e-12)
    assert clopper_pearson(10, 10).high == 1.0
    assert clopper_pearson(0, 10).low == 0.0
    assert clopper_pearson(0, 10).high == pytest.approx(1 - 0.025**0.1, abs=1e-12)


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 30), (7, 30), (30, 30), (450, 500), (1, 1000)])
def test_both_equal_scipy(successes: int, n: int) -> None:
    reference = binomtest(successes, n)
    for ours, method in ((wilson, "wilson"), (clopper_pearson, "exact")):
        theirs = reference.proportion_ci(method=method)
        assert ours(successes, n).low == pytest.approx(theirs.low, abs=1e-9)
        assert ours(successes, n).high == pytest.approx(theirs.high, abs=1e-9)


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (7, 30), (450, 500), (1, 1000)])
def test_both_equal_statsmodels(successes: int, n: int) -> None:
    for ours, method in ((wilson, "wilson"), (clopper_pearson, "beta")):
        ends = ours(successes, n)
        assert (ends.low, ends.high) == pytest.approx(proportion_confint(successes, n, method=method), abs=1e-9)


@pytest.mark.parametrize("n", [10, 30, 100, 300, 1000])
def test_clopper_pearson_never_covers_less_than_it_promises(n: int) -> None:
    assert coverage([clopper_pearson(count, n) for count in range(n + 1)], n).min() >= 0.95


@pytest.mark.parametrize("n", [10, 30, 100, 300, 1000])
def test_wilson_covers_what_it_promises_on_average(n: int) -> None:
    covered = coverage([wilson(count, n) for count in range(n + 1)], n)
    print(f"n={n}: mean {covered.mean():.4f}, minimum {covered.min():.4f}")
    assert covered.mean() == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(successes: int, n: int) -> None:
    for interval in (wilson, clopper_pearson):
        with pytest.raises(ValueError, match=f"{successes} successes in {n} trials"):
            interval(successes, n)
