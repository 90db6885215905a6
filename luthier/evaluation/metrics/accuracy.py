"""Accuracy: the share of rows whose generated answer is the wanted one after normalization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from luthier.evaluation.matching import is_json, same_answer
from luthier.evaluation.metrics import Sample
from luthier.evaluation.metrics._rows import Fit, ShareOfRows

direction: Final = "higher"
range: Final = (0.0, 1.0)
needs: Final = "answers"

LONG_TOKENS: Final = 32


def unfit(sample: Sample) -> str:
    """Why the rows do not fit: long free answers (no category, no JSON, over 32 tokens at the median), of which many
    texts would be right. It looks at no answers, so it can be asked before them.

    The wanted tokens are the trained ones but for the end mark.
    """
    if not sample.row_scores or any(question.category is not None for question in sample.questions):
        return ""
    tokens = median(score.tokens for score in sample.row_scores) - 1
    free = sum(not is_json(question.wanted) for question in sample.questions)
    if tokens <= LONG_TOKENS or free <= len(sample.questions) / 2:
        return ""
    return (
        f"long free answers (median {tokens:g} tokens, over {LONG_TOKENS}, no category): "
        "many texts would be right, so equality says little"
    )


@dataclass(frozen=True, slots=True)
class ShortAnswers(Fit):
    """Rows whose answers can be compared as wholes."""

    def unfit(self, sample: Sample) -> str:
        return unfit(sample)


def _right(sample: Sample) -> Sequence[bool]:
    return [
        same_answer(answer.text, question.wanted)
        for question, answer in zip(sample.questions, sample.answers, strict=True)
    ]


_share = ShareOfRows(_right, ShortAnswers())
measure, difference, rows_needed = _share.measure, _share.difference, _share.rows_needed
