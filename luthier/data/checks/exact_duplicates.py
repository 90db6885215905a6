"""Rows that say the same as an earlier row, whatever their case, white space and punctuation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from luthier.data.checks import Hit, Judged, Threshold, Whole

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

needs = ("content",)


def judge(parts: Sequence[None], whole: Whole) -> Judged:
    """Every row but the first of those that have the same content."""
    hashes = whole.columns["content"]
    training = np.flatnonzero(~whole.held_out)
    _, first, group = np.unique(hashes[training], return_index=True, return_inverse=True)
    origin = training[first][group]
    repeats = training != origin
    copies = np.bincount(group)

    def describe(row: int) -> Hit:
        return Hit(f"says the same as {whole.place(int(origin[np.searchsorted(training, row)]))}")

    numbers = {"groups": int((copies > 1).sum()), "largest": int(copies.max(initial=0))}
    return Judged(training[repeats], describe, numbers=numbers)


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
