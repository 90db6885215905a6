"""Puts placeholders where personal data and secrets stand: `<MAIL_1>`, the same for the same value within a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from luthier import plugins
from luthier.data.checks import CHECKS
from luthier.data.checks._spans import Find, Span, apart
from luthier.errors import mistake

WORDS: Final = {"mail": "EMAIL", "ip": "IP_ADDRESS", "national_id": "NATIONAL_ID"}
"""How a placeholder names a kind, where that is not the kind itself in capitals."""
ALL: Final = ("personal_data", "secrets")
REDACTED: Final = (*ALL, "names_and_addresses")
"""The checks whose finds can be replaced: `all` are those that find little else."""


def finders(names: Sequence[str]) -> dict[str, Find]:
    """What finds the values to replace, by check. Each name is a check (`personal_data`), a kind (`mail`), or `all`.

    Raises `UserError` for another name, with those that there are.
    """
    kinds = {check: list(plugins.load(CHECKS, check).NAMES) for check in REDACTED}
    known = {"all", *kinds, *(kind for of in kinds.values() for kind in of)}
    if unknown := [name for name in names if name not in known]:
        able = "; ".join(f"{check} (or of it {', '.join(of)})" for check, of in kinds.items())
        raise mistake(f"{unknown[0]} is nothing that is redacted", "--redact", f"one of: all; {able}")
    found: dict[str, Find] = {}
    for check, of in kinds.items():
        whole = check in names or ("all" in names and check in ALL)
        wanted = frozenset(of if whole else {*of} & {*names})
        if wanted:
            found[check] = partial(_of_kinds, plugins.load(CHECKS, check).spans, wanted)
    return found


def _of_kinds(spans: Find, wanted: frozenset[str], text: str) -> list[Span]:
    return [span for span in spans(text) if span.kind in wanted]


@dataclass(slots=True)
class Redactor:
    """Redacts one row: `counts` says how many values of each kind were replaced in it.

    With `ann@posteo.de` in the prompt and twice in the answer there is one placeholder, and `counts` is {"mail": 3}.
    """

    find: Sequence[Find]
    placeholders: dict[tuple[str, str], str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def text(self, text: str) -> str:
        """A text with its values replaced; of two that overlap the one of the first check wins."""
        spans = apart(span for find in self.find for span in find(text))
        if not spans:
            return text
        parts, end = [], 0
        for span in spans:
            parts += [text[end : span.begin], self._placeholder(span.kind, text[span.begin : span.end])]
            end = span.end
            self.counts[span.kind] += 1
        return "".join([*parts, text[end:]])

    def value(self, value: Any) -> Any:
        """A row, or a part of it, with every text inside it redacted, at any depth; names of fields stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.value(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(inner) for inner in value]
        return value

    def _placeholder(self, kind: str, value: str) -> str:
        # The same number is the same however it is grouped: `+49 171 5529` and `+49-171-5529`.
        same = "".join(sign for sign in value.casefold() if sign.isalnum() or sign in "@._")
        if kind not in ("mail", "ip"):
            same = "".join(sign for sign in same if sign.isalnum()) or same
        if (kind, same) not in self.placeholders:
            number = sum(known == kind for known, _ in self.placeholders) + 1
            self.placeholders[kind, same] = f"<{WORDS.get(kind, kind.upper())}_{number}>"
        return self.placeholders[kind, same]
