"""Rows that ask in another language than nearly all others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from luthier.data.checks import Hit, Judged, Rows, Threshold, Whole

NORM: Final = 0.95
FEWEST: Final = 20

criterion = "consistent_formatting"
what = "Rows whose question is in another language than nearly all others."
why = "A language of a few rows is not learned from them, and they hide behind the figures of the others."
remedy = "translate the row or leave it out; add more rows where the language is wanted"
leaves_out = False
thresholds = (
    Threshold(NORM, "of the questions whose language can be told are in one, before the others are named",
              "below that the data has several languages on purpose"),
    Threshold(FEWEST, "such rows at least", "fewer are no norm"),
)  # fmt: skip


def gather(rows: Rows) -> list[str]:
    """The language of each row's question."""
    return ["" if rows.held_out else row.asked_in for row in rows]


def judge(parts: Sequence[list[str]], whole: Whole) -> Judged:
    told = Counter(language for part in parts for language in part if language)
    numbers = {"languages": dict(told.most_common())}
    total = told.total()
    if total < FEWEST or told.most_common(1)[0][1] < NORM * total:
        return Judged(numbers=numbers)
    common = told.most_common(1)[0][0]
    other = {
        start + row: language
        for start, part in zip(whole.starts, parts, strict=True)
        for row, language in enumerate(part)
        if language not in ("", common)
    }

    def describe(row: int) -> Hit:
        return Hit(f"the question is in {other[row]}, nearly all others are in {common}", other[row])

    return Judged(np.array(sorted(other), np.int64), describe, numbers=numbers)


def _rows(last: str) -> list[dict[str, Any]]:
    asked = "What is the number of the order that I sent to you on day"
    return [
        *({"instruction": f"{asked} {n}?", "response": f"{n}"} for n in range(40)),
        {"instruction": last, "response": "7"},
    ]


def faulty() -> list[dict[str, Any]]:
    return _rows("Wie ist die Nummer der Bestellung, die ich mit dem Brief an Sie geschickt habe?")


def clean() -> list[dict[str, Any]]:
    return _rows("Bestellnummer?")
