"""chrF: how many runs of one to six letters the generated and the wanted texts share, by sacrebleu."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from luthier.evaluation.metrics._texts import by_sacrebleu, examples

__all__ = ["difference", "direction", "examples", "measure", "needs", "package", "range", "rows_needed", "unfit"]

direction: Final = "higher"
range: Final = (0.0, 100.0)
needs: Final = "answers"
package: Final = "sacrebleu"

BETA: Final = 2


def _chrf(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """From the summed runs said, wanted and shared of each length (6 x 3): F2 of the mean precision and the mean
    recall, over the lengths that both texts have.

    Source: Popovic 2015, "chrF: character n-gram F-score for automatic MT evaluation".
    """
    said, wanted, shared = (sums[..., number::3] for number in (0, 1, 2))
    known = (said > 0) & (wanted > 0)
    lengths = np.maximum(known.sum(-1), 1)
    precision, recall = ((known * shared / np.maximum(runs, 1)).sum(-1) / lengths for runs in (said, wanted))
    below = BETA**2 * precision + recall
    return np.asarray(100 * (1 + BETA**2) * precision * recall / np.where(below > 0, below, 1))


_score = by_sacrebleu("CHRF", _chrf)
measure, difference, rows_needed, unfit = _score.measure, _score.difference, _score.rows_needed, _score.unfit
