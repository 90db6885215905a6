"""Curves: where the points stand, what the smoothed line is, and what hovering says."""

from __future__ import annotations

from dataclasses import replace
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.report.curves import Curve, axis, curves, smooth
from luthier.report.view import View


def test_an_axis_has_round_ticks_inside_its_ends() -> None:
    found = axis(0, 50, 6)
    assert [(tick.at, tick.label) for tick in found.ticks] == [
        (0, "0"),
        (20, "10"),
        (40, "20"),
        (60, "30"),
        (80, "40"),
        (100, "50"),
    ]
    assert [tick.label for tick in axis(0.13, 0.34, 5).ticks] == ["0.2", "0.3"]
    assert [tick.label for tick in axis(0, 3, 6, whole=True).ticks] == ["0", "1", "2", "3"]


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(3, 8))
def test_an_axis_has_no_more_ticks_than_asked_for(low: float, span: float, most: int) -> None:
    found = axis(low, low + span, most)
    assert len(found.ticks) <= most
    assert all(0 <= tick.at <= 100 for tick in found.ticks)


def test_a_value_outside_an_axis_stands_at_its_end() -> None:
    assert [axis(0, 8, 5).at(value) for value in (-1, 2, 9)] == [0, 25, 100]


def test_the_smoothed_line_is_a_mean_around_each_step() -> None:
    # the first value has nothing before it and stays; the last has nothing after it: (6 + 4) / 2
    assert smooth([1, 2, 6, 4], [1, 1, 1, 1], 3) == [1, 3, 4, 5]


def test_the_smoothed_line_weighs_steps_by_their_trained_tokens() -> None:
    # (1 * 1 + 3 * 3 + 5 * 1) / 5 = 3 in the middle, (3 * 3 + 5 * 1) / 4 = 3.5 at the end
    assert smooth([1, 3, 5], [1, 3, 1], 3) == [1, 3, 3.5]


def test_dots_are_strokes_of_no_length_and_lines_join_their_points() -> None:
    points = ((0.0, 50.0), (100.0, 2.5))
    assert Curve("a", "a", "dots", points).path == "M0 50h0M100 2.5h0"
    assert Curve("a", "a", "line", points).path == "M0 50L100 2.5"


def test_the_points_stand_where_the_axes_say(whole: View) -> None:
    found = curves(whole.steps, whole.evaluations)
    assert found is not None
    training, smoothed, validation = found.loss.curves
    # losses 4 / step from 4 down to 0.1: from 0 to 4 + 8% of 3.9; the first loss is 4 / 4.312 up, step 1 of 40 in
    assert training.points[0] == (2.5, round(100 - 100 * 4 / 4.312, 2))
    assert validation.points == tuple(
        (x, round(100 - 100 * loss / 4.312, 2)) for x, loss in ((25.0, 1.2), (50.0, 0.6), (75.0, 0.4))
    )
    assert found.loss.best == validation.points[2]
    assert len(smoothed.points) == 40
    # the rate falls from 1.95e-4 to 0, and 1.95e-4 is the top of its axis
    assert found.learning_rate.curves[0].points[0] == (2.5, 0)
    assert found.learning_rate.curves[0].points[-1] == (100, 100)


def test_hovering_says_the_latest_validation_loss_and_from_when_it_is(whole: View) -> None:
    found = curves(whole.steps, whole.evaluations)
    assert found is not None
    assert "validation-loss" not in found.moments[8].words
    assert found.moments[9].words["validation-loss"] == "1.20"
    assert found.moments[10].words["validation-loss"] == "1.20 (step 10)"
    assert found.moments[19].words == {
        "step": "20",
        "epoch": "1.00",
        "training-loss": "0.200",
        "smoothed": "0.201",
        "validation-loss": "0.600",
        "learning-rate": "1e-4",
    }


def test_a_loss_that_is_no_number_is_counted_and_not_drawn(whole: View) -> None:
    broken = replace(whole.steps[3], train_loss=nan)
    found = curves((*whole.steps[:3], broken, *whole.steps[4:]), ())
    assert found is not None
    assert found.broken == 1
    assert [len(curve.points) for curve in found.loss.curves] == [39, 39]
    assert "nan" not in "".join(curve.path for curve in found.loss.curves)


def test_a_long_run_is_drawn_in_part_with_its_last_step(whole: View) -> None:
    many = [replace(whole.steps[0], step=number) for number in range(1, 5_001)]
    found = curves(many, ())
    assert found is not None
    assert found.every == 3
    assert len(found.moments) == 1_668  # 0, 3, ..., 4998 are 1,667, and the last
    assert found.moments[-1].words["step"] == "5,000"


@pytest.mark.parametrize("loss", [0.0, 2.0])
def test_a_single_step_can_be_drawn(whole: View, loss: float) -> None:
    found = curves([replace(whole.steps[0], train_loss=loss, learning_rate=0.0)], ())
    assert found is not None
    assert len(found.moments) == 1


def test_nothing_is_drawn_before_the_first_step() -> None:
    assert curves((), ()) is None
