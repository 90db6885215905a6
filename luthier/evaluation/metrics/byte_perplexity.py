"""Byte perplexity: exp(nats a byte of wanted text), which compares models whatever their tokenizers."""

from __future__ import annotations

from dataclasses import replace
from math import exp, inf, log
from typing import Final

import numpy as np

from luthier import statistics
from luthier.evaluation.metrics import Sample
from luthier.evaluation.metrics._totals import from_totals
from luthier.flow import Measure, Question

direction: Final = "lower"
range: Final = (1.0, inf)
needs: Final = "row_scores"


def unfit(sample: Sample) -> str:
    """Why there are no bytes to share the loss among; empty where there are."""
    return "" if any(question.wanted for question in sample.questions) else "every wanted answer is empty"


def measure(sample: Sample, generator: np.random.Generator) -> Measure:
    """A loss of 4 nats over the 8 bytes of `billing.` is 0.5 a byte: 1.6487, which is 0.7213 bits.

    The loss holds the end mark's; the bytes are the wanted texts' in UTF-8.
    """
    if reason := unfit(sample):
        return Measure(None, n=len(sample.questions), reason=reason)
    nats = from_totals(
        [sample], lambda row: row.loss, lambda sums: sums[..., 0] / sums[..., 1], (0.0, inf), generator, over=_bytes
    )
    if nats.value is None:
        return nats
    if max(nats.value, nats.high or 0.0) > 700:
        return Measure(None, n=nats.n, reason=f"exp of {nats.value:.4g} nats a byte is too large for a number")
    low, high = (None if end is None else exp(end) for end in (nats.low, nats.high))
    return replace(nats, value=exp(nats.value), low=low, high=high, details={"bits_per_byte": nats.value / log(2)})


def difference(tuned: Sample, base: Sample, generator: np.random.Generator) -> Measure:
    """Tuned minus base: under 0 is better. Both losses of a row are resampled together."""
    if reason := unfit(tuned):
        return Measure(None, n=len(tuned.questions), reason=reason)
    return from_totals(
        [tuned, base],
        lambda row: row.loss,
        lambda sums: np.exp(sums[..., 0] / sums[..., 2]) - np.exp(sums[..., 1] / sums[..., 2]),
        (-inf, inf),
        generator,
        over=_bytes,
    )


def rows_needed(n: int, value: float, near_end: float, target: float) -> int | None:
    """On the scale of the nats, where the interval is made."""
    return statistics.rows_needed(n, log(value), log(near_end), log(target))


def _bytes(question: Question) -> float:
    return len(question.wanted.encode("utf-8", "surrogatepass"))
