"""Rows with their trained tokens marked, as the terminal and the report show them: stretches of text of one kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from luthier.flow import Marked


@dataclass(frozen=True, slots=True)
class Stretch:
    """Text of neighbouring tokens that are all trained on or all not, and all the model's own marks or all not."""

    text: str
    trained: bool
    mark: bool


def stretches(row: Marked) -> Iterator[Stretch]:
    """A row's text from its beginning to its end: `user\\n2+2?` read, `4` trained, `<|im_end|>` trained and a mark."""
    for (trained, mark), tokens in groupby(row.tokens, key=lambda token: (token[1], token[0] in row.marks)):
        yield Stretch("".join(text for text, _ in tokens), trained, mark)
