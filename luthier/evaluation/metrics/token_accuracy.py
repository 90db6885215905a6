"""Token accuracy: the share of trained tokens that the model would have chosen, given the wanted tokens before them."""

from __future__ import annotations

from typing import Final

import numpy as np

from luthier.evaluation.metrics import Sample
from luthier.evaluation.metrics._totals import from_totals
from luthier.flow import Measure
from luthier.statistics import rows_needed, totals_interval

__all__ = ["difference", "direction", "measure", "needs", "range", "rows_needed"]

direction: Final = "higher"
range: Final = (0.0, 1.0)
needs: Final = "row_scores"


def measure(sample: Sample, generator: np.random.Generator) -> Measure:
    """Its interval resamples rows; where all tokens are right, or all wrong, it is Wilson's with the rows as trials."""
    return from_totals(
        [sample], lambda row: row.correct, lambda sums: sums[..., 0] / sums[..., 1], range, generator, totals_interval
    )


def difference(tuned: Sample, base: Sample, generator: np.random.Generator) -> Measure:
    """Tuned minus base: over 0 is better. Both counts of a row are resampled together."""
    return from_totals(
        [tuned, base],
        lambda row: row.correct,
        lambda sums: (sums[..., 0] - sums[..., 1]) / sums[..., 2],
        (-1.0, 1.0),
        generator,
        totals_interval,
    )
