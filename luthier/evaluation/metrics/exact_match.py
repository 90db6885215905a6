"""Exact match: the share of rows whose generated answer is the wanted one, letter for letter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from luthier.evaluation.metrics import Sample
from luthier.evaluation.metrics._rows import ShareOfRows
from luthier.evaluation.metrics.accuracy import ShortAnswers

direction: Final = "higher"
range: Final = (0.0, 1.0)
needs: Final = "answers"


def _right(sample: Sample) -> Sequence[bool]:
    return [answer.text == question.wanted for question, answer in zip(sample.questions, sample.answers, strict=True)]


_share = ShareOfRows(_right, ShortAnswers())
measure, difference, rows_needed, unfit = _share.measure, _share.difference, _share.rows_needed, _share.unfit
