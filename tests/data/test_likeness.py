"""The nearest of many rows: what sklearn's and a plain loop's cosines say, whatever the parts."""

from __future__ import annotations

from math import log, sqrt
from random import Random

import numpy as np
import pytest

from luthier.data.likeness import nearest
from luthier.data.minhash import words_of


def test_equal_rows_have_1_and_rows_without_a_common_word_0() -> None:
    others = words_of(["where is my parcel", "cancel the order please"])
    found = nearest(words_of(["Where is my parcel?", "xyz abc", ""]), lambda: [others])
    assert found.tolist() == [pytest.approx(1.0), 0.0, 0.0]


def test_it_is_the_cosine_worked_out_by_hand() -> None:
    """The others `a` and `b`, the row `a b`: a and b stand in one of two others each, `a b` in none."""
    single, pair = log(3 / 2) + 1, log(3) + 1
    length = sqrt(2 * single**2 + pair**2)
    others = words_of(["a", "b"])
    assert nearest(words_of(["a b"]), lambda: [others]).tolist() == [pytest.approx(single / length)]


def test_the_parts_do_not_matter_and_nothing_else_is_nearer() -> None:
    random = Random(0)
    texts = [" ".join(random.choices("abcdefghijkl", k=random.randint(1, 12))) for _ in range(90)]
    rows = words_of(texts[:20])
    whole = nearest(rows, lambda: [words_of(texts[20:])])
    parts = [words_of(texts[start : start + 9]) for start in range(20, 90, 9)]
    assert nearest(rows, lambda: parts) == pytest.approx(whole)
    assert ((whole >= 0) & (whole <= 1)).all()
    assert nearest(rows, lambda: [words_of(texts)]) == pytest.approx(np.ones(20))
