"""Answers that say nothing: `...`, `N/A`, `-`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from luthier.data.checks import Hit, Judged, Rows, Threshold, Whole

LABELS: Final = 0.5
LABEL_WORDS: Final = 4

criterion = "high_quality_outputs"
what = "Answers without a letter or digit, or such as `N/A`, `none`, `TODO`."
why = "The model learns that saying nothing is an answer."
remedy = "write the answer, or leave the row out: luthier check FILE --write KEPT"
severity = "error"
thresholds = (
    Threshold(LABELS, "of the answers have up to 4 words: then `none` passes in five rows or more",
              "labels are short, and `none` is a common one"),
)  # fmt: skip

_EMPTY = re.compile(
    r"[\W_]+|n/?a\.?|none\.?|null|nil|nan|todo|tbd|undefined|empty|no (?:answer|output|response)\.?|<no ?output>", re.I
)
_MEANT = re.compile(r"[+*/=<>^%&|~0-9-]|[^\x00-\x7f]")


def gather(rows: Rows) -> tuple[dict[int, str], int, Counter[str]]:
    """The rows of the block whose answer says nothing, how many answers are short, and how often each such stands."""
    found = {}
    short = 0
    for number, row in enumerate(rows):
        answer = row.answer
        if len(answer) > 60 or rows.held_out or row.is_text:
            continue
        short += len(answer.split()) <= LABEL_WORDS
        tools = any(message.tool_calls for message in row.conversation.messages)
        if not tools and _EMPTY.fullmatch(answer.strip()) and not _asked(row.question, answer.strip()):
            found[number] = answer.strip()
    return found, short, Counter(answer.casefold() for answer in found.values())


def judge(parts: Sequence[tuple[dict[int, str], int, Counter[str]]], whole: Whole) -> Judged:
    labels = sum(short for _, short, _ in parts) >= LABELS * int((~whole.held_out).sum())
    counts: Counter[str] = Counter()
    for _, _, of_block in parts:
        counts.update(of_block)
    said = {
        start + row: answer
        for start, (found, _, _) in zip(whole.starts, parts, strict=True)
        for row, answer in found.items()
        if not (labels and counts[answer.casefold()] >= 5)
    }
    return Judged(np.array(sorted(said), np.int64), lambda row: Hit(f"the answer is `{said[row]}`, which says nothing"))


def _asked(question: str, answer: str) -> bool:
    """Whether a sign may be what was asked for: an operator, an emoji, a mark of punctuation."""
    if any(sign.isalpha() for sign in answer):
        return False
    return bool(
        re.search(r"\b(?:emoji|symbol|sign|character|punctuation|operator|mark|emoticon)", question, re.IGNORECASE)
    ) or (len(set(answer)) == 1 and len(answer) == 1 and bool(_MEANT.match(answer)) and answer != "-")


def faulty() -> list[dict[str, Any]]:
    return [
        {"instruction": "How do I boil an egg?", "response": "..."},
        {"instruction": "How do I fry an egg?", "response": "N/A"},
        {
            "instruction": "Tell me of eggs, their colours and their sizes.",
            "response": "Eggs are white or brown, and of four sizes.",
        },
        {"instruction": "Tell me of geese.", "response": "Geese are large birds that live near water."},
        {"instruction": "Tell me of swans.", "response": "Swans are larger still and mostly white."},
    ]


def clean() -> list[dict[str, Any]]:
    return [
        {"instruction": "Which operator adds?", "response": "+"},
        {"instruction": "Answer with an emoji: how are you?", "response": "🙂"},
        {"instruction": "What is 3 - 3?", "response": "0"},
    ]
