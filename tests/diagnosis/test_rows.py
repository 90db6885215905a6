"""Rows compared with themselves: numbers worked out by hand, and how often chance is taken for a rise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from luthier.diagnosis import rows
from luthier.flow import EvaluationLog


def evaluation(step: int, losses: list[tuple[float, int]]) -> EvaluationLog:
    mean = sum(loss for loss, _ in losses) / sum(tokens for _, tokens in losses)
    return EvaluationLog(step, mean, math.exp(mean), 0.5, False, 0.1, losses, [])


def test_three_rows_that_rise_by_1_2_and_3() -> None:
    # mean 2, error sqrt(((-1)^2 + 0 + 1^2) / 2 / 3) = 1 / sqrt(3); t = 2 sqrt(3) = 3.464 with 2 degrees of freedom.
    found = rows.change([(1.0, 1)] * 3, [(2.0, 1), (3.0, 1), (4.0, 1)])
    assert found is not None
    assert found.value == pytest.approx(2.0)
    assert found.up == pytest.approx(0.0371, abs=1e-4)
    assert found.down == pytest.approx(1 - 0.0371, abs=1e-4)
    assert found.high - found.value == pytest.approx(4.3027 / math.sqrt(3), abs=1e-3)


def test_a_row_counts_by_its_tokens_and_one_without_a_number_not_at_all() -> None:
    found = rows.change([(1.0, 1), (9.0, 3), (math.nan, 1), (0.0, 0)], [(2.0, 1), (12.0, 3), (5.0, 1), (1.0, 0)])
    assert found is not None
    assert found.n == 2
    assert found.value == pytest.approx(1.0)  # (1 + 3) / (1 + 3)
    assert rows.change([(1.0, 1)], [(2.0, 1)]) is None


def test_a_clear_rise_from_the_best_evaluation_is_no_chance() -> None:
    generator = np.random.default_rng(0)
    hard = generator.uniform(2, 6, 40)

    def at(step: int, mean: float) -> EvaluationLog:
        return evaluation(step, [(float(row * mean + generator.normal(0, 0.1)), 4) for row in hard])

    falling = [at(step, mean) for step, mean in ((10, 1.0), (20, 0.6), (30, 0.5), (40, 0.5))]
    assert rows.risen([*falling, at(50, 0.7)]) == pytest.approx(1 / 4001)
    chance = rows.risen(falling)
    assert chance is not None
    assert chance > 0.05


def test_the_search_for_the_best_evaluation_is_corrected_for() -> None:
    """Ten evaluations of a loss that has come to rest: the last is above the best one by chance, and a test of these
    two alone would say so far too often."""
    false, naive, runs = 0, 0, 150
    for seed in range(runs):
        generator = np.random.default_rng(seed)
        hard = generator.uniform(2, 6, 40)
        entries = [
            evaluation(step, [(float(row + generator.normal(0, 0.3)), 4) for row in hard]) for step in range(1, 11)
        ]
        chance = rows.risen(entries, resamples=400)
        assert chance is not None
        false += chance < 0.05
        best = min(entries[:-1], key=rows.validation)
        pair = rows.change(best.row_losses, entries[-1].row_losses)
        assert pair is not None
        naive += pair.up < 0.05
    assert naive > 0.15 * runs
    assert false <= 0.09 * runs  # 5% with 2.2 standard errors of 150 runs
