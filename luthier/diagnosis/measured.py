"""How sure it is that what was measured is over a bound, from its interval."""

from __future__ import annotations

from scipy.special import ndtr, ndtri

from luthier.flow import Measure


def beyond(measure: Measure, bound: float) -> float:
    """The probability that the true value is over the bound, as a normal error of the interval's width has it; 0
    without an interval."""
    if measure.value is None or measure.low is None or measure.high is None or measure.high <= measure.low:
        return 0.0
    error = (measure.high - measure.low) / (2 * float(ndtri(0.975)))
    return float(ndtr((measure.value - bound) / error))
