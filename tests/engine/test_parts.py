"""A tree cut into parts: each token is computed once, and sees the way to its root and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.engine.parts import Part, Reach, in_leaves, in_turn
from luthier.engine.tree import Tree, lay_out
from tests.engine.test_tree import ROWS, row


def seen(part: Part) -> dict[int, list[int]]:
    """Each own token of a part, with the tokens that it looks at."""
    keys = np.concatenate([part.given, part.own])
    looks: dict[int, list[int]] = {int(token): [] for token in part.own}
    for reach in part.reaches:
        for query in part.own[reach.queries]:
            looks[int(query)].extend(keys[reach.keys].tolist())
    for start, end in part.runs:
        for place in range(start, end):
            looks[int(part.own[place])].extend(part.own[start : place + 1].tolist())
    return looks


def own_ways(tree: Tree) -> dict[int, list[int]]:
    """Each token of a tree with all on its way from the root, itself too."""
    return {int(path[at]): path[: at + 1].tolist() for path in tree.paths for at in range(tree.known, len(path))}


def tree_of(tokens: Sequence[list[int]], virtual: int = 0, known: bool = False, sharing_pays: int = 0) -> Tree:
    return lay_out([row(one) for one in tokens], sharing_pays, virtual, known)


TOKENS = [[1, 2, 3, 4], [1, 2, 3, 5], [1, 2, 6], [7, 8]]
"""As a tree: 1 2 | 3 | 4 | 5 | 6 | 7 8, the tokens 0 to 7."""


def test_for_training_the_nodes_with_a_cut_below_them_are_the_trunk() -> None:
    layout = in_leaves(tree_of(TOKENS), 3)
    assert layout.trunk is not None
    assert layout.trunk.own.tolist() == [0, 1]
    assert [part.own.tolist() for part in layout.leaves] == [[2, 3, 4], [5, 6, 7]]
    assert [part.given.tolist() for part in layout.leaves] == [[0, 1], [0, 1]]
    assert layout.leaves[0].reaches == (Reach(0, 2, 0, 3), Reach(2, 3, 1, 3))
    assert layout.leaves[1].reaches == (Reach(0, 2, 0, 1),)
    assert layout.computed_tokens == 8


def test_what_fits_into_one_pass_but_for_what_stands_above_has_no_trunk() -> None:
    layout = in_leaves(tree_of(TOKENS[:3]), 4)
    assert layout.trunk is None
    assert [part.own.tolist() for part in layout.leaves] == [[0, 1, 2, 3, 4, 5]]


def test_for_scoring_each_part_is_given_the_nodes_above_its_first() -> None:
    parts = in_turn(tree_of(TOKENS), 3)
    assert [part.own.tolist() for part in parts] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert [part.given.tolist() for part in parts] == [[], [0, 1, 2], []]


def test_nodes_that_the_same_tokens_look_at_are_one_reach() -> None:
    parts = in_turn(tree_of([[1, 2, 3, 4], [1, 2, 3, 5], [1, 6]], virtual=2, known=True), 4)
    assert [part.given.tolist() for part in parts] == [[0, 1], [0, 1, 2, 3, 4]]
    assert parts[1].own.tolist() == [6, 7]
    assert parts[1].reaches == (Reach(0, 3, 0, 2), Reach(3, 5, 0, 1))


@given(ROWS, st.integers(1, 30), st.integers(0, 3), st.booleans(), st.sampled_from([0, 3]))
def test_each_token_goes_once_through_the_model_and_sees_its_own_way_alone(
    tokens: list[list[int]], most: int, virtual: int, known: bool, sharing_pays: int
) -> None:
    tree = tree_of(tokens, virtual, known and virtual > 0, sharing_pays)
    layout = in_leaves(tree, most)
    leaves_and_trunk = [*([layout.trunk] if layout.trunk else []), *layout.leaves]
    for parts in (leaves_and_trunk, in_turn(tree, most)):
        found = [(token, look) for part in parts for token, look in seen(part).items()]
        assert len(found) == len(tree.tokens) - tree.known
        ways = own_ways(tree)
        for token, look in found:
            assert sorted(look) == ways[token]
        assert sorted(int(one) for part in parts for one in part.predictions) == list(range(len(tree.targets)))


@given(ROWS, st.integers(1, 30))
def test_a_pass_is_at_most_one_row_over_its_size(tokens: list[list[int]], most: int) -> None:
    longest = max(len(one) for one in tokens)
    for part in in_leaves(tree_of(tokens), most).leaves:
        assert len(part.own) <= most + longest


@pytest.mark.parametrize("virtual", [0, 3])
def test_given_tokens_of_a_later_part_were_seen_by_the_one_before_it(virtual: int) -> None:
    parts = in_turn(tree_of([[1] * length for length in range(2, 9)], virtual), 2)
    for part, following in pairwise(parts):
        assert set(following.given.tolist()) <= {*part.given.tolist(), *part.own.tolist()}
