"""Signs that no screen shows: NUL, escape codes, marks of byte order and of writing direction."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from luthier.data.checks import Hit, Row, Threshold

criterion = "consistent_formatting"
what = "Control characters inside of texts, beside line breaks and tabs."
why = "They come from damaged files, cost tokens of their own, and the model learns to print them."
remedy = "take them out: luthier check FILE --write KEPT does"
thresholds = (
    Threshold(0, "of them may stand in a text", "Unicode's classes Cc and the marks U+FEFF and U+202A to U+202E"),
)

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\u202a-\u202e\u2066-\u2069]")


def look(row: Row) -> Iterator[Hit]:
    """The first in each message."""
    for number, message in enumerate(row.conversation.messages):
        if found := _CONTROL.search(message.content):
            name = f"U+{ord(found.group()):04X}"
            yield Hit(
                f"the {message.role}'s message holds the control character {name}", name, span=(number, *found.span())
            )


def repair(text: str) -> str:
    """The text without them."""
    return _CONTROL.sub("", text)


def faulty() -> list[dict[str, Any]]:
    return [{"instruction": "Name a colour.", "response": "Red\x07."}]


def clean() -> list[dict[str, Any]]:
    return [{"instruction": "Name a colour.", "response": "Red.\n\tOr blue, déjà vu 👩‍🚀."}]
