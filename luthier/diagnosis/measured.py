"""How sure it is that what was measured is over a bound, or apart from something else, from its interval."""

from __future__ import annotations

import math

from scipy.special import ndtr, ndtri

from luthier.diagnosis.seen import Seen
from luthier.flow import Measure

NO_BETTER = 0.8
"""Of the test rows' loss: training rows with so much of it fare no better."""
BETTER = 0.6
"""Likewise: training rows with so much of it fare better."""


def beyond(measure: Measure, bound: float) -> float:
    """The probability that the true value is over the bound, as a normal error of the interval's width has it; 0
    without an interval."""
    if measure.value is None or measure.low is None or measure.high is None or measure.high <= measure.low:
        return 0.0
    return float(ndtr((measure.value - bound) / _error(measure.low, measure.high)))


def error_of_both(one: Measure, other: Measure) -> float | None:
    """The standard error of the difference of two losses of other rows, as their 95% intervals have it; None where one
    has no interval, or both are points."""
    if one.high is None or other.high is None or not one.low or not other.low:
        return None
    return math.hypot(_error(one.low, one.high), _error(other.low, other.high)) or None


def training_rows_no_better(seen: Seen) -> float | None:
    """Where training rows are expected hardly more than test rows: the probability that they look so although they are
    clearly expected more. None where they do not look so, or were not evaluated."""
    gaps = seen.report.gaps if seen.report else {}
    own, test = gaps.get("training"), gaps.get("test")
    if not own or not test or own.value is None or test.value is None or own.value < NO_BETTER * test.value:
        return None
    error = error_of_both(own, test)
    return None if error is None else float(ndtr((BETTER * test.value - own.value) / error))


def _error(low: float, high: float) -> float:
    """The standard error of which these are the ends of a 95% interval, as a normal one has them."""
    return (high - low) / (2 * float(ndtri(0.975)))
