"""Places in a row's texts that a pattern names: where they stand, and how they are told without giving them away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from luthier.data.checks import Hit, Row, Rows
from luthier.data.checks._texts import Text, texts_of


class Span(NamedTuple):
    """The letters from `begin` to before `end` are a `kind`: `("mail", 9, 23)` in `write to ann@posteo.de`."""

    kind: str
    begin: int
    end: int


Find = Callable[[str], Iterable[Span]]
Say = Callable[[Span, str, str], str]
"""A hit's message, of a span, its text and where that stands."""
HitsInRows = Iterator[tuple[int, Hit]]


def hits(row: Row, find: Find, say: Say) -> Iterator[Hit]:
    """A hit for each span that `find` finds in any text of the row."""
    for text in texts_of(row.conversation):
        yield from _hits(text, find(text.text), say)


def hits_in(rows: Rows, look_at: NDArray[np.bool_], find: Callable[[int, str], Iterable[Span]], say: Say) -> HitsInRows:
    """What `hits` gives for each row, with the row's place, where `look_at` (T) is true for all of `rows.texts`
    in which there is something to find. `find` is given a text's number, too."""
    for number in np.flatnonzero(look_at).tolist():
        text = rows.texts.all[number]
        for hit in _hits(text, find(number, text.text), say):
            yield int(rows.texts.row[number]), hit


def apart(spans: Iterable[Span]) -> list[Span]:
    """The spans in the text's order, without those that overlap one given earlier."""
    taken: list[Span] = []
    for span in spans:
        if all(span.end <= other.begin or other.end <= span.begin for other in taken):
            taken.append(span)
    return sorted(taken, key=lambda span: span.begin)


def masked(value: str) -> str:
    """Enough of a value to find it, too little to use it: `ann@posteo.de` is `an…e`, `4711 0815` is `47…5`."""
    shown = " ".join(value.split())
    return f"{shown[:2]}…{shown[-1:]}" if len(shown) > 6 else "…"


def say_masked(names: Mapping[str, str]) -> Say:
    """`the answer holds a mail address (an…e)`."""
    return lambda span, text, where: f"{where} holds {names[span.kind]} ({masked(text[span.begin : span.end])})"


def _hits(text: Text, spans: Iterable[Span], say: Say) -> Iterator[Hit]:
    for span in spans:
        place = None if text.message is None else (text.message, span.begin, span.end)
        yield Hit(say(span, text.text, text.where), span.kind, span=place)
