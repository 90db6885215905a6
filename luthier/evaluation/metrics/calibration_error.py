"""Calibration error: how far the model's certainty about its label is from how often that label is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from luthier.evaluation.labels import nearest, unscored
from luthier.evaluation.metrics import Sample
from luthier.evaluation.metrics._rows import OfTotals

direction: Final = "lower"
range: Final = (0.0, 1.0)
needs: Final = "label_scores"
unfit: Final = unscored

BINS: Final = 10


def _certain_and_right(sample: Sample) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Of each row the likeliest label's share of the likelihood of all labels, and whether it is the wanted one."""
    certainties, right = [], []
    for question, scores in zip(sample.questions, sample.label_scores, strict=True):
        shares = softmax(scores.log_probabilities)
        certainties.append(float(shares.max()))
        right.append(int(shares.argmax()) == nearest(question.wanted, scores.labels))
    return np.array(certainties), np.array(right)


def _bins(certainties: NDArray[np.float64]) -> NDArray[np.int64]:
    """From 0 to 1 in `BINS` of equal width, the upper end within: 0.1 is in the first, 1 in the last."""
    return np.clip(np.ceil(certainties * BINS).astype(np.int64) - 1, 0, BINS - 1)


def _columns(sample: Sample) -> NDArray[np.float64]:
    """A column a bin, certainty minus right (0 in the other bins), and one that counts rows."""
    certainties, right = _certain_and_right(sample)
    columns = np.zeros((len(right), BINS + 1))
    columns[np.arange(len(right)), _bins(certainties)] = certainties - right
    columns[:, BINS] = 1
    return columns


def _expected(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over bins of |certainty - right| / n: Guo et al. 2017, "On calibration of modern neural networks", eq. 3."""
    return np.asarray(np.abs(sums[..., :BINS]).sum(-1) / sums[..., BINS])


def _details(sample: Sample) -> Mapping[str, Any]:
    certainties, right = _certain_and_right(sample)
    bins = _bins(certainties)
    return {
        "bins": [
            {
                "rows": int((bins == number).sum()),
                "certainty": float(certainties[bins == number].mean()),
                "right": float(right[bins == number].mean()),
            }
            for number in np.unique(bins)
        ]
    }


_error = OfTotals(_columns, _expected, range, details=_details)
measure, difference, rows_needed = _error.measure, _error.difference, _error.rows_needed
