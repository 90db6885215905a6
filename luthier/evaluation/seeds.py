"""Measures of one method over several seeds -> one measure."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from luthier.flow import Measure
from luthier.statistics import Interval
from luthier.statistics.pooled import pooled


def over_seeds(measures: Sequence[Measure], limits: tuple[float, float] = (-inf, inf)) -> Measure:
    """The mean over seeds with its interval (see `statistics.pooled`), ends kept within `limits`; of one seed the
    measure itself.

    `n` is the rows of a seed; `details` hold each seed's value, and the probability that the mean is 0. None where one
    seed has no value; without an interval where one seed has none.
    """
    if len(measures) == 1:
        return measures[0]
    n = min(measure.n for measure in measures)
    values = [measure.value for measure in measures if measure.value is not None]
    if len(values) < len(measures):
        return Measure(None, n=n, reason=next(measure.reason for measure in measures if measure.value is None))
    details = {"seeds": values}
    ends = [
        Interval(measure.low, measure.high)
        for measure in measures
        if measure.low is not None and measure.high is not None
    ]
    if len(ends) < len(measures) or n < 2:
        return Measure(sum(values) / len(values), n=n, reason="one row gives no interval", details=details)
    found = pooled(values, ends, n)
    least, greatest = limits
    return Measure(
        found.value,
        max(least, found.interval.low),
        min(greatest, found.interval.high),
        n,
        details={**details, "probability": found.probability, "test": "Student's t over rows and seeds"},
    )
