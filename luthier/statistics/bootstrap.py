"""Bootstrap intervals of anything that is a function of the rows' totals: means, ratios, and differences of them.

A row (a conversation) is drawn as a whole, with its loss and its tokens, because the tokens of one row depend on each
other. n rows, K columns, B resamples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri, stdtrit

from luthier.statistics.interval import CONFIDENCE, Interval

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]

RESAMPLES = 4000
FEWEST_ROWS = 10
_CHUNK = 2**21


def mean_interval(values: ArrayLike, generator: np.random.Generator, confidence: float = CONFIDENCE) -> Interval | None:
    """The interval of the mean of one number a row, or None under two rows."""
    column = np.asarray(values, dtype=np.float64)
    return ratio_interval(column, np.ones_like(column), generator, confidence)


def ratio_interval(
    numerators: ArrayLike, denominators: ArrayLike, generator: np.random.Generator, confidence: float = CONFIDENCE
) -> Interval | None:
    """The interval of sum(numerators) / sum(denominators), such as losses over tokens, or None under two rows.

    The denominators must be positive.
    """
    columns = np.column_stack([numerators, denominators])
    return totals_interval(columns, lambda totals: totals[..., 0] / totals[..., 1], generator, confidence)


def totals_interval(
    columns: ArrayLike, statistic: Statistic, generator: np.random.Generator, confidence: float = CONFIDENCE
) -> Interval | None:
    """The interval of `statistic(columns.sum(axis=0))`, or None under two rows.

    `columns` is (n, K); `statistic` takes totals (..., K) and gives (...), and must not change when all totals are
    scaled alike. From `FEWEST_ROWS` rows on it is the bias-corrected and accelerated bootstrap with its tails expanded
    for small samples; under that, where too few distinct resamples exist, Student's t on the jackknife's error.

    Source: Efron 1987, "Better bootstrap confidence intervals"; Hesterberg 2015, "What teachers should know about the
    bootstrap" (the expansion); Tukey 1958, "Bias and confidence in not quite large samples".
    """
    rows = np.asarray(columns, dtype=np.float64)
    n = len(rows)
    if n < 2:
        return None
    totals = rows.sum(axis=0)
    estimate = float(statistic(totals))
    left_out = statistic(totals - rows)
    quantile = float(stdtrit(n - 1, (1 + confidence) / 2))
    if n < FEWEST_ROWS:
        error = float(np.sqrt((n - 1) / n * np.sum((left_out - left_out.mean()) ** 2)))
        return Interval(estimate - quantile * error, estimate + quantile * error)
    tail = float(ndtr(-np.sqrt(n / (n - 1)) * quantile))
    return accelerated(statistic(resampled_totals(rows, generator)), estimate, left_out, tail)


def resampled_totals(columns: Floats, generator: np.random.Generator, resamples: int = RESAMPLES) -> Floats:
    """The totals (B, K) of B samples of n rows, each drawn with replacement from the n rows of `columns` (n, K)."""
    n = len(columns)
    totals = np.empty((resamples, columns.shape[1]))
    step = max(1, _CHUNK // n)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = generator.integers(0, n, size=(size, n)) + n * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        totals[start : start + size] = counts @ columns
    return totals


def accelerated(distribution: Floats, estimate: float, left_out: Floats, tail: float) -> Interval:
    """Efron's BCa interval with `tail` probability beyond each end.

    `distribution` (B,) holds the statistic of each resample, `left_out` (n,) the statistic without each row.
    """
    below = (np.mean(distribution < estimate) + np.mean(distribution <= estimate)) / 2
    bias = ndtri(np.clip(below, 0.5 / len(distribution), 1 - 0.5 / len(distribution)))
    influence = left_out.mean() - left_out
    spread = np.sum(influence**2) ** 1.5
    acceleration = np.sum(influence**3) / (6 * spread) if spread > 0 else 0.0
    shifted = bias + ndtri(np.array([tail, 1 - tail]))
    levels = ndtr(bias + shifted / np.maximum(1 - acceleration * shifted, 1e-9))
    low, high = np.quantile(distribution, levels)
    return Interval(float(low), float(high))
