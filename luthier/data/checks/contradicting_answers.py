"""The same prompt with answers that cannot both be right: other labels, other numbers, yes and no."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from luthier.data.checks import Hit, Judged, Row, Rows, Threshold, Whole, same

LABEL_WORDS: Final = 3
RECURS: Final = 5
CLOSED: Final = 0.9

criterion = "no_duplicate_examples"
what = "Rows that ask the same and whose short answers exclude each other."
why = "No model can learn both answers to one question; what it learns is to be unsure."
remedy = "decide which answer is right and take the other row out"
leaves_out = False
needs = ("prompt",)
thresholds = (
    Threshold(LABEL_WORDS, "words an answer has at most to be compared; longer ones to one prompt may all be right",
              "free answers differ without excluding each other: those repeats are counted, not blamed"),
    Threshold(CLOSED, "of all answers are that short: then any two of them to one prompt exclude each other",
              "such data sorts or extracts, and has one right answer a row"),
    Threshold(RECURS, "rows that give the same answer, from which on it is a label", "rarer short answers to an open "
              "question, as two names for one pet, need not exclude each other"),
)  # fmt: skip

_NONE, _SIDE, _NUMBER, _LABEL = range(4)
_YES = frozenset({"yes", "true", "correct", "yeah", "yep"})
_NO = frozenset({"no", "false", "incorrect", "nope", "never"})
_SIDE_FIRST = re.compile(r"\s*\w+[,.;!]")
_LAST_NUMBER = re.compile(r"####\s*(-?[\d,.]*\d)\s*$")
_ONLY_NUMBER = re.compile(r"[$€£]?\s*(-?\d[\d,]*(?:\.\d+)?)\s*%?\.?")


def gather(rows: Rows) -> tuple[NDArray[np.uint8], list[str], NDArray[np.int32]]:
    """What kind of answer each row gives (R), the different answers of the block, and which each row gives (R)."""
    told = [answer_key(row) for row in rows]
    names, which = np.unique([key for _, key in told] or [""], return_inverse=True)
    return np.array([kind for kind, _ in told], np.uint8), names.tolist(), which[: len(told)].astype(np.int32)


def judge(parts: Sequence[tuple[NDArray[np.uint8], list[str], NDArray[np.int32]]], whole: Whole) -> Judged:
    place: dict[str, int] = {}
    for _, names, _ in parts:
        for name in names:
            place.setdefault(name, len(place))
    kind = np.concatenate([kinds for kinds, _, _ in parts])
    answer = np.concatenate([np.array([place[name] for name in names], np.int64)[which] for _, names, which in parts])
    prompt = whole.columns["prompt"]
    often = np.bincount(answer, minlength=len(place)) >= RECURS
    asked = ~whole.held_out & (prompt != 0)
    closed = np.count_nonzero(kind[asked] != _NONE)
    # Then no answer is one of many good ones, and each excludes the others.
    if closed >= CLOSED * max(1, np.count_nonzero(asked)):
        kind = np.where(kind != _NONE, _NUMBER, _NONE).astype(np.uint8)
    usable = np.flatnonzero(asked & (kind != _NONE) & ((kind != _LABEL) | often[answer]))
    order = usable[np.lexsort((usable, answer[usable], kind[usable], prompt[usable]))]
    group = (np.diff(prompt[order]) != 0) | (np.diff(kind[order].astype(np.int8)) != 0)
    begin = np.concatenate([[0], np.flatnonzero(group) + 1, [len(order)]]) if len(order) else np.zeros(1, np.int64)
    partner: dict[int, int] = {}
    groups = 0
    for start, stop in zip(begin[:-1].tolist(), begin[1:].tolist(), strict=True):
        if stop - start > 1 and answer[order[start]] != answer[order[stop - 1]]:
            groups += 1
            members = order[start:stop]
            for row in members.tolist():
                other = members[0] if answer[members[0]] != answer[row] else members[-1]
                partner[row] = int(other)
    _, sizes = np.unique(prompt[asked], return_counts=True)
    texts = {number: name for name, number in place.items()}

    def describe(row: int) -> Hit:
        other = partner[row]
        said, against = texts[int(answer[row])], texts[int(answer[other])]
        return Hit(f"answers `{said}` where {whole.place(other)} answers `{against}` to the same prompt")

    found = {"prompts": groups, "prompts_asked_again": int((sizes > 1).sum()) - groups}
    return Judged(np.array(sorted(partner), np.int64), describe, numbers=found)


def answer_key(row: Row) -> tuple[int, str]:
    """What a short answer says: `Yes, it is.` is yes, `12.0 %` and `#### 12` a number, `Sports` a label."""
    answer = row.answer
    if row.is_text or (len(answer) > 200 and "####" not in answer[-40:]):
        return _NONE, ""
    found = _LAST_NUMBER.search(answer) or _ONLY_NUMBER.fullmatch(answer.strip())
    if found:
        digits = found.group(1).replace(",", "")
        return _NUMBER, digits.rstrip("0").rstrip(".") if "." in digits else digits
    words = same(answer).split()
    side = _SIDE_FIRST.match(answer)
    if words and (words[0] in _YES or words[0] in _NO) and (side or len(words) <= LABEL_WORDS):
        return _SIDE, "yes" if words[0] in _YES else "no"
    if not words or len(words) > LABEL_WORDS:
        return _NONE, ""
    return _LABEL, " ".join(words)


def faulty() -> list[dict[str, Any]]:
    return [
        {"instruction": "Is a tomato a fruit?", "response": "Yes."},
        {"instruction": "Is a tomato a fruit?", "response": "No, it is not."},
    ]


def clean() -> list[dict[str, Any]]:
    return [
        {"instruction": "Name a fruit.", "response": "Plum"},
        {"instruction": "Name a fruit.", "response": "Pear"},
        {"instruction": "Is a plum a fruit?", "response": "Yes."},
        {"instruction": "Is a plum a fruit?", "response": "Yes, it is."},
        {
            "instruction": "How do plums taste?",
            "response": "They taste sweet when they are ripe, and sour before that.",
        },
        {"instruction": "How do plums taste?", "response": "Sweet and a little tart, most of all near the stone."},
    ]
