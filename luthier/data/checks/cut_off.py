"""Answers that stop in the middle: of a sentence, a list, a bracket, a block of code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from luthier.data.checks import Hit, Judged, Row, Rows, Threshold, Whole

WORDS: Final = 8
NORM: Final = 0.8
FEWEST: Final = 20

criterion = "high_quality_outputs"
what = "Answers that stop in the middle of a sentence, a list or a block of code."
why = "They were cut by a limit on length; the end mark behind them teaches the model to stop anywhere."
remedy = "complete the answer, or leave the row out: luthier check FILE --write KEPT"
tolerated = 0.01
thresholds = (
    Threshold(tolerated, "of the rows may look so", "titles, poems and addresses end without a mark too"),
    Threshold(WORDS, "words at least in the last line of such an answer", "shorter lines are titles, items and names"),
    Threshold(NORM, "of the file's answers in prose end with a mark, before one without counts as cut off",
              "where many end without one it is a habit"),
)  # fmt: skip

_WHOLE, _PROSE_WHOLE, _PROSE_OPEN, _CUT = range(4)
_OPEN = re.compile(
    r"(?:[,(\[{]|\b(?:the|a|an|and|or|of|to|in|with|for|because|which|that|is|are|was|by|as|from|at|"
    r"if|but|than|their|its))$"
)
_ITEM = re.compile(r"(?:^|[:;.!?]\s+)(?:\d{1,2}[.)]|[-*•])$")
_ENDS = frozenset(".!?…。！？\"”’')]}`*_|>:;~")


def gather(rows: Rows) -> NDArray[np.uint8]:
    """How each row's last answer ends (R)."""
    return np.array([_WHOLE if row.is_text or rows.held_out else _end(row) for row in rows], np.uint8)


def judge(parts: Sequence[NDArray[np.uint8]], whole: Whole) -> Judged:
    end = np.concatenate(parts)
    cut = end == _CUT
    numbers = {}
    for file in np.unique(whole.file).tolist():
        inside = whole.file == file
        marked, unmarked = (int((inside & (end == kind)).sum()) for kind in (_PROSE_WHOLE, _PROSE_OPEN))
        numbers[whole.files[file]] = {"answers_in_prose": marked + unmarked, "end_without_a_mark": unmarked}
        if marked + unmarked >= FEWEST and marked >= NORM * (marked + unmarked):
            cut |= inside & (end == _PROSE_OPEN)
    return Judged(np.flatnonzero(cut), lambda row: _described(int(end[row])), numbers=numbers)


def _described(end: int) -> Hit:
    if end == _CUT:
        return Hit("the answer stops in the middle of a sentence, a list, a bracket or a block of code")
    return Hit("the answer ends without a mark, in a file whose answers end with one")


def _end(row: Row) -> int:
    answer = row.answer.rstrip()
    if answer.count("```") % 2:
        return _CUT
    line = answer[answer.rfind("\n") + 1 :]
    last = line[-1:]
    if "```" in answer[-4:] or not answer or line.lstrip()[:1] in "|#>{[<":
        return _WHOLE
    words = line.split()
    prose = len(words) >= WORDS and any(mark in answer[:-1] for mark in ".!?。！？")
    if len(answer.split(None, WORDS)) > WORDS and (
        _ITEM.search(line[-8:]) or (len(words) > 3 and _OPEN.search(line[-9:].lower()))
    ):
        return _CUT if last != ")" and not line.endswith(" a") else _WHOLE
    if last in _ENDS or not last.isascii():
        return _PROSE_WHOLE if prose else _WHOLE
    if prose and words[-1][:1].islower() and not re.match(r"\s*(?:[-*•]|\d+[.)])\s", line) and "http" not in words[-1]:
        return _PROSE_OPEN
    return _WHOLE


def faulty() -> list[dict[str, Any]]:
    return [
        {
            "instruction": "Tell me about eggs.",
            "response": "Eggs come from hens and are eaten all over the world, because the",
        },
        {"instruction": "Print an egg.", "response": "Like so:\n```python\nprint('egg')"},
    ]


def clean() -> list[dict[str, Any]]:
    return [
        {"instruction": "Tell me about eggs.", "response": "Eggs come from hens and are eaten all over the world."},
        {"instruction": "Title a poem about eggs.", "response": "The Yolk of the Morning"},
        {"instruction": "Print an egg.", "response": "Like so:\n```python\nprint('egg')\n```"},
        {"instruction": "List birds.", "response": "- hen\n- goose that lives with the other geese of the farm"},
    ]
