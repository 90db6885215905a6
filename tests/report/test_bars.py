"""Interval bars: the interval, the value and the target stand in the right places on one axis."""

from __future__ import annotations

from math import inf

from luthier.report.bars import Bar, Line, strip


def test_shares_stand_on_an_axis_from_0_to_100_per_cent() -> None:
    found = strip([("base", 0.2, 0.1, 0.3), ("tuned", 0.91, 0.851, 0.948)], True, Line(0.9, higher=True))
    assert found is not None
    assert found.bars == (Bar("base", 20, 10, 30), Bar("tuned", 91, 85.1, 94.8))
    assert found.target is not None
    assert (found.target.at, found.target.label) == (90, "90%")
    assert found.good == (90, 100)


def test_a_target_from_above_is_met_on_its_left() -> None:
    found = strip([("tuned", 4.0, 3.0, 5.0)], False, Line(10.0, higher=False))
    assert found is not None
    assert found.target is not None
    assert found.good == (0, found.target.at)
    # from 0 to 10 and a quarter of the 7 between the least and the greatest
    assert found.bars[0].value == round(100 * 4 / 11.75, 2)


def test_near_brings_the_axis_close_to_the_target() -> None:
    found = strip([("tuned", 0.91, 0.85, 0.95)], True, Line(0.9, higher=True), near=True)
    assert found is not None
    # 0.85 to 0.95 with a quarter of 0.1 on both sides: 0.825 to 0.975
    assert found.bars[0].low == round(100 * 0.025 / 0.15, 2)
    assert found.bars[0].high == round(100 * 0.125 / 0.15, 2)


def test_values_far_apart_share_a_logarithmic_axis() -> None:
    found = strip([("base", 1000.0, 1000.0, 1000.0), ("tuned", 1.0, 1.0, 1.0)], False)
    assert found is not None
    assert found.logarithmic
    # decades -0.3 to 3.3
    assert [tick.label for tick in found.ticks] == ["1", "10", "100", "1,000"]
    assert found.bars[1].value == round(100 * 0.3 / 3.6, 2)


def test_tick_labels_make_room_for_the_target() -> None:
    found = strip([("tuned", 0.6, 0.5, 0.7)], True, Line(0.95, higher=True))
    assert found is not None
    assert [tick.label for tick in found.ticks] == ["0%", "50%"]


def test_a_value_without_an_interval_is_a_point() -> None:
    found = strip([("tuned", 0.5, None, None)], True)
    assert found is not None
    assert found.bars == (Bar("tuned", 50, 50, 50),)


def test_what_was_not_measured_is_not_drawn() -> None:
    assert strip([("base", None, None, None), ("tuned", inf, 1.0, inf)], False) is None
