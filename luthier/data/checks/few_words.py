"""Whether all rows are made of a few words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from luthier.data.checks import Judged, Rows, Threshold, Whole
from luthier.flow import Problem

LOOKED_AT: Final = 5_000
FEWEST: Final = 2_000
DISTINCT: Final = 100

criterion = "diverse_examples"
what = "Data of which 5,000 words are fewer than 100 different ones."
why = "A model that has seen a hundred words in training meets users who have thousands."
remedy = "add rows in other words, by other people or from other sources"
leaves_out = False
thresholds = (
    Threshold(DISTINCT, "different words at least in 5,000", "ordinary prose has over 1,000 there, questions to "
              "one bank's help desk over 500 (Heaps' law)"),
    Threshold(FEWEST, "words at least", "fewer words are not enough to judge"),
)  # fmt: skip


def gather(rows: Rows) -> NDArray[np.uint32]:
    """The first words of the block."""
    return rows.words[0][: 0 if rows.held_out else LOOKED_AT].copy()


def judge(parts: Sequence[NDArray[np.uint32]], whole: Whole) -> Judged:
    words = np.concatenate([part[: max(1, LOOKED_AT // len(parts))] for part in parts])
    pairs = words[:-1].astype(np.uint64) << np.uint64(32) | words[1:]
    distinct = len(np.unique(words))
    numbers = {
        "words": len(words),
        "distinct_words": distinct,
        "distinct_pairs": round(len(np.unique(pairs)) / max(1, len(pairs)), 4),
    }
    if len(words) < FEWEST:
        return Judged(numbers=numbers, reason=f"{len(words):,} words are fewer than {FEWEST:,}")
    if distinct >= DISTINCT:
        return Judged(numbers=numbers)
    message = f"{len(words):,} words of the data are {distinct} different ones"
    return Judged(problems=[Problem("few_words", "warning", whole.first(), message, remedy)], numbers=numbers)


def _rows(different: int) -> list[dict[str, Any]]:
    chosen = np.random.default_rng(0).integers(different, size=(200, 20))
    return [{"instruction": " ".join(f"word{n}" for n in row[:10]), "response": " ".join(f"word{n}" for n in row[10:])}
            for row in chosen.tolist()]  # fmt: skip


def faulty() -> list[dict[str, Any]]:
    return _rows(30)


def clean() -> list[dict[str, Any]]:
    return _rows(1_000)
