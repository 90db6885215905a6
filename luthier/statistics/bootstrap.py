"""Bootstrap intervals of anything that is a function of the rows' totals: means, ratios, and differences of them.

A row (a conversation) is drawn as a whole, with its loss and its tokens, because the tokens of one row depend on each
other. n rows, K columns, B resamples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from luthier.statistics.interval import CONFIDENCE, Interval

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]

RESAMPLES = 4000
FEWEST_ROWS = 10
_CHUNK = 2**21
_MOST_COLUMNS = 16


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
    if n < FEWEST_ROWS:
        quantile = float(stdtrit(n - 1, (1 + confidence) / 2))
        error = float(np.sqrt((n - 1) / n * np.sum((left_out - left_out.mean()) ** 2)))
        return Interval(estimate - quantile * error, estimate + quantile * error)
    return accelerated(statistic(resampled_totals(rows, generator)), estimate, left_out, _tail(n, confidence))


def studentized_interval(
    columns: ArrayLike,
    statistic: Statistic,
    generator: np.random.Generator,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Interval | None:
    """As `totals_interval`, and nearer to `confidence` where few rows hold most of the sum (losses): bootstrap-t.

    Each resample's distance from the estimate is measured in that resample's own standard error, by the delta method;
    how such distances spread takes the place of Student's table. On a hundred lognormal losses it covers 94% where the
    accelerated one covers 92%. It needs a spread in (nearly) every resample: where rows are alike but for a few, the
    accelerated interval is given instead, and under `FEWEST_ROWS` rows Student's.

    Source: Efron 1981, "Nonparametric standard errors and confidence intervals", section 10; Hall 1988, "Theoretical
    comparison of bootstrap confidence intervals".
    """
    rows = np.asarray(columns, dtype=np.float64)
    n = len(rows)
    if n < FEWEST_ROWS:
        return totals_interval(rows, statistic, generator, confidence)
    estimate, error, distribution, errors = _resampled(rows, statistic, generator, resamples)
    tail = _tail(n, confidence)
    if not (errors > 1e-6 * error).all():
        return accelerated(distribution, estimate, statistic(rows.sum(axis=0) - rows), tail)
    near, far = np.quantile((distribution - estimate) / errors, [tail, 1 - tail])
    return Interval(estimate - max(float(far), 0.0) * error, estimate - min(float(near), 0.0) * error)


def bootstrap_test(
    columns: ArrayLike, statistic: Statistic, generator: np.random.Generator, resamples: int = RESAMPLES
) -> float | None:
    """The two-sided probability of a `statistic(columns.sum(axis=0))` at least so far from 0 if it were 0, or None
    under two rows. For a paired test the statistic is the difference of two models, a row's numbers of both in one row.

    How far the resamples lie from the estimate, each in its own standard error, shows how far chance carries it from 0:
    the estimate in its error is held against that. It is at least 2 / (resamples + 1). Where resamples have no spread,
    or the columns are so many that their errors would take long, those beyond 0 are counted; under `FEWEST_ROWS` rows
    it is Student's test on the jackknife's error.

    Source: Hall and Wilson 1991, "Two guidelines for bootstrap hypothesis testing".
    """
    rows = np.asarray(columns, dtype=np.float64)
    n = len(rows)
    if n < 2:
        return None
    if n < FEWEST_ROWS:
        totals = rows.sum(axis=0)
        estimate, left_out = float(statistic(totals)), statistic(totals - rows)
        error = float(np.sqrt((n - 1) / n * np.sum((left_out - left_out.mean()) ** 2)))
        if error == 0.0:
            return 1.0 if estimate == 0.0 else 0.0
        return float(2 * stdtr(n - 1, -abs(estimate) / error))
    distances, seen = None, 0.0
    if rows.shape[1] <= _MOST_COLUMNS:
        estimate, error, distribution, errors = _resampled(rows, statistic, generator, resamples)
        if error > 0 and (errors > 1e-6 * error).all():
            distances, seen = (distribution - estimate) / errors, estimate / error
    else:
        distribution = statistic(resampled_totals(rows, generator, resamples))
    if distances is None:
        distances = -distribution
    beyond = min(int(np.count_nonzero(distances >= seen)), int(np.count_nonzero(distances <= seen)))
    return min(1.0, 2 * (beyond + 1) / (resamples + 1))


def _resampled(
    rows: Floats, statistic: Statistic, generator: np.random.Generator, resamples: int
) -> tuple[float, float, Floats, Floats]:
    """The statistic of the rows with its standard error, and those of each resample."""
    n, width = rows.shape
    one, other = np.triu_indices(width)
    moments = np.column_stack([rows, rows[:, one] * rows[:, other]])
    totals, resampled = moments.sum(axis=0), resampled_totals(moments, generator, resamples)
    error = float(_standard_error(totals, statistic, n, width))
    errors = _standard_error(resampled, statistic, n, width)
    return float(statistic(totals[:width])), error, statistic(resampled[:, :width]), errors


def _standard_error(moments: Floats, statistic: Statistic, n: int, width: int) -> Floats:
    """The delta method's error of `statistic` over n rows. `moments` (..., K + K (K + 1) / 2) holds the totals and then
    the sums of products of columns, by the upper triangle."""
    totals = moments[..., :width]
    one, other = np.triu_indices(width)
    products = np.empty((*totals.shape, width))
    products[..., one, other] = products[..., other, one] = moments[..., width:]
    covariances = products - totals[..., :, None] * totals[..., None, :] / n
    slopes = np.empty_like(totals)
    for column in range(width):
        step = np.zeros(width)
        step[column] = 1e-5 * max(float(np.abs(totals[..., column]).mean()), 1e-9)
        slopes[..., column] = (statistic(totals + step) - statistic(totals - step)) / (2 * step[column])
    variances = np.einsum("...i,...ij,...j->...", slopes, covariances, slopes)
    error: Floats = np.sqrt(np.maximum(variances, 0.0))
    return error


def _tail(n: int, confidence: float) -> float:
    """The probability beyond each end, expanded for n rows as Student's table and the missing n / (n - 1) do."""
    return float(ndtr(-np.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 + confidence) / 2)))


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
