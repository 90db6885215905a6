"""Classes weighed evenly: the totals worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from luthier.data.balance import balanced


def test_each_class_gets_the_same_total_and_all_of_them_the_one_they_had() -> None:
    found = balanced(np.array([1, 1, 1, 2, 1, 1, 2, 1]), ["", "a", "b"])  # 6 rows of a, 2 of b
    assert found.factors.tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2, 2 / 3, 2 / 3, 2, 2 / 3])
    assert found.factors.sum() == pytest.approx(8)
    assert [(name, rows) for name, rows, _ in found.classes] == [("b", 2), ("a", 6)]
    assert [factor for *_, factor in found.classes] == pytest.approx([2, 2 / 3])


def test_rows_without_a_class_keep_their_weight_and_are_no_class() -> None:
    found = balanced(np.array([0, 0, 0, 1, 2, 2, 2]), ["", "a", "b"])  # of 4 rows with a class a has 1, b 3
    assert found.factors.tolist() == pytest.approx([1, 1, 1, 2, 2 / 3, 2 / 3, 2 / 3])
    assert found.without == 3


def test_a_class_that_no_training_row_has_counts_for_nothing() -> None:
    found = balanced(np.array([1, 3, 3, 3]), ["", "a", "gone", "c"])
    assert found.factors.tolist() == pytest.approx([2, 2 / 3, 2 / 3, 2 / 3])
    assert balanced(np.array([0, 0]), ["", "a"]).classes == ()
