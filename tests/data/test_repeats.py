"""Rows that say the same or contradict each other, by their hashes."""

from __future__ import annotations

import numpy as np

from luthier.data.repeats import repeats


def test_copies_contradictions_and_leaks_are_told_apart() -> None:
    # Training rows 0-4, validation rows 5-7. Asked and said: 0 and 1 alike, 2 contradicts both, 3 and 4 each other.
    prompt = np.array([1, 1, 1, 2, 2, 2, 9, 1], np.uint64)
    content = np.array([10, 10, 11, 21, 20, 20, 90, 10], np.uint64)
    training = np.array([True] * 5 + [False] * 3)
    found = repeats(prompt, content, np.ones(8, np.bool_), training, ~training)
    assert found.training == 5
    assert found.copies.tolist() == [1]
    assert found.contradicting.tolist() == [0, 1, 2, 3, 4]
    assert found.against.tolist() == [2, 4]  # 2 stands against two; of the equals 3 and 4 the later one goes
    assert found.leaked.tolist() == [5, 7]
    assert found.named() == [1, 2, 4]


def test_long_answers_to_one_question_may_all_be_right() -> None:
    # To the first question a short, a long and another short answer; to the second two long ones and a copy of one.
    prompt = np.array([1, 1, 1, 2, 2, 2], np.uint64)
    content = np.array([10, 11, 12, 20, 21, 20], np.uint64)
    short = np.array([True, False, True, False, False, False])
    training = np.ones(6, np.bool_)
    found = repeats(prompt, content, short, training, ~training)
    assert found.contradicting.tolist() == [0, 2]
    assert found.against.tolist() == [2]
    assert found.copies.tolist() == [5]


def test_rows_that_all_differ_have_none() -> None:
    hashes = np.arange(6, dtype=np.uint64)
    training = np.array([True] * 4 + [False] * 2)
    found = repeats(hashes, hashes, np.ones(6, np.bool_), training, ~training)
    assert [len(rows) for rows in (found.copies, found.contradicting, found.against, found.leaked)] == [0, 0, 0, 0]


def test_no_rows_at_all_are_no_fault() -> None:
    nothing = np.zeros(0, np.uint64)
    none = np.zeros(0, np.bool_)
    assert repeats(nothing, nothing, none, none, none).training == 0
