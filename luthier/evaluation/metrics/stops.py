"""Stops: the share of answers that end by themselves, within the limit of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from luthier.evaluation.metrics import Sample
from luthier.evaluation.metrics._rows import ShareOfRows

direction: Final = "higher"
range: Final = (0.0, 1.0)
needs: Final = "answers"


def _right(sample: Sample) -> Sequence[bool]:
    return [answer.stopped for answer in sample.answers]


_share = ShareOfRows(_right, unfinished=False)
measure, difference, rows_needed = _share.measure, _share.difference, _share.rows_needed
