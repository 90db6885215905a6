"""Which language a text is in, by its script and the little words that every sentence needs."""

from __future__ import annotations

import re
from typing import Final

from luthier.data.checks._little_words import WORDS

CLEAR: Final = 2.0
FEWEST: Final = 4
DIFFERENT: Final = 3
CERTAIN: Final = 0.3
"""The share of English little words that no other language reaches; English has about 0.45 of them."""

_WORD = re.compile(r"[^\W\d_]+['’]?")
_SCRIPTS = (
    ("Japanese", re.compile(r"[\u3040-\u30ff]")),
    ("Chinese", re.compile(r"[\u4e00-\u9fff]")),
    ("Korean", re.compile(r"[\uac00-\ud7af]")),
    ("Cyrillic script", re.compile(r"[\u0400-\u04ff]")),
    ("Arabic script", re.compile(r"[\u0600-\u06ff]")),
    ("Greek", re.compile(r"[\u0370-\u03ff]")),
    ("Hebrew", re.compile(r"[\u0590-\u05ff]")),
    ("Devanagari", re.compile(r"[\u0900-\u097f]")),
    ("Thai", re.compile(r"[\u0e00-\u0e7f]")),
)
_LANGUAGES: dict[str, list[str]] = {}
for _name, _words in WORDS.items():
    for _word in _words.split():
        _LANGUAGES.setdefault(_word, []).append(_name)
_ENGLISH = frozenset(WORDS["English"].split())
_LATIN = re.compile(r"[A-Za-zÀ-ɏ]")


def language(text: str, head: int = 400) -> str:
    """The language of the beginning of a text, `English`, or its script; empty where it cannot be told.

    A script counts where it has more letters than Latin has. A language does where it has four little words at least,
    three of them different, and twice as many as any other.
    """
    text = text[:head]
    if not text.isascii():
        latin = len(_LATIN.findall(text))
        for name, script in _SCRIPTS:
            if (
                len(found := script.findall(text)) * (3 if name in ("Chinese", "Japanese") else 1) > latin
                and len(found) > 3
            ):
                return name
    words = text.lower().replace("’", "'").split()
    if sum(word in _ENGLISH for word in words) >= max(FEWEST, CERTAIN * len(words)):
        return "English"
    counts: dict[str, float] = {}
    different: dict[str, set[str]] = {}
    for word in _WORD.findall(" ".join(words)):
        for name in _LANGUAGES.get(word) or _LANGUAGES.get(word.rstrip("'")) or ():
            counts[name] = counts.get(name, 0) + 1
            different.setdefault(name, set()).add(word)
    if not counts:
        return ""
    first, *others = sorted(counts.items(), key=lambda item: -item[1])
    clear = first[1] >= FEWEST and first[1] >= CLEAR * (others[0][1] if others else 0)
    return first[0] if clear and len(different[first[0]]) >= DIFFERENT else ""
