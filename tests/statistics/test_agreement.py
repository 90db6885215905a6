"""Agreement: evalica's alpha, statsmodels' and scikit-learn's kappa, and what is said where there is nothing to say."""

from __future__ import annotations

import evalica
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score  # type: ignore[import-untyped]
from statsmodels.stats.inter_rater import cohens_kappa

from luthier.statistics import cohen_kappa, krippendorff_alpha

Labels = NDArray[np.float64]


def counts(labels: Labels, categories: int) -> NDArray[np.int64]:
    """`labels` (raters, items) with nan where a rater said nothing, as counts (items, categories)."""
    return np.array([[np.count_nonzero(column == one) for one in range(categories)] for column in labels.T])


def drawn(raters: int, items: int, categories: int, seed: int, missing: float = 0.0) -> Labels:
    generator = np.random.default_rng(seed)
    true = generator.integers(0, categories, items)
    noise = generator.integers(0, categories, (raters, items))
    labels = np.where(generator.random((raters, items)) < 0.6, true, noise).astype(np.float64)
    labels[generator.random((raters, items)) < missing] = np.nan
    return labels


def test_alpha_of_three_items_is_the_number_worked_by_hand() -> None:
    # observed 0 + 0 + (1 * 1 + 1 * 1) / 1 = 2; expected 2 * 3 * 3 / 5 = 3.6
    found = krippendorff_alpha([[2, 0], [0, 2], [1, 1]], np.random.default_rng(0))
    assert found is not None
    assert found.value == pytest.approx(1 - 2 / 3.6)


def test_alpha_of_krippendorffs_own_example_is_his() -> None:
    """Four observers, twelve units, five values: the nominal alpha printed is 0.743 (Krippendorff 2011, example C)."""
    gap = np.nan
    labels = np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, gap, gap, gap],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, gap, 3],
            [gap, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, gap],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, gap],
        ]
    )
    found = krippendorff_alpha(counts(labels - 1, 5), np.random.default_rng(0))
    assert found is not None
    assert found.value == pytest.approx(0.743, abs=5e-4)
    assert found.items == 11


@pytest.mark.parametrize(
    ("raters", "items", "categories", "missing"), [(2, 40, 2, 0), (3, 50, 4, 0.3), (8, 30, 3, 0.5)]
)
def test_alpha_is_evalicas(raters: int, items: int, categories: int, missing: float) -> None:
    labels = drawn(raters, items, categories, seed=raters, missing=missing)
    found = krippendorff_alpha(counts(labels, categories), np.random.default_rng(0))
    assert found is not None
    assert found.value == pytest.approx(evalica.alpha(pd.DataFrame(labels)).alpha, abs=1e-9)


@pytest.mark.parametrize("table", [[[20, 5], [10, 15]], [[4, 1, 0], [2, 9, 3], [0, 2, 7]], [[30, 0], [0, 20]]])
def test_kappa_and_its_interval_are_statsmodels(table: list[list[int]]) -> None:
    found, theirs = cohen_kappa(table), cohens_kappa(np.array(table))
    assert found is not None
    assert found.interval is not None
    assert found.value == pytest.approx(theirs.kappa, abs=1e-9)
    assert found.interval.low == pytest.approx(theirs.kappa_low, abs=1e-9)
    assert found.interval.high == pytest.approx(min(1.0, theirs.kappa_upp), abs=1e-9)


def test_kappa_is_scikit_learns() -> None:
    labels = drawn(2, 200, 4, seed=1).astype(int)
    table = np.zeros((4, 4))
    np.add.at(table, (labels[0], labels[1]), 1)
    found = cohen_kappa(table)
    assert found is not None
    assert found.value == pytest.approx(cohen_kappa_score(*labels), abs=1e-9)


def test_kappa_at_seven_tenths_agreed_is_two_fifths() -> None:
    # chance: 25/50 * 30/50 + 25/50 * 20/50 = 0.5; (0.7 - 0.5) / 0.5
    found = cohen_kappa([[20, 5], [10, 15]])
    assert found is not None
    assert found.value == pytest.approx(0.4)
    assert found.items == 50


def test_where_nothing_can_be_said_nothing_is() -> None:
    generator = np.random.default_rng(0)
    assert krippendorff_alpha(np.zeros((0, 4)), generator) is None
    assert krippendorff_alpha([[1, 0], [0, 1]], generator) is None  # one rater an item
    assert krippendorff_alpha([[3, 0], [2, 0]], generator) is None  # all the same
    assert cohen_kappa([[0, 0], [0, 0]]) is None
    assert cohen_kappa([[9, 0], [0, 0]]) is None


def test_full_agreement_is_one_and_one_item_has_no_interval() -> None:
    full = krippendorff_alpha([[2, 0], [0, 2], [2, 0]], np.random.default_rng(0))
    assert full is not None
    assert full.value == 1.0
    one = krippendorff_alpha([[1, 1]], np.random.default_rng(0))
    assert one is not None
    assert one.interval is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=25))
def test_alpha_stays_in_range_and_names_of_categories_do_not_matter(table: list[list[int]]) -> None:
    found = krippendorff_alpha(table, np.random.default_rng(0))
    turned = krippendorff_alpha([row[::-1] for row in table], np.random.default_rng(0))
    assert (found is None) == (turned is None)
    if found is not None and turned is not None:
        assert -1.0 <= found.value <= 1.0
        assert found.value == pytest.approx(turned.value, abs=1e-12)
        if found.interval is not None:
            assert -1.0 <= found.interval.low <= found.interval.high <= 1.0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 30), min_size=3, max_size=3), min_size=3, max_size=3))
def test_kappa_does_not_care_which_rater_is_first(table: list[list[int]]) -> None:
    found, turned = cohen_kappa(table), cohen_kappa(np.array(table).T)
    assert (found is None) == (turned is None)
    if found is not None and turned is not None:
        assert found.value == pytest.approx(turned.value, abs=1e-12)
        assert found.value <= 1.0 + 1e-12


def test_the_interval_of_alpha_covers_what_it_promises() -> None:
    """Two raters, each right with 0.8, otherwise drawn from three categories alike: on the whole alpha is 0.64."""
    generator, held = np.random.default_rng(3), 0
    for _ in range(150):
        true = generator.integers(0, 3, 80)
        labels = [np.where(generator.random(80) < 0.8, true, generator.integers(0, 3, 80)) for _ in range(2)]
        found = krippendorff_alpha(counts(np.array(labels), 3), generator)
        assert found is not None
        assert found.interval is not None
        held += found.interval.low <= 0.64 <= found.interval.high
    assert held / 150 >= 0.90
