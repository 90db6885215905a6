"""Rows that say the same or contradict each other, by their hashes."""

from __future__ import annotations

import numpy as np

from luthier.data.repeats import repeats


def test_copies_contradictions_and_leaks_are_told_apart() -> None:
    # Training rows 0-4, validation rows 5-7. Asked and said: 0 and 1 alike, 2 contradicts both, 3 and 4 each other.
    prompt = np.array([1, 1, 1, 2, 2, 2, 9, 1], np.uint64)
    content = np.array([10, 10, 11, 21, 20, 20, 90, 10], np.uint64)
    training = np.array([True] * 5 + [False] * 3)
    found = repeats(prompt, content, training, ~training)
    assert found.training == 5
    assert found.copies.tolist() == [1]
    assert found.contradicting.tolist() == [0, 1, 2, 3, 4]
    assert found.against.tolist() == [2, 4]  # 2 stands against two; of the equals 3 and 4 the later one goes
    assert found.leaked.tolist() == [5, 7]
    assert found.named() == [1, 2, 4]


def test_rows_that_all_differ_have_none() -> None:
    hashes = np.arange(6, dtype=np.uint64)
    training = np.array([True] * 4 + [False] * 2)
    found = repeats(hashes, hashes, training, ~training)
    assert [len(rows) for rows in (found.copies, found.contradicting, found.against, found.leaked)] == [0, 0, 0, 0]


def test_no_rows_at_all_are_no_fault() -> None:
    nothing = np.zeros(0, np.uint64)
    assert repeats(nothing, nothing, np.zeros(0, np.bool_), np.zeros(0, np.bool_)).training == 0
