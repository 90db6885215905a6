"""Metrics that are a function of the rows' totals: a number a row, summed, over the trained tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from luthier.evaluation.metrics import Sample
from luthier.flow import Measure, RowScore
from luthier.statistics import Interval
from luthier.statistics.bootstrap import Statistic, studentized_interval

IntervalOf = Callable[[NDArray[np.float64], Statistic, np.random.Generator], Interval | None]


def from_totals(
    samples: Sequence[Sample],
    number: Callable[[RowScore], float],
    statistic: Statistic,
    limits: tuple[float, float],
    generator: np.random.Generator,
    interval_of: IntervalOf = studentized_interval,
) -> Measure:
    """`statistic` of the totals (each sample's `number` in order, then the trained tokens), ends kept within `limits`.

    The samples are of the same rows. Raises `ValueError` where they differ in a row's tokens.
    """
    tokens = [score.tokens for score in samples[0].row_scores]
    if any([score.tokens for score in sample.row_scores] != tokens for sample in samples):
        raise ValueError("two models were scored on rows of other lengths")
    kept = [row for row, count in enumerate(tokens) if count]
    left_out = len(tokens) - len(kept)
    note = f"{left_out} of {len(tokens)} rows have no trained token and are left out" if left_out else ""
    if not kept:
        return Measure(None, reason="no row has a trained token")
    columns = np.array([[*(number(sample.row_scores[row]) for sample in samples), tokens[row]] for row in kept], float)
    broken = [kept[row] for row in np.flatnonzero(~np.isfinite(columns).all(axis=1))]
    if broken:
        first = samples[0].questions[broken[0]].place
        return Measure(
            None, n=len(kept), reason=f"the loss of {len(broken)} rows is not a finite number, first at {first}"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        value = float(statistic(columns.sum(axis=0)))
        interval = interval_of(columns, statistic, generator) if isfinite(value) else None
    if not isfinite(value) or (interval and not (isfinite(interval.low) and isfinite(interval.high))):
        return Measure(None, n=len(kept), reason="it is too large for a number")
    if interval is None:
        return Measure(value, n=len(kept), reason="; ".join(filter(None, ["one row gives no interval", note])))
    least, greatest = limits
    return Measure(value, max(least, interval.low), min(greatest, interval.high), len(kept), note)
