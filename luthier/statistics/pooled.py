"""One number for several trainings: the mean over seeds, with what chance in the rows and in the seeds leaves open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from scipy.special import ndtri, stdtr, stdtrit

from luthier.statistics.interval import CONFIDENCE, Interval


@dataclass(frozen=True, slots=True)
class Pooled:
    """The mean of one value a seed, its interval, and the two-sided probability of being so far from 0 by chance."""

    value: float
    interval: Interval
    probability: float


def pooled(values: Sequence[float], intervals: Sequence[Interval], rows: int, confidence: float = CONFIDENCE) -> Pooled:
    """The mean over seeds; `intervals` are those of each seed's value over its rows, at the same `confidence`.

    The seeds were scored on the same rows or on alike ones, so more seeds do not make rows certain: the rows' standard
    error is the mean of the seeds' own, as if they erred together. The seeds' own spread is added to its square:
    variance / seeds. Student's t has the degrees of freedom of Welch and Satterthwaite for a sum of two variances, of
    `rows` - 1 and seeds - 1. Two seeds of 0.8 and 0.9, each within 0.05 at 95% over 100 rows: errors of 0.0255 and
    0.05, together 0.0561 with 1.58 degrees of freedom, so 0.85 from 0.54 to 1.16.

    Raises `ValueError` under two seeds, or for other many intervals than values.

    Source: Satterthwaite 1946, "An approximate distribution of estimates of variance components".
    """
    seeds = len(values)
    if seeds < 2 or len(intervals) != seeds or rows < 2:
        raise ValueError(f"{seeds} seeds with {len(intervals)} intervals over {rows} rows cannot be pooled")
    normal = float(ndtri((1 + confidence) / 2))
    of_rows = fmean((one.high - one.low) / 2 / normal for one in intervals) ** 2
    of_seeds = variance(values) / seeds
    value, error = fmean(values), (of_rows + of_seeds) ** 0.5
    if error == 0.0:
        return Pooled(value, Interval(value, value), 1.0 if value == 0.0 else 0.0)
    freedom = error**4 / (of_rows**2 / (rows - 1) + of_seeds**2 / (seeds - 1))
    reach = float(stdtrit(freedom, (1 + confidence) / 2)) * error
    return Pooled(value, Interval(value - reach, value + reach), float(2 * stdtr(freedom, -abs(value) / error)))
