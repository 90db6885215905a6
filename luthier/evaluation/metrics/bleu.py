"""BLEU: how many runs of one to four words the generated and the wanted texts share, by sacrebleu."""

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


def _bleu(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """From the summed lengths (said, wanted), shared runs (4) and runs said (4): the geometric mean of the four
    precisions, where the first that has no shared run counts half a run, the second a quarter; times
    exp(1 - wanted / said) where less was said than wanted.

    Source: Papineni et al. 2002, "BLEU: a method for automatic evaluation of machine translation".
    """
    said, wanted = sums[..., 0], sums[..., 1]
    shared, runs = sums[..., 2:6], sums[..., 6:10]
    smoothing = 2.0 ** np.cumsum(shared == 0, axis=-1)
    precisions = np.where(shared > 0, shared, 1 / smoothing) / np.maximum(runs, 1)
    mean = np.exp(np.log(precisions).mean(-1))
    brevity = np.exp(np.minimum(0.0, 1 - wanted / np.maximum(said, 1)))
    return np.asarray(100 * np.where((shared > 0).any(-1) & (runs > 0).all(-1), brevity * mean, 0.0))


_score = by_sacrebleu("BLEU", _bleu)
measure, difference, rows_needed, unfit = _score.measure, _score.difference, _score.rows_needed, _score.unfit
