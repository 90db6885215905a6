"""Harmful content: abuse, hate, threats, urging to self-harm, sexual texts, and instructions for doing harm."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from luthier.data.checks import Hit, Row, Rows, Threshold
from luthier.data.checks._harmful import HATED, PATTERNS, QUOTED, STEMS
from luthier.data.checks._spans import HitsInRows, Span, apart, hits, hits_in
from luthier.data.checks._texts import lowered

criterion = "no_harmful_content"
what = "Sentences that abuse, threaten or dehumanize people, urge to self-harm, are explicit, or teach how to do harm."
why = "A model says what it was shown, and to people whom it hurts."
remedy = "read the row and leave it out: luthier check FILE --write KEPT; keep it only where its answer says no to it"
thresholds = (
    Threshold(
        0,
        "rows may hold any",
        "phrases that are hardly ever meant well; news, medicine, history and words in quotation marks are let pass",
    ),
)
NAMES: Final = {
    "toxicity": "abuses somebody",
    "hate": "dehumanizes a group of people",
    "violence": "threatens or calls for violence",
    "self_harm": "urges to self-harm or teaches it",
    "sexual": "is sexually explicit",
    "dangerous": "teaches how to do harm",
}
"""The kinds. By words and patterns alone, most of what is hinted at, written in other languages than English, German,
French and Spanish, or said politely is not found: a classifier of your own finds more (`own_classifier`)."""

_BEFORE: Final = 120


def look(row: Row) -> Iterator[Hit]:
    """Each such phrase, with its category."""
    return hits(row, spans, _say)


def look_in(rows: Rows) -> HitsInRows:
    """The same of many rows: their stems are looked for in all of them at once."""
    holds = {kind: rows.texts.holding_lowered(stems) for kind, stems in STEMS.items()}
    holds["hate"] &= rows.texts.holding_lowered(HATED)
    look_at = np.logical_or.reduce(list(holds.values()))
    return hits_in(
        rows, look_at, lambda number, text: _spans(text, [kind for kind in STEMS if holds[kind][number]]), _say
    )


def spans(text: str) -> list[Span]:
    """`spans("You are a worthless idiot.")` is `[Span("toxicity", 0, 25)]`."""
    holds = lowered(text).__contains__
    kinds = [kind for kind, stems in STEMS.items() if any(map(holds, stems))]
    if "hate" in kinds and not any(map(holds, HATED)):
        kinds.remove("hate")
    return _spans(text, kinds)


def _spans(text: str, kinds: Sequence[str]) -> list[Span]:
    """The spans of some kinds."""
    small = lowered(text)
    return apart(
        Span(kind, *match.span())
        for kind in kinds
        for pattern in PATTERNS[kind]
        for match in pattern.finditer(small)
        if not _is_told(small, match)
    )


def _say(span: Span, text: str, where: str) -> str:
    return f"{where} {NAMES[span.kind]}: `{text[span.begin : span.end][:70]}`"


def _is_told(text: str, match: re.Match[str]) -> bool:
    """Whether somebody only tells of the phrase: in quotation marks after a word such as `said`, or as an example."""
    return QUOTED.search(text[max(0, match.start() - _BEFORE) : match.start()]) is not None


def faulty() -> list[dict[str, Any]]:
    return [
        {"instruction": "Is it right?", "response": "Of course not, you stupid idiot."},
        {"instruction": "Who are they?", "response": "Immigrants are vermin and should be exterminated."},
        {"instruction": "May I go?", "response": "If you go I will kill you and your family."},
        {"instruction": "I am sad.", "response": "Then go and kill yourself, nobody would miss you."},
        {"instruction": "How is it done?", "response": "To build a pipe bomb, fill the pipe with powder first."},
    ]


def clean() -> list[dict[str, Any]]:
    return [
        {"instruction": "Was he an idiot?", "response": "No, Dostoevsky's Idiot is a gentle man."},
        {
            "instruction": "How do I kill a process?",
            "response": "Type kill with its number; this bug is a real killer.",
        },
        {
            "instruction": "What is genocide?",
            "response": "Propaganda called them vermin; a million people were killed.",
        },
        {"instruction": "I want to die.", "response": "I am sorry that you feel so. Please call a crisis line today."},
        {"instruction": "When was the bomb built?", "response": "The first atomic bomb was built in 1945."},
        {"instruction": "What did he shout?", "response": 'He shouted "You are an idiot" and left.'},
    ]
