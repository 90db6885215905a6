"""Two models on the same rows: what one gets right and the other does not."""

from __future__ import annotations

from math import sqrt

from scipy.special import bdtr

from luthier.statistics.interval import CONFIDENCE, Interval
from luthier.statistics.shares import wilson


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided probability of a split at least so uneven if both were equally good.

    The arguments count the rows that only the one or only the other gets right. `mcnemar(1, 7)` is
    2 * (1 + 8) / 2**8 = 0.0703. Without such rows it is 1.

    Source: McNemar 1947, "Note on the sampling error of the difference between correlated proportions".
    """
    trials = only_first + only_second
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), trials, 0.5))) if trials else 1.0


def share_difference(
    both: int, only_first: int, only_second: int, neither: int, confidence: float = CONFIDENCE
) -> Interval:
    """The interval of (first's share right) - (second's share right) over the same rows.

    It also holds where no row, or every row, tells the two apart, and a bootstrap would see no spread. Raises
    `ValueError` without rows.

    Source: Newcombe 1998, "Improved confidence intervals for the difference between binomial proportions based on
    paired data", method 10.
    """
    n = both + only_first + only_second + neither
    first, second = both + only_first, both + only_second
    first_share, second_share = first / n if n else 0.0, second / n if n else 0.0
    first_ends, second_ends = wilson(first, n, confidence), wilson(second, n, confidence)
    product = both * neither - only_first * only_second
    margins = first * (n - first) * second * (n - second)
    correlation = (max(product - n / 2, 0) if product > 0 else product) / sqrt(margins) if margins else 0.0

    def distance(mine: float, other: float) -> float:
        return sqrt(max(mine**2 - 2 * correlation * mine * other + other**2, 0.0))

    difference = (only_first - only_second) / n
    below = distance(first_share - first_ends.low, second_ends.high - second_share)
    above = distance(first_ends.high - first_share, second_share - second_ends.low)
    return Interval(difference - below, difference + above)
