"""Which pairs of systems raters are shown: every choice once, each pair and side about as often at any moment."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import combinations
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.evaluation.pairing import Pair, laid_out, meetings, order_for, run_is_left
from luthier.flow import Message, Place, ReviewItem


def items_of(rows: int, systems: int, checks: int = 0) -> list[ReviewItem]:
    """Items of rows that all systems answer differently, in laps, and attention checks."""
    choices = [meetings([str(system) for system in range(systems)]) for _ in range(rows)]
    found = [item(number, row + 1, pairs) for number, (row, pairs) in enumerate(laid_out(choices, Random(0)), 1)]
    return found + [item(len(found) + number, 0, (), "same") for number in range(1, checks + 1)]


def item(number: int, row: int, pairs: tuple[Pair, ...], check: str = "") -> ReviewItem:
    asked, place = (Message("user", "?"),), Place("rows.jsonl", row)
    return ReviewItem(number, place, None, asked, "a", "b", check=check, row=row, pairs=pairs)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["a", "a", "a"], []),
        (["a", "b"], [((0, 1),)]),
        (["a", "b", "c"], [((0, 1),), ((0, 2),), ((1, 2),)]),
        (["a", "b", "a"], [((0, 1), (2, 1))]),
        (["a", "b", "b"], [((0, 1), (0, 2))]),
        (["a", "b", "b", "a"], [((0, 1), (0, 2), (3, 1), (3, 2))]),
        (["a", "b", "b", "c"], [((0, 1), (0, 2)), ((0, 3),), ((1, 3), (2, 3))]),
    ],
)
def test_systems_that_said_the_same_are_asked_about_together(texts: list[str], found: list[tuple[Pair, ...]]) -> None:
    assert meetings(texts) == found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abc"), min_size=4, max_size=4), max_size=12), st.integers(0, 9))
def test_every_choice_of_every_row_comes_once_and_a_row_again_only_after_all_others(
    texts: list[list[str]], seed: int
) -> None:
    choices = [meetings(row) for row in texts]
    found = laid_out(choices, Random(seed))
    assert sorted(found) == sorted((row, pairs) for row, given in enumerate(choices) for pairs in given)
    seen: Counter[int] = Counter()
    for row, _ in found:
        others = [other for other, given in enumerate(choices) if len(given) > seen[row]]
        assert min(seen[other] for other in others) == seen[row]
        seen[row] += 1
    for said in texts:
        named = [pair for pairs in meetings(said) for pair in pairs]
        unlike = [pair for pair in combinations(range(4), 2) if said[pair[0]] != said[pair[1]]]
        assert sorted(tuple(sorted(pair)) for pair in named) == unlike


@pytest.mark.parametrize("systems", [3, 4, 5])
def test_whoever_stops_early_has_asked_each_pair_and_each_row_about_as_often(systems: int) -> None:
    items = items_of(60, systems)
    pairs = systems * (systems - 1) // 2
    assert len(items) == 60 * pairs
    for upto in range(1, len(items) + 1):
        met = Counter(one.pairs[0] for one in items[:upto])
        unlike = max(met.values()) - min(met.get(pair, 0) for pair in combinations(range(systems), 2))
        assert unlike <= (1 if upto <= 60 else 4)
    assert {one.row for one in items[:60]} == set(range(1, 61))


def test_each_rater_has_an_order_of_their_own_lap_after_lap_with_pairs_evenly_spread_and_checks_among_them() -> None:
    items = items_of(60, 3, checks=6)
    by_number = {one.number: one for one in items}
    orders = [order_for(items, Random(f"0 rater {rater}")) for rater in (1, 2)]
    assert orders[0] != orders[1]
    for order in orders:
        assert sorted(order) == sorted(by_number)
        asked = [by_number[number] for number in order if not by_number[number].check]
        assert all(len({one.row for one in asked[lap * 60 : (lap + 1) * 60]}) == 60 for lap in range(3))
        for upto in range(6, 181):
            met = Counter(one.pairs[0] for one in asked[:upto])
            assert max(met.values()) - min(met.values()) <= 4
        places = [place for place, number in enumerate(order) if by_number[number].check]
        assert places[0] < 93 < places[-1]


def test_of_each_pair_in_each_lap_the_first_system_stands_left_in_half_of_the_items() -> None:
    items = items_of(50, 4)
    left = run_is_left(items, Random(0))
    laps: Counter[int] = Counter()
    sides: dict[tuple[int, Pair], list[bool]] = defaultdict(list)
    for one in items:
        sides[laps[one.row], one.pairs[0]].append(left[one.number])
        laps[one.row] += 1
    assert all(abs(2 * sum(found) - len(found)) <= 1 for found in sides.values())
    assert any(found != sorted(found) for found in sides.values())
    assert left != run_is_left(items, Random(1))


@pytest.mark.parametrize("systems", [3, 4, 6])
def test_all_pairs_tell_the_run_from_each_other_as_well_as_the_run_against_each_and_two_others_twice_as_well(
    systems: int,
) -> None:
    votes = 600.0

    def variance(pairs: list[Pair], one: int, other: int) -> float:
        """Of the distance of two strengths, by Fisher's information of so many votes on systems that are equal."""
        bend = np.zeros((systems, systems))
        for pair in pairs:
            way = np.zeros(systems)
            way[list(pair)] = 1, -1
            bend += votes / len(pairs) / 4 * np.outer(way, way)
        way = np.zeros(systems)
        way[[one, other]] = 1, -1
        return float(way @ np.linalg.pinv(bend) @ way)

    every = list(combinations(range(systems), 2))
    star = [(0, other) for other in range(1, systems)]
    expected = 4 * (systems - 1) / votes
    assert variance(every, 0, 1) == pytest.approx(expected)
    assert variance(star, 0, 1) == pytest.approx(expected)
    assert variance(every, 1, 2) == pytest.approx(expected)
    assert variance(star, 1, 2) == pytest.approx(2 * expected)
