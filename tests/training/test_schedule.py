"""The learning rate and the number of steps, worked out by hand."""

from __future__ import annotations

import pytest

from luthier.training.schedule import count_steps, learning_rate, rows_of_step


def test_linear_falls_in_equal_parts_towards_zero() -> None:
    assert [learning_rate(step, 4, 1.0, 0.0, "linear") for step in (1, 2, 3, 4)] == [1, 0.75, 0.5, 0.25]


def test_the_warmup_rises_in_equal_parts_and_reaches_the_peak() -> None:
    rates = [learning_rate(step, 10, 2.0, 0.3, "constant") for step in range(1, 11)]
    assert rates == pytest.approx([2 / 3, 4 / 3, 2, *[2.0] * 7])


def test_cosine_is_half_way_down_in_the_middle() -> None:
    assert learning_rate(6, 10, 1.0, 0.0, "cosine") == pytest.approx(0.5)
    assert learning_rate(1, 10, 1.0, 0.0, "cosine") == 1.0
    assert 0 < learning_rate(10, 10, 1.0, 0.0, "cosine") < 0.03


@pytest.mark.parametrize(
    ("rows", "batch_size", "epochs", "max_steps", "steps"),
    [(10, 4, 1, None, 3), (10, 4, 3, None, 9), (10, 4, 0.5, None, 2), (1, 8, 0.1, None, 1), (100, 10, 3, 7, 7)],
)
def test_steps_are_counted(rows: int, batch_size: int, epochs: float, max_steps: int | None, steps: int) -> None:
    assert count_steps(rows, batch_size, epochs, max_steps) == steps


def test_an_epoch_goes_through_every_row_once_each_time_in_another_order() -> None:
    epochs = [[index for step in part for index in rows_of_step(step, 10, 4, 0)] for part in ((1, 2, 3), (4, 5, 6))]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 2
    assert epochs[0] != epochs[1]
