"""Perplexity: exp(loss), the number of equally likely tokens that the model hesitates between."""

from __future__ import annotations

from math import exp, inf, log
from typing import Final

import numpy as np

from luthier import statistics
from luthier.evaluation.metrics import Sample, loss
from luthier.evaluation.metrics._totals import from_totals
from luthier.flow import Measure

direction: Final = "lower"
range: Final = (1.0, inf)
needs: Final = "row_scores"

_GREATEST_LOSS = 700.0  # exp of more is no finite number


def measure(sample: Sample, generator: np.random.Generator) -> Measure:
    """exp of the loss and of its interval's ends: a loss of 0.2 gives 1.2214."""
    nats = loss.measure(sample, generator)
    if nats.value is None:
        return nats
    if max(nats.value, nats.high or 0.0) > _GREATEST_LOSS:
        return Measure(None, n=nats.n, reason=f"exp of a loss of {nats.value:.4g} is too large for a number")
    low, high = (None if end is None else exp(end) for end in (nats.low, nats.high))
    return Measure(exp(nats.value), low, high, nats.n, nats.reason)


def difference(tuned: Sample, base: Sample, generator: np.random.Generator) -> Measure:
    """Tuned minus base: under 0 is better. Both losses of a row are resampled together."""
    return from_totals(
        [tuned, base],
        lambda row: row.loss,
        lambda sums: np.exp(sums[..., 0] / sums[..., 2]) - np.exp(sums[..., 1] / sums[..., 2]),
        (-inf, inf),
        generator,
    )


def rows_needed(n: int, value: float, near_end: float, target: float) -> int | None:
    """On the scale of the loss, where the interval is made."""
    return statistics.rows_needed(n, log(value), log(near_end), log(target))
