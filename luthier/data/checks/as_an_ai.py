"""Answers in which another model speaks of itself: "As an AI language model", "trained by OpenAI"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from luthier.data.checks import Hit, Row, Threshold

criterion = "high_quality_outputs"
what = "Answers in which a model speaks of itself as one, or as another company's."
why = "Such sentences come from the model that wrote the data; yours would say them of itself."
remedy = "take the sentence out; the answer mostly stands without it"
leaves_out = False
tolerated = 0.01
thresholds = (
    Threshold(
        tolerated, "of the rows may have it", "a few are no habit yet; rows that ask who the model is do not count"
    ),
)

_SIGNS = ("AI", "ntelligence", "anguage model", "GPT", "nthropic", "laude", "emini", "Bard", "nowledge cut", "LaMA")
_ITSELF = re.compile(
    r"\b(?:as|being|since I am|because I am|I am|I'm|I’m)\s+(?:just |only |merely )?an?\s+"
    r"(?:large |helpful |advanced )?(?:AI\b|artificial intelligence|language model)(?! (?:researcher|engineer|expert))"
    r"|\b(?:I am|I'm|I’m|my name is) (?:ChatGPT|GPT-?\d|Claude\b|Bard\b|Gemini\b|LLaMA\b)"
    r"|\b(?:trained|developed|created|made) by (?:OpenAI|Anthropic|Google DeepMind|Meta AI)\b"
    r"|\bmy knowledge cut-?off\b",
    re.IGNORECASE,
)
_ASKED = re.compile(
    r"\b(?:who|what) (?:are|made|created|developed|trained|built) you\b|\byour (?:name|developer|creator|maker)\b|"
    r"\bare you (?:an? )?(?:AI|human|robot|bot|real|person|machine|model)|\bintroduce yourself\b|\babout yourself\b|"
    r"\b(?:AI|language models?|ChatGPT|artificial intelligence|chatbot)\b",
    re.IGNORECASE,
)


def look(row: Row) -> Iterator[Hit]:
    """The first such sentence of the answers, unless the question is about what the model is."""
    if row.is_text:
        return
    for number, message in enumerate(row.conversation.messages):
        if message.role != "assistant" or not any(sign in message.content for sign in _SIGNS):
            continue
        found = _ITSELF.search(message.content)
        if found and not _ASKED.search(row.question):
            yield Hit(f"a model speaks of itself: `{found.group()}`", span=(number, *found.span()))
            return


def faulty() -> list[dict[str, Any]]:
    return [
        {"instruction": "What is your favourite dish?", "response": "As an AI language model, I don't eat. Try soup."}
    ]


def clean() -> list[dict[str, Any]]:
    return [
        {"instruction": "Who are you?", "response": "I am an AI assistant."},
        {"instruction": "What does she do?", "response": "She works as an AI researcher in Oslo."},
    ]
