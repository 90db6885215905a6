"""Numeric match: the share of rows whose generated answer gives the wanted number, however it is written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from luthier.evaluation.metrics import Sample
from luthier.evaluation.metrics._rows import Fit, ShareOfRows

direction: Final = "higher"
range: Final = (0.0, 1.0)
needs: Final = "answers"
examples: Final = ("42", "$1,250.50", "-3.0", "It is 6 times 7.\n#### 42", "12 %", "1e3")

_NUMBER = r"[-+−]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3})?|[-+−]?\.\d+"
_ANY = re.compile(rf"(?<![\w.])(?:[$€£¥]\s*)?({_NUMBER})")
_ALONE = re.compile(rf"[$€£¥]?\s*({_NUMBER})\s*(?:%|[$€£¥])?\s*\.?")
_FINAL = "####"


def wanted_number(wanted: str) -> Decimal | None:
    """The number that a wanted answer is, or that it gives behind `####`; None where it does neither.

    `wanted_number("$1,250.50")` is 1250.50; `wanted_number("6 * 7 = 42")` is None.
    """
    final = wanted.rpartition(_FINAL)[2].strip()
    return _decimal(found[1]) if (found := _ALONE.fullmatch(final)) else None


def given_number(answer: str) -> Decimal | None:
    """The number that an answer comes to: the first one behind `####`, else the last one in it."""
    found = _ANY.findall(answer.rpartition(_FINAL)[2])
    return _decimal(found[0] if _FINAL in answer else found[-1]) if found else None


def _decimal(digits: str) -> Decimal:
    return Decimal(digits.replace(",", "").replace("−", "-"))


def _right(sample: Sample) -> Sequence[bool]:
    return [
        given_number(answer.text) == wanted_number(question.wanted)
        for question, answer in zip(sample.questions, sample.answers, strict=True)
    ]


_share = ShareOfRows(_right, Fit(lambda question: wanted_number(question.wanted) is not None, "are a number"))
measure, difference, rows_needed, unfit = _share.measure, _share.difference, _share.rows_needed, _share.unfit
