"""Does a series of measurements go down, and by how much?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import kendalltau, theilslopes

from luthier.statistics.interval import CONFIDENCE, Interval

FEWEST_POINTS = 5


@dataclass(frozen=True, slots=True)
class Trend:
    """What a series of points does over its steps.

    `falling` and `rising` are one-sided probabilities of an order at least so clear if the order were chance: small
    means that it does. `change` is from the first to the last step along the median slope; its interval needs
    `FEWEST_POINTS` points.
    """

    points: int
    falling: float
    rising: float
    change: float
    interval: Interval | None


def trend(steps: Sequence[float], values: Sequence[float], confidence: float = CONFIDENCE) -> Trend:
    """Mann and Kendall's test and Theil and Sen's slope. Raises `ValueError` under two points or for equal steps.

    It assumes that the points scatter independently around a curve that goes one way, of whatever shape. Under four
    points even a perfect order can be chance: 1/6 with three, 1/24 with four.

    Source: Mann 1945, "Nonparametric tests against trend"; Sen 1968, "Estimates of the regression coefficient based on
    Kendall's tau".
    """
    if len(steps) < 2 or len(steps) != len(values) or len(set(steps)) < len(steps):
        raise ValueError(f"a trend needs two points or more at different steps, not {len(values)} at {list(steps)}")
    span = max(steps) - min(steps)
    slope = theilslopes(values, steps, alpha=confidence)
    wide_enough = len(steps) >= FEWEST_POINTS
    if len(set(values)) == 1:
        falling = rising = 1.0
    else:
        falling = float(kendalltau(steps, values, alternative="less").pvalue)
        rising = float(kendalltau(steps, values, alternative="greater").pvalue)
    return Trend(
        points=len(steps),
        falling=falling,
        rising=rising,
        change=float(slope.slope) * span,
        interval=Interval(float(slope.low_slope) * span, float(slope.high_slope) * span) if wide_enough else None,
    )
