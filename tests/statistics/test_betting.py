"""Bets on a share: worked capital, the closed form of Robbins' mixture, and false stops counted over reviews."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import beta as beta_function
from scipy.special import betainc

from luthier.statistics import enough, evidence, sequence
from luthier.statistics.betting import FRACTIONS

ITEMS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=40).map(
    lambda pairs: [(min(pair), max(pair)) for pair in pairs]
)


def test_three_wins_in_a_row_at_one_half_are_worth_their_integral() -> None:
    # the mean over f from 0 to 1 of (1 + f)^k: (2^(k+1) - 1) / (k + 1) = 1.5, 7/3, 3.75; of (1 - f)^k: 1/2, 1/3, 1/4
    found = evidence([1, 1, 1], [1, 1, 1], 0.5)
    assert found.above == pytest.approx([1.5, 7 / 3, 3.75], abs=1e-12)
    assert found.below == pytest.approx([0.5, 0.5, 0.5], abs=1e-12)


def test_a_tie_changes_nothing() -> None:
    found = evidence([1, 0, 1], [1, 0, 1], 0.5)
    assert found.above == pytest.approx([1.5, 1.5, 7 / 3], abs=1e-12)


def test_two_of_two_votes_on_an_item_win_as_much_as_one_of_one() -> None:
    # f of what the worst item takes: 1 + f (2 / 0.8 - 2) / 2 = 1 + f / 4, as 1 + f (1 / 0.8 - 1)
    assert evidence([2], [2], 0.8, most=2).above == pytest.approx(evidence([1], [1], 0.8).above)
    # one of two: 1 + f (1 / 0.8 - 2) / 2 = 1 - 0.375 f, on average 0.8125
    assert evidence([1], [2], 0.8, most=2).above == pytest.approx([0.8125])


@pytest.mark.parametrize(("wins", "losses", "bound"), [(40, 3, 0.8), (20, 20, 0.5), (0, 30, 0.8), (90, 20, 0.7)])
def test_it_is_the_mixture_of_all_shares_above_the_bound(wins: int, losses: int, bound: float) -> None:
    """The mean of (q/m)^wins ((1-q)/(1-m))^losses over q from m to 1, by the incomplete beta function."""
    above = 1 - betainc(wins + 1, losses + 1, bound)
    whole = beta_function(wins + 1, losses + 1) * above / (1 - bound)
    expected = whole / (bound**wins * (1 - bound) ** losses)
    outcomes = [0.0] * losses + [1.0] * wins  # the losses first, so that the last capital is the largest
    found = evidence(outcomes, [1.0] * len(outcomes), bound).above[-1]
    assert found == pytest.approx(max(expected, evidence([0.0], [1.0], bound).above[0]), rel=1e-9)


def test_a_fair_game_stays_fair() -> None:
    """The mean capital over all outcomes of ten votes, each weighed by its chance at the bound, is the start."""
    for bound in (0.2, 0.5, 0.8):
        total = 0.0
        for wins in range(11):
            logs = wins * np.log1p(FRACTIONS * (1 / bound - 1)) + (10 - wins) * np.log1p(-FRACTIONS)
            weights = np.polynomial.legendre.leggauss(64)[1] / 2
            chance = comb(10, wins) * bound**wins * (1 - bound) ** (10 - wins)
            total += chance * float(weights @ np.exp(logs))
        assert total == pytest.approx(1.0, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(ITEMS)
def test_the_interval_is_where_neither_side_has_enough(items: list[tuple[int, int]]) -> None:
    wins, of = [won for won, _ in items], [decided for _, decided in items]
    found = sequence(wins, of, most=3)
    for low, high, upto in zip(found.low, found.high, range(1, len(items) + 1), strict=True):
        for bound, ruled_out in ((low - 1e-6, True), (low + 1e-6, False)):
            if 0 < bound < 1:
                assert (evidence(wins[:upto], of[:upto], bound, 3).above[-1] >= enough()) == ruled_out
        for bound, ruled_out in ((high + 1e-6, True), (high - 1e-6, False)):
            if 0 < bound < 1:
                assert (evidence(wins[:upto], of[:upto], bound, 3).below[-1] >= enough()) == ruled_out


@settings(max_examples=60, deadline=None)
@given(ITEMS)
def test_the_interval_only_narrows_and_turns_round_with_the_sides(items: list[tuple[int, int]]) -> None:
    wins, of = np.array([won for won, _ in items]), np.array([decided for _, decided in items])
    found, turned = sequence(wins, of, most=3), sequence(of - wins, of, most=3)
    assert (np.diff(found.low) >= 0).all()
    assert (np.diff(found.high) <= 0).all()
    assert (found.low <= found.high).all() or sum(of) > 20  # crossing is the rare review that it is wrong about
    assert found.low == pytest.approx(1 - turned.high, abs=1e-9)


def test_no_items_give_no_ends_and_impossible_ones_are_refused() -> None:
    assert len(sequence([], []).low) == len(evidence([], [], 0.5).above) == 0
    for wins, of, bound in (([2], [1], 0.5), ([1], [2], 0.5), ([1], [1], 0.0), ([1], [1], 1.0)):
        with pytest.raises(ValueError, match=r"successes|tested against"):
            evidence(wins, of, bound)


def stops(
    share: float, bound: float, likeness: float, items: int, raters: int, reviews: int, ties: float = 0.1
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """At which item (0: never) each of many reviews stops above and below the bound, looking after every item.

    `likeness` is how far two votes on an item correlate. A vote is a tie with a chance of `ties`.
    """
    generator = np.random.default_rng(round(1000 * share) + items + raters)
    size = (1 - likeness) / likeness if likeness else np.inf
    above, below = np.zeros(reviews, dtype=np.int64), np.zeros(reviews, dtype=np.int64)
    for review in range(reviews):
        chances = generator.beta(share * size, (1 - share) * size, items) if likeness else np.full(items, share)
        of = generator.binomial(raters, 1 - ties, items)
        found = evidence(generator.binomial(of, chances), of, bound, raters)
        for stop, capital in ((above, found.above), (below, found.below)):
            over = capital >= enough()
            stop[review] = over.argmax() + 1 if over[-1] else 0
    return above, below


def most_allowed(reviews: int) -> float:
    return 0.05 + 2 * float(np.sqrt(0.05 * 0.95 / reviews))


@pytest.mark.parametrize(("likeness", "raters"), [(0.0, 1), (0.5, 3)])
def test_looking_after_every_item_stops_falsely_in_at_most_five_of_a_hundred_reviews(
    likeness: float, raters: int
) -> None:
    above, below = stops(0.8, 0.8, likeness, 300, raters, reviews=800)
    assert ((above > 0) | (below > 0)).mean() <= most_allowed(800)


def test_the_fixed_interval_looked_at_as_often_would_stop_falsely_in_many() -> None:
    from scipy.special import betaincinv

    wins = (np.random.default_rng(0).random((300, 300)) < 0.8).cumsum(axis=1)
    n = np.arange(1, 301)
    low = np.where(wins > 0, betaincinv(np.maximum(wins, 1), n - wins + 1, 0.025), 0)
    high = np.where(wins < n, betaincinv(wins + 1, np.maximum(n - wins, 1), 0.975), 1)
    assert ((low > 0.8) | (high < 0.8)).any(axis=1).mean() > 0.15


def test_a_clear_preference_settles_within_the_votes_that_it_should() -> None:
    above, below = stops(0.95, 0.8, 0.0, 400, 1, reviews=100, ties=0.0)
    assert (above > 0).all()
    assert not below.any()
    assert np.median(above) < 80


@pytest.mark.long
@pytest.mark.parametrize(
    ("bound", "likeness", "items", "raters"),
    [(0.8, 0.0, 1000, 1), (0.5, 0.0, 1000, 1), (0.95, 0.0, 1000, 1), (0.8, 0.3, 500, 3), (0.8, 0.9, 300, 5)],
)
def test_ten_thousand_reviews_at_the_bound_stop_falsely_in_at_most_five_of_a_hundred(
    bound: float, likeness: float, items: int, raters: int
) -> None:
    above, below = stops(bound, bound, likeness, items, raters, reviews=10_000)
    false = ((above > 0) | (below > 0)).mean()
    print(
        f"bound {bound}, likeness {likeness}, {items} items of {raters} raters: {100 * false:.2f}% false stops "
        f"({100 * (above > 0).mean():.2f}% above, {100 * (below > 0).mean():.2f}% below)"
    )
    assert false <= most_allowed(10_000)
