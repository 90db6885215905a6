"""The classes of rows: by their category, or by their answers where these are labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from luthier.data.checks import Rows, Whole, same

LABEL_WORDS: Final = 4
ROWS_A_LABEL: Final = 5
SHARE: Final = 0.9
BLOCK_LABELS: Final = 500

Labels = tuple[Counter[str], int]


@dataclass(frozen=True)
class Classes:
    """Rows of each class, the largest first; `by` says what they are told by: `category`, `answer` or nothing."""

    by: str
    sizes: dict[str, int]


def gather_labels(rows: Rows) -> Labels:
    """How often each short answer stands in the block, and how many rows it has."""
    found: Counter[str] = Counter()
    if rows.held_out:
        return found, 0
    for row in rows:
        if len(row.answer) <= 60 and not row.is_text and len(words := same(row.answer).split()) <= LABEL_WORDS:
            found[" ".join(words)] += 1
    return Counter(dict(found.most_common(BLOCK_LABELS))), len(rows)


def classes(parts: Sequence[Labels], whole: Whole) -> Classes:
    """Categories where most rows have one, else answers where nearly all are of a few labels."""
    named = np.bincount(whole.category[~whole.held_out], minlength=len(whole.categories))
    by_category = {
        name: int(count) for name, count in zip(whole.categories, named.tolist(), strict=True) if name and count
    }
    if sum(by_category.values()) >= SHARE * named.sum():
        return Classes("category", _largest_first(by_category))
    answers: Counter[str] = Counter()
    for found, _ in parts:
        answers.update(found)
    total = sum(rows for _, rows in parts)
    if total and answers.total() >= SHARE * total and len(answers) * ROWS_A_LABEL <= total:
        return Classes("answer", _largest_first(answers))
    return Classes("", {})


def _largest_first(sizes: dict[str, int]) -> dict[str, int]:
    return dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0])))
