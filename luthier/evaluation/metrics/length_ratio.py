"""Length ratio: the tokens of the generated answers over those of the wanted ones; 1 is as long as wanted."""

from __future__ import annotations

from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from luthier.evaluation.metrics import Sample
from luthier.evaluation.metrics._rows import OfTotals

direction: Final = "neither"
range: Final = (0.0, inf)
needs: Final = "answers"
best: Final = 1.0


def unfit(sample: Sample) -> str:
    """Why the lengths are not known; empty where they are."""
    return "" if sample.row_scores else "the rows were not scored"


def _columns(sample: Sample) -> NDArray[np.float64]:
    answers, scores = sample.answers, sample.row_scores
    return np.array([[answer.tokens, score.tokens] for answer, score in zip(answers, scores, strict=True)], float)


_ratio = OfTotals(_columns, lambda sums: sums[..., 0] / np.maximum(sums[..., 1], 1), range)
measure, difference, rows_needed = _ratio.measure, _ratio.difference, _ratio.rows_needed
