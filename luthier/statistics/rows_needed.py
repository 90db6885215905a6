"""How many rows would settle a target that the value clears and the interval does not."""

from __future__ import annotations

from math import floor

from scipy.special import ndtri

from luthier.statistics.interval import CONFIDENCE


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
