"""Answers of another kind than nearly all others: words among JSON, sentences among labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from luthier.data.checks import Hit, Judged, Rows, Threshold, Whole

NORM: Final = 0.8
FEWEST: Final = 20
LABEL_WORDS: Final = 4
SENTENCE_WORDS: Final = 6
LONG_WORDS: Final = 12

criterion = "consistent_formatting"
what = "Rows whose answer is prose where nearly all answers are JSON, or a long text where nearly all are labels."
why = "Whoever reads the model's answers expects one form; rows of another teach it to break the form now and then."
remedy = "rewrite the answer in the form of the others, or leave the row out: luthier check FILE --write KEPT"
thresholds = (
    Threshold(NORM, "of a file's answers have a form before the others break it", "below that the file is mixed on "
              "purpose, as chats about many things are"),
    Threshold(FEWEST, "rows at least, before there is a norm", "four of five are no norm yet"),
)  # fmt: skip

_WORDS, _JSON, _LABEL, _LONG = range(4)
_NAMES = {_JSON: "JSON", _LABEL: "a label"}


def gather(rows: Rows) -> NDArray[np.uint8]:
    """The kind of each row's answer (R)."""
    return np.array([_WORDS if row.is_text else _kind(row.answer) for row in rows], np.uint8)


def judge(parts: Sequence[NDArray[np.uint8]], whole: Whole) -> Judged:
    kind = np.concatenate(parts)
    own = ~whole.held_out
    wrong: dict[int, int] = {}
    numbers: dict[str, Any] = {}
    for file in np.unique(whole.file[own]).tolist():
        rows = np.flatnonzero(own & (whole.file == file))
        shares = np.bincount(kind[rows], minlength=4) / len(rows)
        numbers[whole.files[file]] = {"json": round(float(shares[_JSON]), 4), "labels": round(float(shares[_LABEL]), 4)}
        if len(rows) < FEWEST:
            continue
        if shares[_JSON] >= NORM:
            wrong.update(dict.fromkeys(rows[kind[rows] != _JSON].tolist(), _JSON))
        elif shares[_LABEL] >= NORM:
            wrong.update(dict.fromkeys(rows[(kind[rows] == _LONG) | (kind[rows] == _JSON)].tolist(), _LABEL))

    def describe(row: int) -> Hit:
        form = "JSON" if kind[row] == _JSON else "text"
        return Hit(f"the answer is {form}, while nearly all of the file's are {_NAMES[wrong[row]]}")

    return Judged(np.array(sorted(wrong), np.int64), describe, numbers=numbers)


def _kind(answer: str) -> int:
    inside = answer.strip()
    if inside[:1] in "{[" and inside[-1:] in "}]":
        try:
            json.loads(inside)
        except (ValueError, RecursionError):
            return _WORDS
        return _JSON
    words = len(inside.split(None, LONG_WORDS))
    if words <= LABEL_WORDS:
        return _LABEL
    return _LONG if words > LONG_WORDS or (words > SENTENCE_WORDS and inside[-1] in ".!?") else _WORDS


def _rows(last: str) -> list[dict[str, Any]]:
    rows = [{"instruction": f"Count the {n} pears.", "response": json.dumps({"pears": n})} for n in range(30)]
    return [*rows, {"instruction": "Count the other pears.", "response": last}]


def faulty() -> list[dict[str, Any]]:
    return _rows("There are four of them.")


def clean() -> list[dict[str, Any]]:
    return _rows('[{"pears": 4}]')
