"""Places in a row's texts that a pattern names: where they stand, and how they are told without giving them away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from luthier.data.checks import Hit, Row

WHERE = {"system": "the system's message", "user": "the prompt", "assistant": "the answer", "tool": "a tool's reply"}


class Span(NamedTuple):
    """The letters from `begin` to before `end` are a `kind`: `("mail", 9, 23)` in `write to ann@posteo.de`."""

    kind: str
    begin: int
    end: int


Find = Callable[[str], Iterable[Span]]


def hits(row: Row, find: Find, say: Callable[[Span, str, str], str]) -> Iterator[Hit]:
    """A hit for each span that `find` finds in the row: in its messages, in their thinking and calls of tools, and in
    the answer that was rejected. `say(span, text, where)` is the message."""
    conversation = row.conversation
    for number, message in enumerate(conversation.messages):
        for span in find(message.content):
            told = say(span, message.content, WHERE[message.role])
            yield Hit(told, span.kind, span=(number, span.begin, span.end))
        if message.reasoning:
            yield from _hits(message.reasoning, "the thinking", find, say)
        for call in message.tool_calls:
            for text in texts_in(call.arguments):
                yield from _hits(text, "a tool's call", find, say)
    for message in conversation.rejected:
        if message.role == "assistant":
            yield from _hits(message.content, "the rejected answer", find, say)


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


def say_masked(names: Mapping[str, str]) -> Callable[[Span, str, str], str]:
    """`the answer holds a mail address (an…e)`."""
    return lambda span, text, where: f"{where} holds {names[span.kind]} ({masked(text[span.begin : span.end])})"


def texts_in(value: Any) -> Iterator[str]:
    """Every text inside a JSON value, but the names of fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from texts_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts_in(inner)


def _hits(text: str, where: str, find: Find, say: Callable[[Span, str, str], str]) -> Iterator[Hit]:
    for span in find(text):
        yield Hit(say(span, text, where), span.kind)
