"""The test of trend: exact chances of small orders, and false alarms no more often than promised."""

from __future__ import annotations

from math import factorial

import numpy as np
import pytest

from luthier.statistics import trend


@pytest.mark.parametrize("points", [2, 3, 4, 5, 9])
def test_a_perfect_fall_is_one_order_of_all(points: int) -> None:
    found = trend(range(points), [5.0 - n for n in range(points)])
    assert found.falling == pytest.approx(1 / factorial(points))
    assert found.rising == pytest.approx(1.0)
    assert found.change == pytest.approx(-(points - 1))


def test_one_swap_of_four_is_worked_by_hand() -> None:
    # of the 24 orders of 4, one has no and three have one pair that rises
    assert trend([10, 20, 30, 40], [4.0, 2.0, 3.0, 1.0]).falling == pytest.approx(4 / 24)
    # the slopes of the pairs: -0.2 -0.05 -0.1 +0.1 -0.05 -0.2, their median -0.075 over 30 steps
    assert trend([10, 20, 30, 40], [4.0, 2.0, 3.0, 1.0]).change == pytest.approx(-0.075 * 30)


def test_the_change_has_an_interval_from_five_points_on() -> None:
    assert trend(range(4), [4.0, 3.5, 2.0, 1.0]).interval is None
    found = trend(range(5), [4.0, 3.5, 2.0, 1.5, 1.0]).interval
    assert found is not None
    # all slopes of the 10 pairs: from -1.5 to -0.5 a step
    assert [found.low, found.high] == pytest.approx([-1.5 * 4, -0.5 * 4])


def test_equal_values_neither_fall_nor_rise() -> None:
    found = trend([1, 2, 3, 4, 5], [2.0] * 5)
    assert (found.falling, found.rising, found.change) == (1.0, 1.0, 0.0)


def test_a_trend_of_one_point_is_refused() -> None:
    with pytest.raises(ValueError, match="two points or more"):
        trend([1], [2.0])
    with pytest.raises(ValueError, match="different steps"):
        trend([1, 1], [2.0, 3.0])


def test_noise_alone_seldom_looks_like_a_fall_and_a_fall_mostly_does() -> None:
    generator, steps, trials = np.random.default_rng(0), range(10), 400
    fall = 2 * np.exp(-np.arange(10) / 4)
    noise = generator.normal(0, 0.1, (trials, 10))
    alarms = np.mean([trend(steps, list(row)).falling < 0.05 for row in noise])
    found = np.mean([trend(steps, list(row + fall)).falling < 0.05 for row in noise])
    held = []
    for row in noise:
        interval = trend(steps, list(row - 0.05 * np.arange(10))).interval
        held.append(interval is not None and interval.low <= -0.45 <= interval.high)
    assert alarms <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / trials)
    assert found > 0.95
    assert np.mean(held) >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / trials)
