"""Loss: nats a trained token, summed over all rows and divided by their trained tokens."""

from __future__ import annotations

from math import inf
from typing import Final

import numpy as np

from luthier.evaluation.metrics import Sample
from luthier.evaluation.metrics._totals import from_totals
from luthier.flow import Measure
from luthier.statistics.rows_needed import rows_needed

__all__ = ["difference", "direction", "measure", "needs", "range", "rows_needed"]

direction: Final = "lower"
range: Final = (0.0, inf)
needs: Final = "row_scores"


def measure(sample: Sample, generator: np.random.Generator) -> Measure:
    """Rows of (0.6 nats, 3 tokens) and (0.2, 1): 0.8 / 4 = 0.2; its interval resamples rows."""
    return from_totals([sample], lambda row: row.loss, lambda sums: sums[..., 0] / sums[..., 1], range, generator)


def difference(tuned: Sample, base: Sample, generator: np.random.Generator) -> Measure:
    """Tuned minus base, nats a token: under 0 is better. Both losses of a row are resampled together."""
    return from_totals(
        [tuned, base],
        lambda row: row.loss,
        lambda sums: (sums[..., 0] - sums[..., 1]) / sums[..., 2],
        (-inf, inf),
        generator,
    )
