"""How alike rows are to the nearest of many others: cosines of their words and pairs of words, rare ones counting more.

The others come in parts, as hashes of words, so that their texts need not stay in memory. n rows, R others of a part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from luthier.data.minhash import Counts, Hashes, shingles

COLUMNS: Final = 2**18
ROWS_AT_ONCE: Final = 4096

Words = tuple[Hashes, Counts]
"""Rows by the hashes of their words, one row after another, and how many each has: `minhash.words_of`."""


def nearest(rows: Words, others: Callable[[], Iterable[Words]]) -> NDArray[np.float64]:
    """For each row (n) the likeness of the one of the others that is most like it, from 0 to 1.

    The likeness is the cosine of two vectors that hold, for each word and pair of neighbouring words, how often it
    stands in the row (logarithmic) times how rare it is among the others, log((1 + R) / (1 + rows with it)) + 1. Equal
    rows have 1, rows without a common word 0. `others` is called twice.

    Source: Salton and Buckley 1988, "Term-weighting approaches in automatic text retrieval".
    """
    known, count = np.zeros(COLUMNS), 0
    for part in others():
        table = _table(part)
        known += np.bincount(table.indices, minlength=COLUMNS)
        count += table.shape[0]
    rarity = np.log((1 + count) / (1 + known)) + 1
    mine = _weighed(_table(rows), rarity)
    best = np.zeros(mine.shape[0])
    for part in others():
        table = _weighed(_table(part), rarity)
        for start in range(0, table.shape[0], ROWS_AT_ONCE):
            alike = (mine @ table[start : start + ROWS_AT_ONCE].T).tocsr()
            best = np.maximum(best, alike.max(axis=1).toarray().ravel())
    return np.minimum(best, 1.0)


def _table(words: Words) -> csr_array:
    """How often each word and pair stands in each row: a row a row, a column a hash."""
    found, counts = shingles(*words)
    where = np.concatenate([[0], np.cumsum(counts)])
    table = csr_array((np.ones(len(found)), found % COLUMNS, where), shape=(len(counts), COLUMNS))
    table.sum_duplicates()
    return table


def _weighed(table: csr_array, rarity: NDArray[np.float64]) -> csr_array:
    weights = (1 + np.log(table.data)) * rarity[table.indices]
    row = np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))
    lengths = np.sqrt(np.bincount(row, weights=weights**2, minlength=table.shape[0]))
    return csr_array((weights / lengths[row], table.indices, table.indptr), shape=table.shape)
