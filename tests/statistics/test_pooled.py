"""Several seeds as one number: worked by hand, and right about as often as it says over simulated trainings."""

from __future__ import annotations

import numpy as np
import pytest

from luthier.statistics import Interval
from luthier.statistics.pooled import pooled


def test_two_seeds_worked_by_hand() -> None:
    found = pooled([0.8, 0.9], [Interval(0.75, 0.85), Interval(0.85, 0.95)], 100)
    # rows: 0.05 / 1.95996 = 0.025511, squared 0.00065079; seeds: variance 0.005 / 2 = 0.0025; together 0.00315079,
    # its root 0.056132. Freedom: 0.00315079**2 / (0.00065079**2 / 99 + 0.0025**2 / 1) = 1.58737
    # Student's 97.5% at 1.58737 is 5.5743: 5.5743 * 0.056132 = 0.31290
    assert found.value == pytest.approx(0.85)
    assert found.interval.high - found.value == pytest.approx(0.3129, abs=2e-4)
    assert found.value - found.interval.low == pytest.approx(0.3129, abs=2e-4)


def test_equal_seeds_leave_the_rows_alone() -> None:
    # No spread of seeds: Student's 97.5% at 99 is 1.98422, over the normal's 1.95996 that is 0.05 * 1.01238
    found = pooled([0.3, 0.3, 0.3], [Interval(0.25, 0.35)] * 3, 100)
    assert found.interval.high == pytest.approx(0.3 + 0.05 * 1.98422 / 1.95996, rel=1e-5)


def test_no_difference_at_all_is_certain_by_either_side() -> None:
    assert pooled([0.0, 0.0], [Interval(0.0, 0.0)] * 2, 10).probability == 1.0
    assert pooled([0.1, 0.1], [Interval(0.1, 0.1)] * 2, 10).probability == 0.0


def test_one_seed_cannot_be_pooled() -> None:
    with pytest.raises(ValueError, match="1 seeds"):
        pooled([0.5], [Interval(0.4, 0.6)], 10)


@pytest.mark.parametrize("seeds_spread", [0.0, 0.05, 0.2])
def test_an_interval_of_95_percent_misses_about_one_time_in_twenty(seeds_spread: float) -> None:
    """200 rows that three trainings share, a difficulty a row and a luck a seed; the truth is 0."""
    generator = np.random.default_rng(0)
    missed, times = 0, 2000
    for _ in range(times):
        rows = generator.normal(0, 1, 200)
        seeds = generator.normal(0, seeds_spread, 3)
        scores = rows + seeds[:, None] + generator.normal(0, 0.3, (3, 200))
        reach = 1.96 * scores.std(axis=1, ddof=1) / 200**0.5
        means = scores.mean(axis=1)
        ends = [Interval(mean - half, mean + half) for mean, half in zip(means, reach, strict=True)]
        found = pooled(means.tolist(), ends, 200)
        missed += not found.interval.low <= 0 <= found.interval.high
    assert 0.005 <= missed / times <= 0.06
