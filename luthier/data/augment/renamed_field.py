"""The names of a prompt's fields, such as `Question:` at the start of a line, under other names of the same meaning."""

from __future__ import annotations

import re
from random import Random
from typing import Final

from luthier.data.augment import example, rewritten
from luthier.flow import Conversation

KEEPS: Final = "all that stands in the fields, and a name of the same meaning before each; none that the answer says"
EXAMPLES: Final = (
    example("Text: The food was cold.\nQuestion: Was the guest content?", "no"),
    example("Review: Broken after a day.\nRating:", "1"),
)
NOT_FOR: Final = (example("Is the text long?", "no"), example("Question: which word comes first?", "Question"))

NAMES: Final = {
    "question": "query",
    "text": "passage",
    "passage": "text",
    "context": "background",
    "input": "given",
    "review": "comment",
    "comment": "review",
    "sentence": "statement",
    "message": "note",
    "title": "heading",
    "rating": "score",
    "label": "class",
    "category": "class",
    "document": "text",
    "article": "report",
    "utterance": "message",
    "query": "question",
    "email": "letter",
    "description": "details",
}

_NAME = re.compile(r"^([A-Za-z]+)(?=[ \t]*:)", re.M)


def changed(row: Conversation, random: Random) -> Conversation | None:
    """`Question: why?` becomes `Query: why?`; a name that another field has already is left."""

    def change(question: str, answered: frozenset[str]) -> str | None:
        taken = {name.casefold() for name in _NAME.findall(question)}

        def other(found: re.Match[str]) -> str:
            name = found[0].casefold()
            new = NAMES.get(name, name)
            if new in taken or name in answered or new == name:
                return found[0]
            return new.upper() if found[0].isupper() else new.title() if found[0][0].isupper() else new

        new = _NAME.sub(other, question)
        return None if new == question else new

    return rewritten(row, change)


def kept(before: str, after: str) -> bool:
    return _NAME.sub("", before) == _NAME.sub("", after)
