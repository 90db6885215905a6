"""The bootstrap: equal to scipy on the same resamples, and its intervals cover what they promise."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import bootstrap, norm, t

from luthier.statistics import mean_interval, ratio_interval, studentized_interval, totals_interval
from luthier.statistics.bootstrap import accelerated, resampled_totals

TOKENS = np.array([2.0, 5, 3, 9, 4, 2, 7, 3, 6, 2, 8, 3])
LOSSES = np.array([0.4, 3.1, 0.2, 2.2, 0.9, 1.7, 0.3, 0.8, 4.4, 0.1, 1.2, 0.5])


def test_the_interval_equals_scipys_on_the_same_resamples() -> None:
    columns = np.column_stack([LOSSES, TOKENS])
    totals = resampled_totals(columns, np.random.default_rng(0))
    distribution = totals[:, 0] / totals[:, 1]
    left_out = (LOSSES.sum() - LOSSES) / (TOKENS.sum() - TOKENS)
    ours = accelerated(distribution, LOSSES.sum() / TOKENS.sum(), left_out, tail=0.025)
    theirs = bootstrap(
        (LOSSES, TOKENS),
        lambda losses, tokens, axis=-1: losses.sum(axis=axis) / tokens.sum(axis=axis),
        paired=True,
        n_resamples=0,
        bootstrap_result=SimpleNamespace(bootstrap_distribution=distribution),
        method="BCa",
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=1e-9)
    assert ours.high == pytest.approx(theirs.high, abs=1e-9)


def test_the_tails_of_a_small_sample_are_expanded() -> None:
    # t at 11 degrees of freedom is 2.200985, times sqrt(12 / 11) = 2.298838: 0.010757 lies beyond it, not 0.025
    columns = np.column_stack([LOSSES, np.ones(12)])
    distribution = resampled_totals(columns, np.random.default_rng(0))[:, 0] / 12
    wanted = accelerated(distribution, LOSSES.mean(), (LOSSES.sum() - LOSSES) / 11, tail=0.0107569)
    found = mean_interval(LOSSES, np.random.default_rng(0))
    assert found is not None
    assert [found.low, found.high] == pytest.approx([wanted.low, wanted.high], abs=1e-4)


def test_an_estimate_beyond_all_resamples_still_gets_the_nearest_ends() -> None:
    distribution, one_rules = np.linspace(1, 2, 101), np.array([10.0] + [11.0] * 999)
    assert accelerated(distribution, 3.0, one_rules, tail=1e-6).high == pytest.approx(2.0)
    assert accelerated(distribution, 0.0, -one_rules, tail=1e-6).low == pytest.approx(1.0)
    assert accelerated(distribution, 0.0, one_rules, tail=1e-6).low == pytest.approx(1.0)
    assert accelerated(distribution, 3.0, np.ones(5), tail=0.025).low > 1.0


def test_each_resample_draws_as_many_rows_as_there_are_whole() -> None:
    columns = np.column_stack([np.ones(50), 3 * np.ones(50)])
    totals = resampled_totals(columns, np.random.default_rng(0), resamples=7)
    assert totals.tolist() == [[50.0, 150.0]] * 7


def test_many_rows_are_drawn_in_pieces_and_all_resamples_filled() -> None:
    columns = np.arange(3_000_000, dtype=float)[:, None]
    totals = resampled_totals(columns, np.random.default_rng(0), resamples=3)
    assert np.unique(totals).size == 3
    assert totals / 3_000_000 == pytest.approx(1_500_000, rel=0.01)


def test_few_rows_get_students_interval() -> None:
    values = [1.0, 2.0, 3.0, 6.0]
    # mean 3, sample variance (4 + 1 + 0 + 9) / 3, standard error sqrt(14 / 3 / 4), t at 3 degrees of freedom
    half = t.ppf(0.975, 3) * np.sqrt(14 / 12)
    interval = mean_interval(values, np.random.default_rng(0))
    assert interval is not None
    assert interval.low == pytest.approx(3 - half)
    assert interval.high == pytest.approx(3 + half)


@pytest.mark.parametrize("values", [[], [0.7]])
def test_under_two_rows_there_is_no_interval(values: list[float]) -> None:
    assert mean_interval(values, np.random.default_rng(0)) is None


@pytest.mark.parametrize("n", [2, 9, 10, 40])
def test_equal_rows_give_an_interval_without_width(n: int) -> None:
    interval = ratio_interval([0.5] * n, [2.0] * n, np.random.default_rng(0))
    assert interval is not None
    assert [interval.low, interval.high] == pytest.approx([0.25, 0.25])


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    first, again, other = (ratio_interval(LOSSES, TOKENS, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_a_paired_difference_is_narrower_than_its_parts() -> None:
    generator = np.random.default_rng(0)
    hard = generator.exponential(2.0, 200)
    columns = np.column_stack([hard, hard + generator.normal(0.1, 0.05, 200), np.ones(200)])
    difference = totals_interval(columns, lambda s: (s[..., 0] - s[..., 1]) / s[..., 2], generator)
    alone = mean_interval(hard, generator)
    assert difference is not None
    assert alone is not None
    assert -0.12 < difference.low < -0.1 < difference.high < -0.08
    assert difference.high - difference.low < (alone.high - alone.low) / 10


def exponential_rows(generator: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    tokens = generator.integers(2, 9, n)
    return tokens * generator.exponential(0.5, n), tokens


def normal_rows(generator: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    tokens = generator.integers(20, 60, n)
    return tokens * generator.normal(0.5, 0.1, n), tokens


@pytest.mark.parametrize(
    ("rows", "n", "at_least"),
    [(normal_rows, 5, 0.92), (normal_rows, 30, 0.92), (normal_rows, 100, 0.93), (exponential_rows, 100, 0.92)],
)
def test_it_covers_the_true_mean_loss_as_often_as_it_promises(
    rows: Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]], n: int, at_least: float
) -> None:
    generator, trials = np.random.default_rng(7), 500
    ends = [ratio_interval(*rows(generator, n), generator) for _ in range(trials)]
    covered = np.mean([end is not None and end.low <= 0.5 <= end.high for end in ends])
    print(f"{rows.__name__} n={n}: {covered:.3f} of {trials}")
    assert at_least <= covered <= 0.95 + 3 * np.sqrt(0.95 * 0.05 / trials)


def ratio(sums: np.ndarray) -> np.ndarray:
    return np.asarray(sums[..., 0] / sums[..., 1])


def test_the_studentized_interval_equals_a_loop_over_the_same_resamples() -> None:
    columns, n = np.column_stack([LOSSES, TOKENS]), 12

    def value_and_error(rows: np.ndarray) -> tuple[float, float]:
        value = rows[:, 0].sum() / rows[:, 1].sum()
        # The error of a ratio (Cochran, Sampling techniques, 1977, section 2.11), without n / (n - 1).
        return value, np.sqrt(np.sum((rows[:, 0] - value * rows[:, 1]) ** 2)) / rows[:, 1].sum()

    drawn = np.random.default_rng(0).integers(0, n, size=(500, n))
    value, error = value_and_error(columns)
    found = [value_and_error(columns[rows]) for rows in drawn]
    beyond = norm.cdf(-np.sqrt(12 / 11) * t.ppf(0.975, 11))
    near, far = np.quantile([(other - value) / own for other, own in found], [beyond, 1 - beyond])
    interval = studentized_interval(columns, ratio, np.random.default_rng(0), resamples=500)
    assert interval is not None
    assert [interval.low, interval.high] == pytest.approx([value - far * error, value - near * error], abs=1e-6)


def test_rows_alike_but_for_one_get_the_accelerated_interval_and_few_rows_students() -> None:
    alone = np.column_stack([[0.0] * 29 + [3.0], np.ones(30)])
    few = np.column_stack([LOSSES, TOKENS])[:9]
    for columns in (alone, few):
        found, wanted = (
            make(columns, ratio, np.random.default_rng(0)) for make in (studentized_interval, totals_interval)
        )
        assert found == wanted is not None


@pytest.mark.parametrize("n", [10, 40])
def test_rows_without_spread_have_a_studentized_interval_without_width(n: int) -> None:
    interval = studentized_interval(np.tile([0.5, 2.0], (n, 1)), ratio, np.random.default_rng(0))
    assert interval is not None
    assert [interval.low, interval.high] == pytest.approx([0.25, 0.25])


def lognormal_coverage(spread: float, n: int, trials: int) -> float:
    """How often the interval holds the true loss of 1 nat a token: rows of 2 to 8 tokens, lognormal losses a token."""
    generator, covered = np.random.default_rng(11), 0
    for _ in range(trials):
        tokens = generator.integers(2, 9, n)
        losses = tokens * generator.lognormal(-(spread**2) / 2, spread, n)
        ends = studentized_interval(np.column_stack([losses, tokens]), ratio, generator, resamples=1000)
        covered += ends is not None and ends.low <= 1 <= ends.high
    print(f"lognormal, spread {spread:g}, n={n}: {covered / trials:.4f} of {trials}")
    return covered / trials


@pytest.mark.parametrize("spread", [0.5, 1.0])
def test_a_hundred_lognormal_losses_are_covered(spread: float) -> None:
    assert 0.93 <= lognormal_coverage(spread, 100, 600) <= 0.97


@pytest.mark.long
@pytest.mark.parametrize("spread", [0.5, 1.0])
def test_lognormal_losses_are_covered_as_often_as_promised(spread: float) -> None:
    covered = {n: lognormal_coverage(spread, n, 4000) for n in (30, 100, 300)}
    assert 0.93 <= covered[100] <= 0.97
    assert 0.93 <= covered[300] <= 0.97
    assert covered[30] > 0.9
