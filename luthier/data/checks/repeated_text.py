"""Answers that run in circles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from luthier.data.checks import Hit, Row, Threshold

WORDS: Final = 20
DISTINCT: Final = 0.5
MAYBE: Final = 0.8
TIMES: Final = 8

criterion = "high_quality_outputs"
what = "Answers that say the same words again and again."
why = "Loops are what weak models write; a model that learns them does not find an end."
remedy = "cut the repetition, or leave the row out: luthier check FILE --write KEPT"
thresholds = (
    Threshold(DISTINCT, "of the runs of four words are different ones, at least", "Rae et al. 2021, Gopher: texts with "
              "many repeated n-grams are left out; half is far beyond its limits, which are made for web pages"),
    Threshold(TIMES, "times may one to four words follow themselves", "verses and cheers repeat a few times"),
    Threshold(WORDS, "words at least", "short answers repeat by chance"),
)  # fmt: skip

_LOOP = re.compile(r"\b(\w+(?:\W+\w+){0,3})(?:\W+\1\b){7,}", re.IGNORECASE)
_LETTERS = re.compile(r"([^\W\d_]{1,6}?)\1{19,}")
_ASKED = re.compile(r"\b(?:repeat|times|song|lyrics|poem|chant|loop|pattern|print)\b", re.IGNORECASE)


def look(row: Row) -> Iterator[Hit]:
    """The first loop in any of the answers."""
    for number, message in enumerate(row.conversation.messages):
        content = message.content
        if message.role != "assistant" or row.is_text or len(content) < 40:
            continue
        words = content.split()
        share = 1.0
        if len(words) >= WORDS:
            runs = list(zip(words, words[1:], words[2:], words[3:], strict=False))
            share = len(set(runs)) / len(runs)
        table = content.count("|") > 8 or "```" in content
        loop = (_LOOP.search(content) if share < MAYBE else None) or (
            _LETTERS.search(content) if any(len(word) > 40 for word in words) else None
        )
        if not table and (loop or share < DISTINCT) and not _ASKED.search(row.question):
            what = f"`{loop.group(1)}` again and again" if loop else f"{1 - share:.0%} of its runs of four words again"
            span = (number, *loop.span()) if loop else None
            yield Hit(f"the answer says {what}", span=span)
            return


def faulty() -> list[dict[str, Any]]:
    line = "Eggs are good with salt and a little pepper from the mill. "
    return [
        {"instruction": "How do I eat an egg?", "response": line * 5},
        {"instruction": "How do I eat two eggs?", "response": line + "and then " * 12},
    ]


def clean() -> list[dict[str, Any]]:
    return [
        {"instruction": "Cheer!", "response": "Hip, hip, hooray! Hip, hip, hooray! Hip, hip, hooray!"},
        {"instruction": "Draw a table.", "response": "| egg | egg | egg |\n" * 12},
        {"instruction": "Repeat the word egg 30 times.", "response": "egg " * 30},
    ]
