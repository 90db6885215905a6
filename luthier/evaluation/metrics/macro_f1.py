"""Macro F1: the mean over labels of each one's F1, by the generated answers, so that rare labels count as much."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from luthier.evaluation.labels import labels_of, nearest, not_labels
from luthier.evaluation.metrics import Sample
from luthier.evaluation.metrics._rows import OfTotals

direction: Final = "higher"
range: Final = (0.0, 1.0)
needs: Final = "answers"
examples: Final = ("billing", "refund", "delivery")


def unfit(sample: Sample) -> str:
    """Why the rows have no fixed labels; empty where they have."""
    return not_labels([question.wanted for question in sample.questions])


def _wanted_and_said(sample: Sample) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]:
    """The labels that the rows want, and of each row the wanted one and the one said: one more where that is none, or
    was cut."""
    labels = labels_of([question.wanted for question in sample.questions])
    wanted = [nearest(question.wanted, labels) for question in sample.questions]
    said = [nearest(answer.text, labels) if answer.stopped else len(labels) for answer in sample.answers]
    return labels, np.array(wanted), np.array(said)


def _columns(sample: Sample) -> NDArray[np.float64]:
    """A column a label for being said rightly, one for being wanted, one for being said: (n, 3 L)."""
    labels, wanted, said = _wanted_and_said(sample)
    is_wanted, is_said = (chosen[:, None] == np.arange(len(labels)) for chosen in (wanted, said))
    return np.hstack([is_wanted & is_said, is_wanted, is_said]).astype(float)


def _mean_f1(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """F1 = 2 right / (wanted + said), 0 where a label was wanted and never said (a resample may hold neither)."""
    right, wanted, said = np.split(sums, 3, axis=-1)
    present = wanted + said > 0
    f1 = np.where(present, 2 * right / np.maximum(wanted + said, 1), 0.0)
    return np.asarray(f1.sum(-1) / np.maximum(present.sum(-1), 1))


def _details(sample: Sample) -> Mapping[str, Any]:
    """The confusion matrix: a line a wanted label; a column a label said, and one for all other answers."""
    labels, wanted, said = _wanted_and_said(sample)
    counts = np.zeros((len(labels), len(labels) + 1), dtype=int)
    np.add.at(counts, (wanted, said), 1)
    return {"labels": list(labels), "said": [*labels, "(other)"], "counts": counts.tolist()}


_mean = OfTotals(_columns, _mean_f1, range, details=_details)
measure, difference, rows_needed = _mean.measure, _mean.difference, _mean.rows_needed
