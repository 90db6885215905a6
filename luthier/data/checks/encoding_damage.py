"""Text that was read in another encoding than it was written in: `cafÃ©`, and the mark U+FFFD for lost signs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from luthier.data.checks import Hit, Row, Threshold

criterion = "consistent_formatting"
what = "Letters that came out of reading UTF-8 in another encoding, and signs that were lost (U+FFFD)."
why = "The model learns to write the damage, and spends several tokens on each letter of it."
remedy = "read the source as UTF-8 again; luthier check FILE --write KEPT mends what can be mended"
thresholds = (
    Threshold(0, "places may be damaged", "ftfy's judgement of which sequences nobody writes (Speer 2019, ftfy)"),
)
package = "ftfy"
"""What this check needs beside Luthier: `pip install 'luthier[check]'`."""


# What UTF-8 looks like when it is read as cp1252, latin-1 or cp1251: ftfy is asked about such texts alone.
_MAYBE = re.compile(
    "[\u00c2-\u00f4\u0420\u0421][\u0080-\u00bf\u0152-\u0192\u02c6\u02dc\u0400-\u045f\u2013-\u203a\u20ac\u2116\u2122]"
)


def look(row: Row) -> Iterator[Hit]:
    """The first damage in each message."""
    for number, message in enumerate(row.conversation.messages):
        content = message.content
        if content.isascii():
            continue
        lost = content.find("\ufffd")
        if lost >= 0:
            yield Hit(
                f"a sign was lost (U+FFFD): `{content[max(0, lost - 10) : lost + 10]}`",
                "lost",
                span=(number, lost, lost + 1),
            )
        elif damage := _damage(content):
            yield Hit(f"`{damage[0]}` was meant to be `{damage[1]}`", "misread")


def repair(text: str) -> str:
    """The text as it was meant; what was lost stays lost."""
    import ftfy

    return text if text.isascii() else ftfy.fix_encoding(text)


def _damage(content: str) -> tuple[str, str] | None:
    """The first word that is damaged, and what it was meant to be."""
    if not _MAYBE.search(content):
        return None
    from ftfy import badness, fix_encoding

    if not badness.is_bad(content):
        return None
    fixed = fix_encoding(content)
    if fixed == content:
        return None
    pairs = zip(content.split(), fixed.split(), strict=False)
    return next(((was, now) for was, now in pairs if was != now), (content[:20], fixed[:20]))


def faulty() -> list[dict[str, Any]]:
    return [
        {"instruction": "Where do we meet?", "response": "In the cafÃ© on the corner."},
        {"instruction": "What did she say?", "response": "She said nothing\ufffd and left."},
    ]


def clean() -> list[dict[str, Any]]:
    return [{"instruction": "Où est le café ?", "response": "Voilà – « à côté » du CAFÉ… naïve Größe, 中文, ½ £."}]
