"""Gaps, changes and distances, worked out by hand on small rows."""

from __future__ import annotations

import numpy as np
import pytest

from luthier.evaluation.generalization import by_distance, change, gaps
from luthier.flow import EvaluationLog


def entry(
    step: int, validation: list[tuple[float, int]], training: list[tuple[float, int]], best: bool
) -> EvaluationLog:
    return EvaluationLog(step, 1.0, 2.7, 0.5, best, 0.1, validation, training)


def test_the_gap_is_of_the_best_evaluation_and_in_nats_a_token() -> None:
    training = [(1.0, 2), (2.0, 4)] * 6
    history = [
        entry(1, [(9.0, 1)] * 12, [(9.0, 1)] * 12, True),
        entry(2, [(3.0, 3), (1.0, 1)] * 6, training, True),
        entry(3, [(7.0, 1)] * 12, [(0.1, 1)] * 12, False),
    ]
    found = gaps(history, [(4.0, 2)] * 12)
    assert found["training"].value == pytest.approx(0.5)
    assert found["validation"].value == pytest.approx(1.0)
    assert found["test"].value == pytest.approx(2.0)
    assert found["validation_minus_training"].value == pytest.approx(0.5)
    assert found["test_minus_training"].value == pytest.approx(1.5)
    assert found["training"].n == 12


def test_the_interval_of_a_gap_holds_it_and_narrows_with_rows() -> None:
    chance = np.random.default_rng(0)

    def width(rows: int) -> float:
        sides = [[(float(loss), 1) for loss in chance.exponential(mean, rows)] for mean in (2.0, 1.0)]
        gap = gaps([entry(1, sides[0], sides[1], True)], [])["validation_minus_training"]
        assert gap.value is not None
        assert gap.low is not None
        assert gap.high is not None
        assert gap.low < gap.value < gap.high
        return gap.high - gap.low

    assert width(800) < width(50) / 2


def test_without_an_evaluation_or_with_broken_losses_nothing_is_made_up() -> None:
    assert gaps([], []) == {}
    broken = gaps([entry(1, [(float("nan"), 3)], [(1.0, 0)], True)], [])
    assert broken == {}


def test_a_change_counts_the_rows_that_it_breaks() -> None:
    found = change([True] * 9 + [False], [True] * 7 + [False] * 3)
    assert (found["before"].value, found["after"].value) == (0.9, 0.7)
    assert found["difference"].value == pytest.approx(-0.2)
    low, high = found["difference"].low, found["difference"].high
    assert low is not None
    assert high is not None
    assert low < -0.2 < high
    assert found["difference"].reason.startswith("2 of 10 rows are right only unchanged, 0 only changed")
    assert change([], []) == {}


def test_rows_fall_into_bands_by_likeness() -> None:
    found = by_distance(np.array([0.0, 0.2, 0.25, 0.8, 1.0]), [False, True, True, True, False])
    assert {band: (measure.value, measure.n) for band, measure in found.items()} == {
        "0 to 0.25": (0.5, 2),
        "0.25 to 0.5": (1.0, 1),
        "0.75 to 1": (0.5, 2),
    }
