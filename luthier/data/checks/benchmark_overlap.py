"""Training rows that share a run of 13 words with a benchmark that the user names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from luthier.data.checks import Hit, Judged, Rows, Threshold, Whole

WORDS: Final = 13

criterion = "no_duplicate_examples"
what = "Training rows of which 13 words in a row stand in a file named with `--benchmark`."
why = "What a model has read of a benchmark, it need not be able to do."
remedy = "leave the row out: luthier check FILE --benchmark TEST --write KEPT"
severity = "error"
thresholds = (
    Threshold(WORDS, "words in the same order, without regard to case and punctuation", "Brown et al. 2020, Language "
              "models are few-shot learners, appendix C: shorter runs are shared by chance and in phrases"),
)  # fmt: skip


def grams(rows: Rows) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """A hash of each run of 13 words that stands in one row (G), and the row's number (G): 15 words have 3."""
    words, counts = rows.words
    row = np.repeat(np.arange(len(counts)), counts)
    if len(words) < WORDS:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    inside = row[WORDS - 1 :] == row[: len(row) - WORDS + 1]
    hashes = np.zeros(len(inside), np.uint64)
    for place in range(WORDS):
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + words[place : place + len(inside)]
    return hashes[inside], row[: len(inside)][inside]


def gather(rows: Rows) -> NDArray[np.int64] | None:
    """The rows of the block that share a run with the benchmark; nothing where none is named."""
    if rows.benchmark is None or rows.held_out:
        return None
    hashes, row = grams(rows)
    place = np.minimum(np.searchsorted(rows.benchmark, hashes), max(0, len(rows.benchmark) - 1))
    shared = rows.benchmark[place] == hashes if len(rows.benchmark) else np.zeros(len(hashes), np.bool_)
    return np.unique(row[shared])


def judge(parts: Sequence[NDArray[np.int64] | None], whole: Whole) -> Judged:
    found = [start + part for start, part in zip(whole.starts, parts, strict=True) if part is not None]
    rows = np.concatenate([np.zeros(0, np.int64), *found])
    return Judged(
        rows, lambda row: Hit(f"{WORDS} words in a row stand in the benchmark too"), numbers={"benchmark": bool(found)}
    )


_TOLD = "The first train of the morning leaves at six from the old station beside the river and stops twice"
benchmark = [{"instruction": "When does the train leave?", "response": f"{_TOLD}."}]


def faulty() -> list[dict[str, Any]]:
    return [{"instruction": "Tell me of trains.", "response": f"Well: {_TOLD.lower()}, they say."}]


def clean() -> list[dict[str, Any]]:
    return [{"instruction": "Tell me of trains.", "response": "The first train leaves at six from the old station."}]
