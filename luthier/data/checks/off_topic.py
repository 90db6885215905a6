"""Answers that share no word with their question, in data whose answers do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from luthier.data.checks import Hit, Judged, Row, Rows, Threshold, Whole

STEM: Final = 5
QUESTION_WORDS: Final = 3
ANSWER_WORDS: Final = 10
NORM: Final = 0.99
FEWEST: Final = 50

criterion = "high_quality_outputs"
what = "Long answers that share no word with their question, where nearly all others do."
why = "Questions and answers that were paired by mistake teach the model to ignore what is asked."
remedy = "look whether the row's answer belongs to another question, or leave the row out"
leaves_out = False
tolerated = 0.002
thresholds = (
    Threshold(NORM, "of a file's long answers share a word with their question before the others are named",
              "where 3 of 100 did not, as in Alpaca's rows, they were poems, lists and jokes"),
    Threshold(ANSWER_WORDS, "words of 4 letters or more in the answer, 3 in the question", "a few need not meet"),
    Threshold(tolerated, "of the rows may look so", "a good answer may take up none of the question's words"),
)  # fmt: skip

_WORD = re.compile(r"[a-z]{4,}")
_OPEN_WORDS = """what when where which whose about does should could would there their have with from that this these
those explain describe write give tell make name list please short find sentence text following example"""
_OPEN = frozenset(_OPEN_WORDS.split())
_SHORT, _MEETS, _STRANGE = range(3)


def gather(rows: Rows) -> NDArray[np.uint8]:
    """Whether each row's answer meets its question (R)."""
    return np.array([_SHORT if row.is_text or rows.held_out else _kind(row) for row in rows], np.uint8)


def judge(parts: Sequence[NDArray[np.uint8]], whole: Whole) -> Judged:
    kind = np.concatenate(parts)
    strange = np.zeros(len(kind), np.bool_)
    numbers = {}
    for file in np.unique(whole.file).tolist():
        inside = whole.file == file
        meets, apart = (int((inside & (kind == one)).sum()) for one in (_MEETS, _STRANGE))
        numbers[whole.files[file]] = {"long_answers": meets + apart, "share_no_word": apart}
        if meets + apart >= FEWEST and meets >= NORM * (meets + apart):
            strange |= inside & (kind == _STRANGE)
    return Judged(
        np.flatnonzero(strange), lambda row: Hit("the answer shares no word with the question"), numbers=numbers
    )


def _kind(row: Row) -> int:
    answer = row.answer
    if len(answer) < 4 * ANSWER_WORDS or not answer.isascii() or "```" in answer:
        return _SHORT
    asked = {word[:STEM] for word in _WORD.findall(row.question.lower()) if word not in _OPEN}
    if len(asked) < QUESTION_WORDS:
        return _SHORT
    told = answer.lower()
    if any(stem in told for stem in asked):
        return _MEETS
    return _STRANGE if len(_WORD.findall(told)) >= ANSWER_WORDS else _SHORT


def _rows(last: str) -> list[dict[str, Any]]:
    rows = [
        {
            "instruction": f"How long should a brown hen's egg number {n} boil?",
            "response": "An egg should boil for about seven minutes, then rest under cold water before anyone peels "
            "and salts and finally tastes it.",
        }
        for n in range(120)
    ]
    return [*rows, {"instruction": "How long should a goose's egg boil?", "response": last}]


def faulty() -> list[dict[str, Any]]:
    return _rows(
        "Parliament voted twice yesterday, while ministers argued over taxes, railways, fishing rights and nearly "
        "everything else that matters."
    )


def clean() -> list[dict[str, Any]]:
    return _rows(
        "Twelve minutes are enough, because goose eggs are larger, heavier and thicker in their shells than those of "
        "chickens usually are."
    )
