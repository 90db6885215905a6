"""Bradley and Terry's strengths: evalica's and statsmodels' on the same input, finite for the unbeaten, covered."""

from __future__ import annotations

import evalica
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit

from luthier.statistics import bradley_terry, strengths
from luthier.statistics.bradley_terry import prior_wins

Floats = NDArray[np.float64]


def evalicas(wins: Floats) -> Floats:
    """The log-odds against the mean by evalica's own steps, from the same wins."""
    systems = range(len(wins))
    pairs = [(one, other) for one in systems for other in systems if one != other]
    ones, others = [one for one, _ in pairs], [other for _, other in pairs]
    weights = [float(wins[pair]) for pair in pairs]
    found = evalica.bradley_terry(
        ones, others, [evalica.Winner.X] * len(pairs), weights=weights, tolerance=1e-15, limit=1_000_000
    )
    logs = np.log(found.scores.sort_index().to_numpy())
    return np.asarray(logs - logs.mean())


def matrix(systems: int, seed: int, least: int = 1) -> Floats:
    wins = np.random.default_rng(seed).integers(least, 40, (systems, systems)).astype(np.float64)
    np.fill_diagonal(wins, 0)
    return wins


def test_three_wins_against_one_are_the_log_of_three() -> None:
    assert bradley_terry([[0, 3], [1, 0]], prior=0.0) == pytest.approx([np.log(3) / 2, -np.log(3) / 2], abs=1e-12)
    # half a win either way: log(3.5 / 1.5) / 2
    assert bradley_terry([[0, 3], [1, 0]])[0] == pytest.approx(np.log(3.5 / 1.5) / 2, abs=1e-12)


@pytest.mark.parametrize("systems", [2, 3, 5, 9])
def test_without_a_prior_it_is_evalicas(systems: int) -> None:
    wins = matrix(systems, seed=systems)
    assert bradley_terry(wins, prior=0.0) == pytest.approx(evalicas(wins), abs=1e-9)


@pytest.mark.parametrize("systems", [2, 3, 5])
def test_with_the_prior_it_is_evalicas_of_the_wins_with_the_prior_among_them(systems: int) -> None:
    wins = matrix(systems, seed=systems, least=0)
    wins[0, 1:], wins[1:, 0] = 30, 0  # unbeaten
    given = wins + prior_wins(systems) * (1 - np.eye(systems))
    assert bradley_terry(wins) == pytest.approx(evalicas(given), abs=1e-9)


def test_ties_as_half_a_win_are_evalicas_own() -> None:
    found = evalica.bradley_terry(
        ["a", "a", "b", "a"],
        ["b", "c", "c", "b"],
        [evalica.Winner.X, evalica.Winner.Draw, evalica.Winner.Y, evalica.Winner.Draw],
        weights=[3.0, 2.0, 4.0, 2.0],
        tolerance=1e-15,
        limit=1_000_000,
    )
    logs = np.log(found.scores.sort_index().to_numpy())
    ours = bradley_terry([[0, 4, 1], [1, 0, 0], [1, 4, 0]], prior=0.0)
    assert ours == pytest.approx(logs - logs.mean(), abs=1e-9)


def test_strengths_and_errors_are_those_of_a_logistic_regression() -> None:
    """statsmodels' on the same comparisons with the last system as zero: the model's own errors where items say nothing
    of their own, and those clustered by item where each says the same three times."""
    import statsmodels.api as sm

    wins = matrix(4, seed=4)
    each = single(wins)
    design = (each.sum(axis=2) - each.sum(axis=1))[:, :-1]
    sign = np.where(np.arange(len(each)) % 2 == 0, 1.0, -1.0)
    outcome, design = (sign > 0).astype(float), design * sign[:, None]
    centered = np.vstack([np.eye(3), np.zeros((1, 3))]) - 0.25
    alone = sm.GLM(outcome, design, family=sm.families.Binomial()).fit(tol=1e-14)
    one_item = strengths(each, np.zeros(len(each)), prior=0.0)
    assert one_item.strengths == pytest.approx(centered @ alone.params, abs=1e-9)
    assert one_item.errors == pytest.approx(np.sqrt(np.diag(centered @ alone.cov_params() @ centered.T)), abs=1e-9)

    items = np.repeat(np.arange(len(each)), 3)
    thrice = sm.GLM(np.repeat(outcome, 3), np.repeat(design, 3, axis=0), family=sm.families.Binomial()).fit(
        tol=1e-14, cov_type="cluster", cov_kwds={"groups": items, "use_correction": False}
    )
    covariance = thrice.cov_params() * len(each) / (len(each) - 1)
    found = strengths(np.repeat(each, 3, axis=0), items, prior=0.0)
    assert found.errors == pytest.approx(np.sqrt(np.diag(centered @ covariance @ centered.T)), abs=1e-9)


