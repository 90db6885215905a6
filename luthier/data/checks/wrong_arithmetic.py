"""Sums in answers that do not come out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from luthier.data.checks import Hit, Row, Threshold

MOST: Final = 12
LONGEST: Final = 24
"""Digits of a number that is calculated with: nobody checks longer ones, and a product of so many such is a float."""

criterion = "high_quality_outputs"
what = "Sums of plain numbers in answers whose result is not right."
why = "A model tuned on wrong sums gets worse at all that follows from numbers."
remedy = "mend the number, or leave the row out: luthier check FILE --write KEPT"
tolerated = 0.005
thresholds = (
    Threshold(tolerated, "of the rows may have one", "what looks like a sum may be a pattern, a date or another base"),
    Threshold(
        0.5, "of the last digit shown, or less, is rounding; also a result cut to whole numbers", "how people round"
    ),
)

_NUMBER = r"[$€£]?\d{1,3}(?:,\d{3})+(?:\.\d+)?|[$€£]?\d+(?:\.\d+)?|[$€£]?\.\d+"
_SUM = re.compile(
    rf"(?<![\w.,^/*×÷+=<>)(\]-])(?P<left>-?(?:{_NUMBER})(?:\s*[-+*/×x÷]\s*(?:{_NUMBER}))+)"
    rf"\s*=\s*(?P<right>-?\s?(?:{_NUMBER}))"
    r"(?![\w%]|[.,:]\d|\s*[-–+*/×÷^(]\s*[\w($€£]|\s+(?:\d|\w*(?:mod|base|remainder)))"
)
_DIGITS = re.compile(r"[\d,.]+")
_PARTS = re.compile(rf"({_NUMBER})|([-+*/×x÷])")
_BEFORE = re.compile(r"[\w)%\]]\s*[-+*/×÷^]\s*$|[-+*/×÷^(]\s*$|\b[a-z]\s*$|\d\s+$|\band\s+$")
_CLOCK = re.compile(r"(?<![\d.,])0\d")
_OTHER = re.compile(
    r"\b(?:binary|hexadecimal|octal|modulo|mod|base|clock|o'clock|puzzle|pattern|wrong|incorrect|mistake|false)\b", re.I
)


def look(row: Row) -> Iterator[Hit]:
    """The first wrong sum of the last answer; none in rows about patterns, other bases or mistakes."""
    answer = row.answer
    if "=" not in answer or row.is_text:
        return
    for found in _SUM.finditer(answer):
        if _BEFORE.search(answer, max(0, found.start() - 6), found.start()):
            continue
        if max(map(len, _DIGITS.findall(found.group()))) > LONGEST:
            continue
        value = _value(found["left"])
        shown = found["right"].replace(" ", "")
        if value is None or _comes_out(value, shown) or _CLOCK.search(found["left"]):
            continue
        if _OTHER.search(row.question) or _OTHER.search(answer):
            return
        right = _said(value)
        number = len(row.conversation.messages) - 1
        yield Hit(f"`{found.group()}` should be {right}", span=(number, *found.span()))
        return


def _value(text: str) -> Fraction | None:
    """The value of a chain of numbers, times and divided before plus and minus: `2 + 3 * 4` is 14."""
    parts = _PARTS.findall(text.removeprefix("-"))
    if len(parts) > 2 * MOST or text.count("/") + text.count("÷") > 1:  # in 3 / 1/4 the last is a fraction
        return None
    sign = Fraction(-1 if text.startswith("-") else 1)
    total, term = Fraction(0), sign * _number(parts[0][0])
    for (_, operator), (number, _) in zip(parts[1::2], parts[2::2], strict=True):
        factor = _number(number)
        if operator in "+-":
            total, term = total + term, factor if operator == "+" else -factor
        elif operator in "*×x":
            term *= factor
        elif factor == 0:
            return None
        else:
            term /= factor
    return total + term


def _number(text: str) -> Fraction:
    return Fraction(text.lstrip("$€£").replace(",", ""))


def _comes_out(value: Fraction, shown: str) -> bool:
    sign = -1 if shown.startswith("-") else 1
    digits = shown.lstrip("-")
    decimals = len(digits.partition(".")[2])
    result = sign * _number(digits)
    if result and abs(value / result) in (Fraction(100), Fraction(1, 100)):
        return True  # cents and dollars, shares and percent
    off = abs(value - result) * 10**decimals
    return off <= Fraction(1, 2) or (value.denominator != 1 and off < 1)


def _said(value: Fraction) -> str:
    """Six digits of a number: one of more than 308 digits is none that a float can hold."""
    try:
        return f"{float(value):.6g}"
    except OverflowError:
        return f"{Decimal(value.numerator) / Decimal(value.denominator):.6g}"


def faulty() -> list[dict[str, Any]]:
    return [{"instruction": "What is 12 * 12?", "response": "12 * 12 = 124, a gross."}]


def clean() -> list[dict[str, Any]]:
    return [
        {"instruction": "What is 12 * 12?", "response": "12 * 12 = 144, a gross; 2 + 3 * 4 = 14."},
        {"instruction": "Split 10 in three.", "response": "10 / 3 = 3.33, and (2 + 3) * 4 = 20, x - 2 * 3 = 10."},
        {"instruction": "Take 20% of 1,250.", "response": "20% * 1,250 = 250; $1,250 - $250 = $1,000; 1/2 + 1/3 = 5/6"},
        {
            "instruction": "Solve 8/3 = 24/y.",
            "response": "8/3 = 24/y, so y = 9; 38 - 32 = 32 + x - 32; 2 * $5 - $1 = $10 - $1.",
        },
        {"instruction": "Add in binary.", "response": "In binary 1 + 1 = 10."},
    ]
