"""Rows that say the same as an earlier row, whatever their case, white space and punctuation."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luthier.data.checks import Hit, Judged, Row, Rows, Threshold, Whole

criterion = "no_duplicate_examples"
what = "Rows that say what an earlier row says, without regard to case, white space and punctuation."
why = "A row that is there twice counts twice in the loss, and is learned by heart before anything else."
remedy = "leave it out: luthier check FILE --write KEPT keeps the first of them"
thresholds = (
    Threshold(
        1.0,
        "of the words are the same, in the same order",
        "Lee et al. 2022, Deduplicating training data makes language models better: exact copies are never wanted",
    ),
)

_SPACES = {ord(sign): " " for sign in ".,;:!?\"'“”‘’()…"}


def gather(rows: Rows) -> NDArray[np.uint64]:
    """A hash of what each row says (R)."""
    return np.array([_hash(row) for row in rows], np.uint64)


def judge(parts: Sequence[NDArray[np.uint64]], whole: Whole) -> Judged:
    hashes = np.concatenate([np.zeros(0, np.uint64), *parts])
    training = np.flatnonzero(~whole.held_out)
    _, first, group = np.unique(hashes[training], return_index=True, return_inverse=True)
    origin = training[first][group]
    repeats = training != origin
    copies = np.bincount(group)

    def describe(row: int) -> Hit:
        return Hit(f"says the same as {whole.place(int(origin[np.searchsorted(training, row)]))}")

    numbers = {"groups": int((copies > 1).sum()), "largest": int(copies.max(initial=0))}
    return Judged(training[repeats], describe, numbers=numbers)


def same(text: str) -> str:
    """What counts of a text: `" Hi, Bo!"` and `"hi bo"` are the same; `3 + 4` and `3 - 4` are not."""
    return " ".join(text.casefold().translate(_SPACES).split()) or text.strip()


def _hash(row: Row) -> int:
    conversation = row.conversation
    said = [f"{message.role}\x1e{same(message.content)}" for message in conversation.messages]
    said += [f"rejected\x1e{same(message.content)}" for message in conversation.rejected]
    calls = [repr(message.tool_calls) for message in conversation.messages if message.tool_calls]
    return int.from_bytes(
        blake2b("\x1f".join([*said, *calls]).encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little"
    )


def faulty() -> list[dict[str, Any]]:
    return [
        {"instruction": "Name a colour.", "response": "Red is one."},
        {"instruction": "name a colour", "response": " Red  is one"},
    ]


def clean() -> list[dict[str, Any]]:
    return [
        {"instruction": "What is 3 + 4?", "response": "7"},
        {"instruction": "What is 3 - 4?", "response": "-1"},
        {"instruction": "Name a colour.", "response": "Blue."},
    ]
