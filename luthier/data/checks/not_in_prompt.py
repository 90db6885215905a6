"""Numbers and codes that an answer takes from its prompt, and that do not stand there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from luthier.data.checks import Hit, Judged, Row, Rows, Threshold, Whole

NORM: Final = 0.8
FEWEST: Final = 20
LETTERS: Final = 40

criterion = "high_quality_outputs"
what = "Short answers with digits that do not stand in their question, where nearly all others do."
why = (
    "Where answers are copied out, one that is not there is a slip of the hand, and teaches the model to make them up."
)
remedy = "write the answer as the question has it, or leave the row out: luthier check FILE --write KEPT"
tolerated = 0.01
thresholds = (
    Threshold(NORM, "of a file's short answers with digits stand in their question letter by letter",
              "then the task is to copy them out; in sums and dates hardly one does"),
    Threshold(FEWEST, "such answers at least", "fewer are no norm"),
    Threshold(tolerated, "of the rows may have it", "an answer may be put together from two places"),
)  # fmt: skip

_DIGIT = re.compile(r"\d")
_OTHER, _THERE, _MISSING = range(3)


def gather(rows: Rows) -> NDArray[np.uint8]:
    """Whether each row's answer stands in its question (R)."""
    return np.array([_OTHER if rows.held_out or row.is_text else _kind(row) for row in rows], np.uint8)


def judge(parts: Sequence[NDArray[np.uint8]], whole: Whole) -> Judged:
    kind = np.concatenate(parts)
    wrong = np.zeros(len(kind), np.bool_)
    numbers = {}
    for file in np.unique(whole.file).tolist():
        inside = whole.file == file
        there, missing = (int((inside & (kind == one)).sum()) for one in (_THERE, _MISSING))
        numbers[whole.files[file]] = {"copied": there, "not_there": missing}
        if there + missing >= FEWEST and there >= NORM * (there + missing):
            wrong |= inside & (kind == _MISSING)
    return Judged(np.flatnonzero(wrong), lambda row: Hit("the answer does not stand in the question"), numbers=numbers)


def _kind(row: Row) -> int:
    answer = row.answer.strip()
    if len(answer) > LETTERS or len(answer) < 3 or not _DIGIT.search(answer):
        return _OTHER
    return _THERE if answer in row.question else _MISSING


def _rows(last: str) -> list[dict[str, Any]]:
    rows = [{"instruction": f"My order A-{n} is late.", "response": f"A-{n}"} for n in range(100, 220)]
    return [*rows, {"instruction": "Where is my order A-512?", "response": last}]


def faulty() -> list[dict[str, Any]]:
    rows = _rows("A-521")
    return [*rows, *({"instruction": f"And the order B-{n}?", "response": f"B {n}"} for n in (901, 902))]


def clean() -> list[dict[str, Any]]:
    return _rows("A-512")
