"""Target expressions: `decreasing`, `> 90%`, `>= base`, `not worse than base by 0.02`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from typing import Final, Literal

Comparison = Literal["<", "<=", ">", ">="]

EXAMPLES: Final = '`decreasing`, `"< 10"`, `"> 90%"`, `">= base"` or `"not worse than base by 0.02"`'

_NUMBER = r"(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(?P<percent>%?)"
_VALUE = re.compile(rf"(?P<comparison><=|>=|<|>)\s*(?:{_NUMBER}|(?P<base>base))")
_NOT_WORSE = re.compile(rf"not\s+worse\s+than\s+base\s+by\s+{_NUMBER}")


@dataclass(frozen=True, slots=True)
class Target:
    """What a metric should reach.

    | text | kind | comparison | bound |
    |---|---|---|---|
    | `decreasing` | trend | None | None |
    | `> 90%` | value | `>` | 0.9 |
    | `>= base` | base | `>=` | None |
    | `not worse than base by 0.02` | tolerance | None | 0.02, in the metric's own unit |
    """

    text: str
    kind: Literal["trend", "value", "base", "tolerance"]
    comparison: Comparison | None = None
    bound: float | None = None


def parse_target(text: str) -> Target:
    """Reads one expression. Raises `ValueError` with what is wrong with it.

    `parse_target("> 90%")` is `Target("> 90%", "value", ">", 0.9)`.
    """
    words = text.strip()
    if words == "decreasing":
        return Target(text, "trend")
    if found := _VALUE.fullmatch(words):
        comparison: Comparison = found["comparison"]  # type: ignore[assignment]
        if found["base"]:
            return Target(text, "base", comparison)
        return Target(text, "value", comparison, _number(found))
    if found := _NOT_WORSE.fullmatch(words):
        bound = _number(found)
        if bound < 0:
            raise ValueError("has a tolerance below 0")
        return Target(text, "tolerance", None, bound)
    raise ValueError("is no target")


def _number(found: re.Match[str]) -> float:
    number = float(Decimal(found["number"]) / (100 if found["percent"] else 1))
    if not isfinite(number):
        raise ValueError("has a number too large")
    return number
