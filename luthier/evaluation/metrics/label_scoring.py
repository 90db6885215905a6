"""Label scoring: the share of rows whose wanted label the model finds the most likely of all labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from luthier.evaluation.labels import nearest, unscored
from luthier.evaluation.metrics import Sample
from luthier.evaluation.metrics._rows import ShareOfRows

direction: Final = "higher"
range: Final = (0.0, 1.0)
needs: Final = "label_scores"
unfit: Final = unscored


def _right(sample: Sample) -> Sequence[bool]:
    return [
        int(np.argmax(scores.log_probabilities)) == nearest(question.wanted, scores.labels)
        for question, scores in zip(sample.questions, sample.label_scores, strict=True)
    ]


def _details(sample: Sample) -> Mapping[str, Any]:
    """The same by the mean over a label's tokens, so that long labels are not behind by their length."""
    right = [
        int(np.argmax(scores.log_probabilities / scores.tokens)) == nearest(question.wanted, scores.labels)
        for question, scores in zip(sample.questions, sample.label_scores, strict=True)
    ]
    return {"length_normalized": sum(right) / len(right), "labels": len(sample.label_scores[0].labels)}


_share = ShareOfRows(_right, unfinished=False, details=_details)
measure, difference, rows_needed = _share.measure, _share.difference, _share.rows_needed
