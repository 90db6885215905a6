"""How many rows would settle a target that the value clears and the interval does not."""

from __future__ import annotations

from math import floor
from typing import Final

from scipy.optimize import brentq
from scipy.special import ndtri

from luthier.statistics.interval import CONFIDENCE
from luthier.statistics.shares import clopper_pearson

_LEAST: Final = 1e-6
_MOST: Final = 1e9


def rows_needed_for_share(share: float, target: float, confidence: float = CONFIDENCE) -> int | None:
    """The fewest rows at which Wilson's interval around `share` excludes `target`; None if they are equal.

    A share of 1 clears 0.9 with z**2 * 0.9 * 0.1 / 0.1**2 = 34.6 rows: 35.
    """
    if share == target:
        return None
    z = float(ndtri((1 + confidence) / 2))
    return floor(z**2 * target * (1 - target) / (share - target) ** 2) + 1


def rows_needed(n: int, value: float, near_end: float, target: float) -> int | None:
    """About how many rows would bring the interval's near end to the right side of `target`; None if value and target
    are equal.

    The half-width falls as 1 / sqrt(rows): if it is 0.4 with 50 rows and the target 0.2 away, 4 * 50 rows reach the
    target and one more clears it.
    """
    if value == target:
        return None
    return floor(n * ((value - near_end) / (value - target)) ** 2) + 1


def votes_needed(n: float, share: float, near_end: float, target: float, confidence: float = CONFIDENCE) -> int | None:
    """About the fewest votes at which Clopper and Pearson's interval around `share` excludes `target`; None if they are
    equal, or all but.

    `near_end` is the interval's end towards the target with `n` votes. It says how many independent votes the n were
    worth; more votes are taken to be worth as much each. A share of 1 with 10 votes, from 0.6915, clears 0.8 from 17
    votes on (0.025 ** (1 / 17) = 0.805); from 0.4782 (five items, two votes each that always agree) with 34.
    """
    if share == target:
        return None

    def end(votes: float) -> float:
        ends = clopper_pearson(share * votes, votes, confidence)
        return ends.low if share > target else ends.high

    def beyond(bound: float, most: float) -> float:
        """How many independent votes bring the end to `bound`, at most `most`."""
        short = end(most) < bound if share > target else end(most) > bound
        return most if short else float(brentq(lambda votes: end(votes) - bound, _LEAST, most))

    worth = beyond(near_end, n) / n
    needed = beyond(target, _MOST)
    return None if needed == _MOST else floor(needed / worth) + 1