def single(wins: Floats) -> Floats:
    """Each win as a comparison of its own."""
    systems = range(len(wins))
    each = []
    for one in systems:
        for other in systems:
            comparison = np.zeros_like(wins)
            comparison[one, other] = 1
            each += [comparison] * int(wins[one, other])
    return np.array(each)


def test_an_unbeaten_system_is_strong_and_not_infinite() -> None:
    wins = [[0, 50, 50], [0, 0, 20], [0, 30, 0]]
    found = bradley_terry(wins)
    assert np.isfinite(found).all()
    assert 3 < found[0] < 6
    for hopeless in (wins, np.zeros((3, 3)), [[0, 3, 0], [2, 0, 0], [0, 0, 0]]):
        with pytest.raises(ValueError, match="not finite"):
            bradley_terry(hopeless, prior=0.0)


def test_systems_that_nobody_compared_are_average() -> None:
    assert bradley_terry(np.zeros((3, 3))) == pytest.approx([0, 0, 0])


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 5).flatmap(lambda n: st.lists(st.integers(0, 10_000), min_size=n * n, max_size=n * n)))
def test_the_slope_is_nought_and_the_order_of_systems_does_not_matter(cells: list[int]) -> None:
    systems = round(len(cells) ** 0.5)
    wins = np.array(cells, dtype=np.float64).reshape(systems, systems)
    np.fill_diagonal(wins, 0)
    found = bradley_terry(wins)
    given = wins + prior_wins(systems) * (1 - np.eye(systems))
    slope = given.sum(axis=1) - ((given + given.T) * expit(found[:, None] - found)).sum(axis=1)
    assert slope == pytest.approx(np.zeros(systems), abs=1e-8 * max(1.0, wins.sum()))
    assert found.sum() == pytest.approx(0, abs=1e-9)
    turned = bradley_terry(wins[::-1, ::-1])
    assert turned[::-1] == pytest.approx(found, abs=1e-8)
    assert bradley_terry(wins.T) == pytest.approx(-found, abs=1e-8)


@pytest.mark.parametrize("wrong", [[[1]], [[0, 1]], [[0, -1], [1, 0]]])
def test_what_is_no_table_of_wins_is_refused(wrong: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="no wins"):
        bradley_terry(wrong)
    with pytest.raises(ValueError, match="no comparisons"):
        strengths(np.zeros((0, 2, 2)), [])


def test_one_item_gives_wide_intervals_that_hold_the_strengths() -> None:
    found = strengths(np.array([[[0, 1], [0, 0]]] * 3), ["one"] * 3)
    assert all(ends.low < at < ends.high for at, ends in zip(found.strengths, found.intervals, strict=True))
    assert found.intervals[0].high - found.intervals[0].low > 5


def covered(true: Floats, items: int, reviews: int) -> float:
    """The share of strengths that their intervals hold. All pairs are voted on for each item."""
    generator = np.random.default_rng(items)
    systems = len(true)
    pairs = [(one, other) for one in range(systems) for other in range(one + 1, systems)]
    held = []
    for _ in range(reviews):
        wins = np.zeros((items, systems, systems))
        for one, other in pairs:
            won = generator.random(items) < expit(true[one] - true[other])
            wins[:, one, other], wins[:, other, one] = won, ~won
        found = strengths(wins, np.arange(items))
        held += [ends.low <= at <= ends.high for at, ends in zip(true, found.intervals, strict=True)]
    return float(np.mean(held))


def test_intervals_cover_what_they_promise() -> None:
    assert covered(np.array([0.8, 0.0, -0.8]), 60, 300) >= 0.93


@pytest.mark.long
@pytest.mark.parametrize("items", [20, 60, 300])
@pytest.mark.parametrize("true", [[0.8, 0.0, -0.8], [2.0, 0.5, -0.5, -2.0]])
def test_intervals_cover_over_many_reviews(items: int, true: list[float]) -> None:
    share = covered(np.array(true), items, 3000)
    print(f"{len(true)} systems, {items} items: {share:.4f}")
    assert share >= 0.93
