"""Rows become a tree of shared tokens: nothing is lost, nothing is counted twice."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from luthier.engine.forward import in_order
from luthier.engine.tree import lay_out, leading
from luthier.flow import Place, Progress, Tokenized, result_of


def row(tokens: list[int], weights: list[float] | None = None) -> Tokenized:
    given_weights = weights if weights is not None else [0.0, *([1.0] * (len(tokens) - 1))]
    return Tokenized(np.array(tokens, dtype=np.int32), np.array(given_weights, dtype=np.float32), Place("x", 1))


def test_tokens_behind_the_last_prediction_s_source_are_left_out_where_that_is_asked_for() -> None:
    rows = [row([1, 2, 3, 4], [0, 1, 1, 0]), row([1, 2, 5], [0, 0, 1]), row([7], [0])]
    assert [leading(one) for one in rows] == [2, 2, 1]
    tree = lay_out(rows, sharing_pays=0, lengths=[leading(one) for one in rows])
    assert tree.tokens.tolist() == [1, 2, 7]
    assert [path.tolist() for path in tree.paths] == [[0, 1], [0, 1], [2]]
    assert sorted(zip(tree.sources.tolist(), tree.targets.tolist(), strict=True)) == [(0, 2), (1, 3), (1, 5)]


def test_two_rows_under_a_shared_beginning_and_one_apart_lie_as_the_docstring_draws_them() -> None:
    tree = lay_out([row([1, 2, 3, 4]), row([1, 2, 3, 5]), row([6, 7])], sharing_pays=1)
    assert tree.tokens.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert tree.positions.tolist() == [0, 1, 2, 3, 3, 0, 1]
    assert [(node.start, node.end, node.last) for node in tree.nodes] == [(0, 3, 5), (3, 4, 4), (4, 5, 5), (5, 7, 7)]
    assert [path.tolist() for path in tree.paths] == [[0, 1, 2, 3], [0, 1, 2, 4], [5, 6]]


def test_a_prediction_that_two_rows_share_counts_with_both_weights() -> None:
    tree = lay_out([row([1, 2, 3], [0, 1, 1]), row([1, 2, 4], [0, 0.5, 1])], sharing_pays=1)
    predicted = dict(zip(zip(tree.sources.tolist(), tree.targets.tolist(), strict=True), tree.weights, strict=True))
    assert predicted == {(0, 2): 1.5, (1, 3): 1.0, (1, 4): 1.0}


def test_equal_rows_are_one_leaf() -> None:
    tree = lay_out([row([1, 2, 3]), row([1, 2, 3])])
    assert tree.tokens.tolist() == [1, 2, 3]
    assert tree.weights.tolist() == [2.0, 2.0]


def test_a_row_that_ends_inside_another_is_a_node_above_it() -> None:
    tree = lay_out([row([1, 2, 3, 4]), row([1, 2])], sharing_pays=0)
    assert tree.tokens.tolist() == [1, 2, 3, 4]
    assert [path.tolist() for path in tree.paths] == [[0, 1, 2, 3], [0, 1]]


def test_a_beginning_that_saves_too_little_is_not_shared() -> None:
    assert len(lay_out([row([1, 2]), row([1, 3])], sharing_pays=2).tokens) == 4
    assert len(lay_out([row([1, 2]), row([1, 3])], sharing_pays=1).tokens) == 3


def test_a_chain_of_a_thousand_rows_that_begin_each_other_is_laid_out() -> None:
    rows = [row([7] * length) for length in range(2, 1300)]
    assert len(lay_out(rows, sharing_pays=0).tokens) == 1299


def test_virtual_tokens_are_one_node_above_all_rows_and_move_their_positions() -> None:
    tree = lay_out([row([5, 6]), row([5, 7])], sharing_pays=2, virtual=2)
    assert tree.tokens.tolist() == [-2, -1, 5, 6, 5, 7]
    assert tree.positions.tolist() == [0, 1, 2, 3, 2, 3]
    assert [(node.start, node.end, node.last) for node in tree.nodes] == [(0, 2, 6), (2, 4, 4), (4, 6, 6)]
    assert [path.tolist() for path in tree.paths] == [[0, 1, 2, 3], [0, 1, 4, 5]]
    assert list(zip(tree.sources.tolist(), tree.targets.tolist(), strict=True)) == [(2, 6), (4, 7)]


ROWS = st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=9), min_size=1, max_size=8)


@given(ROWS, st.integers(0, 12))
def test_each_row_reads_back_along_its_path_and_keeps_its_weight(tokens: list[list[int]], sharing_pays: int) -> None:
    rows = [row(one) for one in tokens]
    tree = lay_out(rows, sharing_pays)
    for given_row, path in zip(rows, tree.paths, strict=True):
        assert tree.tokens[path].tolist() == given_row.tokens.tolist()
        assert tree.positions[path].tolist() == list(range(len(given_row.tokens)))
    assert tree.weights.sum() == sum(float(one.weights.sum()) for one in rows)
    for number, own in enumerate(tree.predictions):
        path, given_row = tree.paths[number], rows[number]
        trained = np.flatnonzero(given_row.weights)
        assert tree.sources[own].tolist() == path[trained - 1].tolist()
        assert tree.targets[own].tolist() == given_row.tokens[trained].tolist()


@given(ROWS)
def test_with_all_sharing_each_distinct_beginning_stands_once(tokens: list[list[int]]) -> None:
    distinct = {tuple(one[: end + 1]) for one in tokens for end in range(len(one))}
    assert len(lay_out([row(one) for one in tokens], sharing_pays=0).tokens) == len(distinct)


def test_what_comes_as_passes_finish_is_put_in_the_order_of_the_rows() -> None:
    shown: list[object] = []
    assert result_of(in_order([(2, "c"), (0, "a"), (1, "b")], "scoring", 3), shown.append) == ["a", "b", "c"]
    assert shown == [Progress("scoring", done, 3) for done in (1, 2, 3)]
