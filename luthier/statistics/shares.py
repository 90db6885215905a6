"""Intervals of a share: so many successes in n independent trials."""

from __future__ import annotations

from math import sqrt

from scipy.special import betaincinv, ndtri

from luthier.statistics.interval import CONFIDENCE, Interval


def wilson(successes: float, n: float, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval: all shares that a score test would not reject. Right on average over the shares.

    `wilson(9, 10)` is 0.5958 to 0.9821. `successes` need not be whole, so that it can be asked at a share seen
    elsewhere. Raises `ValueError` unless 0 <= successes <= n and n > 0.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    _check(successes, n)
    z = float(ndtri((1 + confidence) / 2))
    share = successes / n
    center = share + z**2 / (2 * n)
    half = z * sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = (center - half) / (1 + z**2 / n), (center + half) / (1 + z**2 / n)
    return Interval(0.0 if successes == 0 else low, 1.0 if successes == n else high)


def clopper_pearson(successes: float, n: float, confidence: float = CONFIDENCE) -> Interval:
    """The exact interval: it never covers less than `confidence`, and mostly more.

    `clopper_pearson(9, 10)` is 0.5550 to 0.9975. The numbers need not be whole, as where dependent trials count as
    fewer. Raises `ValueError` unless 0 <= successes <= n and n > 0.

    Source: Clopper and Pearson 1934, "The use of confidence or fiducial limits" (of the binomial).
    """
    _check(successes, n)
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1 - tail))
    return Interval(low, high)


def _check(successes: float, n: float) -> None:
    if not (n > 0 and 0 <= successes <= n):
        raise ValueError(f"{successes} successes in {n} trials")
