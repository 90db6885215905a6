"""Which two of several systems' answers raters are shown: the pairs of each row, in which order, on which side.

All pairs of systems are asked, not the run against each alone. With N votes in all on S systems of about the same
strength, the variance of the distance between the run and another system is 4 (S - 1) / N either way, and that between
two others 4 (S - 1) / N where all pairs are asked, and 8 (S - 1) / N where the run meets each alone. And only where all
meet can be seen whether one strength a system tells it all: it does not where the run is preferred over base, base over
another, and that over the run.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import combinations
from random import Random

from luthier.flow import ReviewItem

Pair = tuple[int, int]
"""Two systems by their numbers; the run is 0."""


def meetings(texts: Sequence[str]) -> list[tuple[Pair, ...]]:
    """What can be chosen between the S answers to one row: for each two texts that differ, the pairs of systems that
    gave them, the text of the lowest number first.

    Systems that said the same are asked about together, because one choice says it of each: of `["a", "b", "a"]` there
    is one choice, `((0, 1), (2, 1))`; 0 and 2 said the same, and nobody can choose between them.
    """
    said: dict[str, list[int]] = defaultdict(list)
    for system, text in enumerate(texts):
        said[text].append(system)
    return [tuple((one, other) for one in ones for other in others) for ones, others in combinations(said.values(), 2)]


def laid_out(rows: Sequence[Sequence[tuple[Pair, ...]]], generator: Random) -> list[tuple[int, tuple[Pair, ...]]]:
    """Every choice of every row, with the row's place, in laps: each row once, before any comes again.

    In a lap a row is given that of its choices whose pair came least often so far, so whoever stops early has asked
    each pair about as often, and as many rows as votes.
    """
    order = list(range(len(rows)))
    generator.shuffle(order)
    left = [list(choices) for choices in rows]
    met: Counter[Pair] = Counter()
    found = []
    while any(left):
        for row in order:
            if not left[row]:
                continue
            choice = min(left[row], key=lambda pairs: (min(met[pair] for pair in pairs), generator.random()))
            left[row].remove(choice)
            met.update(choice)
            found.append((row, choice))
    return found


def order_for(items: Sequence[ReviewItem], generator: Random) -> list[int]:
    """The numbers of the items as one rater is asked them: lap after lap, each pair evenly spread over its lap, and
    attention checks anywhere."""
    at: dict[int, float] = {}
    laps = 0
    for (lap, _), numbers in _by_lap_and_pair(items).items():
        laps = max(laps, lap + 1)
        generator.shuffle(numbers)
        for place, number in enumerate(numbers):
            at[number] = lap + (place + generator.random()) / len(numbers)
    for item in items:
        if item.check:
            at[item.number] = generator.random() * laps
    return sorted(at, key=at.__getitem__)


def run_is_left(items: Sequence[ReviewItem], generator: Random) -> dict[int, bool]:
    """Whether the answer of a pair's first system stands left, by the item's number: of each pair in every lap half of
    the items, one more or less. Every other rater sees it the other way round."""
    found: dict[int, bool] = {}
    for numbers in _by_lap_and_pair(items).values():
        generator.shuffle(numbers)
        first = generator.random() < 0.5
        found |= {number: first ^ bool(place % 2) for place, number in enumerate(numbers)}
    return found | {item.number: generator.random() < 0.5 for item in items if item.check}


def _by_lap_and_pair(items: Sequence[ReviewItem]) -> dict[tuple[int, Pair], list[int]]:
    """The items' numbers, attention checks aside. An item's lap is how many of its row stand before it."""
    laps: Counter[int] = Counter()
    found: dict[tuple[int, Pair], list[int]] = defaultdict(list)
    for item in items:
        if not item.check:
            found[laps[item.row], item.pairs[0]].append(item.number)
            laps[item.row] += 1
    return found
