"""The share of dependent trials: exact where they are independent, and covering what it promises where they are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.statistics import clopper_pearson, clustered_share

CLUSTERS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30).map(
    lambda pairs: [(min(one, other), max(one, other)) for one, other in pairs]
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_one_trial_a_cluster_gives_the_exact_interval(wins: list[bool]) -> None:
    found = clustered_share([int(won) for won in wins], [1] * len(wins))
    assert found is not None
    exact = clopper_pearson(sum(wins), len(wins))
    assert (found.interval.low, found.interval.high) == pytest.approx((exact.low, exact.high), abs=1e-9)
    assert found.effective_n == len(wins)


def test_two_unlike_items_are_worth_a_tenth_of_a_trial() -> None:
    # share 4 / 6; item sums differ from it by +1 and -1: 2 / 1 * (1 + 1) / 36 = 1/9. Six independent trials have
    # (4/6 * 2/6) / 5 = 0.04444. Of 6 trials 6 * 0.04444 / 0.11111 = 2.4 stay, times (2.5706 / 12.7062)^2 = 0.04093
    found = clustered_share([3, 1], [3, 3])
    assert found is not None
    assert found.effective_n == pytest.approx(0.09823, abs=1e-5)
    assert found.interval.low < 0.01
    assert found.interval.high > 0.99


def test_items_of_votes_that_all_agree_count_once_each() -> None:
    found = clustered_share([3, 3, 3, 3, 3], [3, 3, 3, 3, 3])
    assert found is not None
    assert (found.n, found.effective_n) == (15, 5)
    assert found.interval == clopper_pearson(5, 5)


def test_one_cluster_is_worth_one_trial() -> None:
    found = clustered_share([7], [10])
    assert found is not None
    assert found.effective_n == 1
    assert found.interval == clopper_pearson(0.7, 1)


def test_clusters_without_trials_are_left_out_and_nothing_is_left_of_none() -> None:
    assert clustered_share([1, 0, 1], [1, 0, 2]) == clustered_share([1, 1], [1, 2])
    assert clustered_share([0, 0], [0, 0]) is None
    assert clustered_share([], []) is None


@settings(max_examples=100, deadline=None)
@given(CLUSTERS)
def test_the_interval_holds_the_share_and_never_claims_more_than_its_trials(clusters: list[tuple[int, int]]) -> None:
    wins, trials = [won for won, _ in clusters], [of for _, of in clusters]
    found = clustered_share(wins, trials)
    if not sum(trials):
        assert found is None
        return
    assert found is not None
    assert 0 < found.effective_n <= found.n == sum(trials)
    assert found.interval.low <= found.value <= found.interval.high
    exact = clopper_pearson(sum(wins), sum(trials))
    assert found.interval.low <= exact.low + 1e-9
    assert found.interval.high >= exact.high - 1e-9
    other = clustered_share([of - won for won, of in clusters], trials)
    assert other is not None
    assert (1 - other.interval.high, 1 - other.interval.low) == pytest.approx(
        (found.interval.low, found.interval.high), abs=1e-7
    )


@pytest.mark.parametrize("wrong", [([2], [1]), ([-1], [1]), ([1, 1], [1]), ([[1]], [[1]])])
def test_more_successes_than_trials_are_refused(wrong: tuple[list[int], list[int]]) -> None:
    with pytest.raises(ValueError, match="successes"):
        clustered_share(*wrong)


def coverage(share: float, likeness: float, items: int, raters: int, reviews: int, seed: int = 0) -> float:
    """How often the interval holds `share`. Each item has a chance of its own, from the beta distribution under which
    two votes on it correlate by `likeness`."""
    generator = np.random.default_rng(seed)
    size = (1 - likeness) / likeness
    chances = generator.beta(share * size, (1 - share) * size, (reviews, items))
    wins = generator.binomial(raters, chances)
    held = 0
    for each in wins:
        found = clustered_share(each, np.full(items, raters))
        assert found is not None
        held += found.interval.low <= share <= found.interval.high
    return held / reviews


@pytest.mark.parametrize(
    ("share", "likeness", "items", "raters"), [(0.8, 0.3, 60, 3), (0.8, 0.6, 100, 5), (0.9, 0.3, 100, 3)]
)
def test_it_covers_what_it_promises_where_votes_on_an_item_hang_together(
    share: float, likeness: float, items: int, raters: int
) -> None:
    assert coverage(share, likeness, items, raters, reviews=600) >= 0.93


def test_the_interval_of_independent_votes_would_not() -> None:
    generator = np.random.default_rng(0)
    wins = generator.binomial(5, generator.beta(0.8 * 2 / 3, 0.2 * 2 / 3, (600, 100))).sum(axis=1)
    held = [clopper_pearson(int(won), 500).low <= 0.8 <= clopper_pearson(int(won), 500).high for won in wins]
    assert np.mean(held) < 0.8


@pytest.mark.long
@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("likeness", [0.05, 0.3, 0.7])
@pytest.mark.parametrize(("items", "raters"), [(20, 3), (100, 3), (100, 20), (400, 5)])
def test_it_covers_over_many_reviews(share: float, likeness: float, items: int, raters: int) -> None:
    covered = coverage(share, likeness, items, raters, reviews=4000)
    print(f"share {share}, likeness {likeness}, {items} items of {raters} raters: {covered:.4f}")
    assert covered >= 0.93
