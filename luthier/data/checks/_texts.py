"""Every text of many rows side by side, so that one search over all tells which few have to be looked at closely."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from luthier.flow import Conversation

WHERE: Final = {
    "system": "the system's message",
    "user": "the prompt",
    "assistant": "the answer",
    "tool": "a tool's reply",
}


class Text(NamedTuple):
    """A text of a row: where it stands, in words, and the message's number where it is all of one."""

    text: str
    where: str
    message: int | None


def texts_of(conversation: Conversation) -> Iterator[Text]:
    """The texts of a row: its messages, their thinking and calls of tools, and the answer that was rejected."""
    for number, message in enumerate(conversation.messages):
        yield Text(message.content, WHERE[message.role], number)
        if message.reasoning:
            yield Text(message.reasoning, "the thinking", None)
        for call in message.tool_calls:
            for text in texts_in(call.arguments):
                yield Text(text, "a tool's call", None)
    for message in conversation.rejected:
        if message.role == "assistant":
            yield Text(message.content, "the rejected answer", None)


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


def lowered(text: str) -> str:
    """The text in lower case with as many letters: `İ` would become two."""
    small = text.lower()
    if len(small) == len(text):
        return small
    return "".join(lower if len(lower := sign.lower()) == 1 else sign for sign in text)


@dataclass(frozen=True)
class Texts:
    """All texts of some rows, row by row. `row` (T) is the place of each text's row.

    They are searched by RE2, which goes over a text once whatever number of words is looked for. It comes with pyarrow.
    A half of a surrogate pair, which UTF-8 has no bytes for, is searched as `?`.
    """

    all: Sequence[Text]
    row: NDArray[np.int64]

    @classmethod
    def of(cls, conversations: Iterable[Conversation]) -> Texts:
        found = [list(texts_of(conversation)) for conversation in conversations]
        row = np.repeat(np.arange(len(found)), [len(texts) for texts in found])
        return cls([text for texts in found for text in texts], row.astype(np.int64))

    def holding(self, words: Iterable[str]) -> NDArray[np.bool_]:
        """Which texts (T) hold one of these words, letter by letter."""
        return _searched(self._written, _any_of(words))

    def holding_lowered(self, words: Iterable[str]) -> NDArray[np.bool_]:
        """Which texts (T) hold one of these words, which are in lower case, in any case."""
        return _searched(self._lowered, _any_of(words))

    def matching(self, pattern: str) -> NDArray[np.bool_]:
        """Which texts (T) have a place that a pattern matches: one in RE2's words, which know no look to the sides."""
        return _searched(self._written, pattern)

    @cached_property
    def _written(self) -> Any:
        return _array([text.text for text in self.all])

    @cached_property
    def _lowered(self) -> Any:
        return _array([lowered(text.text) for text in self.all])


def _any_of(words: Iterable[str]) -> str:
    return "|".join(map(re.escape, words))


def _array(texts: Sequence[str]) -> Any:
    import pyarrow

    try:
        return pyarrow.array(texts, pyarrow.large_string())
    except UnicodeEncodeError:
        whole = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        return pyarrow.array(whole, pyarrow.large_string())


def _searched(texts: Any, pattern: str) -> NDArray[np.bool_]:
    from pyarrow import compute

    found: NDArray[np.bool_] = compute.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False)
    return found.astype(np.bool_)
