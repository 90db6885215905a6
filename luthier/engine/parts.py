"""Cuts a tree into parts that go through the model one after another, so that no pass is too large.

A part's own tokens go through the model and look at each other, and at tokens above them whose keys and values an
earlier part has kept: they are given. A prefix is the same thing, given from the start.

Two rows `a b c` and `a b d`, cut before `d`:

    in leaves   trunk: a b      leaves: c, d, each with a b given        for training: the trunk waits for all gradients
    in turn     a b c, then d with a b given                             for scoring: kept until nothing below is left
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from luthier.engine.tree import Node, Tree


@dataclass(frozen=True, slots=True)
class Reach:
    """All queries from `first` to `last` look at all keys from `start` to `end`, given keys counted first."""

    start: int
    end: int
    first: int
    last: int

    @property
    def keys(self) -> slice:
        return slice(self.start, self.end)

    @property
    def queries(self) -> slice:
        return slice(self.first, self.last)


@dataclass(frozen=True, slots=True)
class Part:
    """Tokens of a tree that go through the model together.

    `own` (N), `given` (G): their indices into the tree's tokens, each in order. `runs`: from where to where each node
    stands in `own`; within it a token looks at those up to itself. `reaches`: what else they look at. `predictions`:
    which of the tree's have their source in `own`.
    """

    own: NDArray[np.int64]
    given: NDArray[np.int64]
    runs: tuple[tuple[int, int], ...]
    reaches: tuple[Reach, ...]
    predictions: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Layout:
    """A tree cut for training: the trunk is what several leaves need, and goes through the model once."""

    trunk: Part | None
    leaves: tuple[Part, ...]

    @property
    def computed_tokens(self) -> int:
        return sum(len(part.own) for part in ((self.trunk,) if self.trunk else ()) + self.leaves)


def in_leaves(tree: Tree, tokens_a_pass: int, pairs: bool = False) -> Layout:
    """The leaves hold about `tokens_a_pass` tokens of their own each; one row may come on top.

    With `pairs` rows 0 and 1, 2 and 3 and so on end in the same leaf, or in the trunk; then one pair may come on top,
    with the rows that stand between the two.
    A function of the tree and the limit alone, so that a resumed run makes the same passes.
    """
    root, nodes = _known_and_others(tree)
    cuts = _cuts(nodes, tokens_a_pass, _within_pairs(tree) if pairs else np.zeros(len(tree.tokens) + 1, dtype=bool))
    across = [node for node in nodes if _cut_within(node, cuts)]
    bounds = [tree.known, *cuts, len(tree.tokens)]
    own = [[node for node in nodes if begin <= node.start and node.last <= end] for begin, end in pairwise(bounds)]
    return Layout(
        trunk=_part(tree, across, root) if across else None,
        leaves=tuple(_part(tree, some, [*root, *across]) for some in own if some),
    )


def in_turn(tree: Tree, tokens_a_pass: int) -> list[Part]:
    """Each part follows the one before it; given are the nodes above its first, of which no other is needed."""
    root, nodes = _known_and_others(tree)
    above = list(root)
    parts: list[tuple[list[Node], list[Node]]] = []
    for node in nodes:
        above = [one for one in above if node.start < one.last]
        if not parts or node.end - parts[-1][0][0].start > tokens_a_pass:
            parts.append(([], above))
        parts[-1][0].append(node)
        above = [*above, node]
    return [_part(tree, part, given) for part, given in parts]


def _known_and_others(tree: Tree) -> tuple[Sequence[Node], Sequence[Node]]:
    return (tree.nodes[:1], tree.nodes[1:]) if tree.known else ((), tree.nodes)


def _cuts(nodes: Sequence[Node], most: int, never: NDArray[np.bool_]) -> list[int]:
    """Where passes end: before a leaf that would make the nodes which are whole between two cuts more than `most`, at
    the last place that is not one of `never` (N + 1).

    What stands above the last leaf may come on top: it would be held in memory as well if it were the trunk's.
    """
    cuts: list[int] = []
    # Sizes of the nodes that are whole since the last cut, and since the last place where one may be.
    begin = before = last = size = since = 0
    for node in sorted(nodes, key=lambda node: (node.last, -node.start)):
        if node.end == node.last:
            if not never[before]:
                last, since = before, 0
            if last > begin and size and size + node.end - node.start > most:
                cuts.append(last)
                begin, size = last, since
        if node.start >= begin:
            size += node.end - node.start
        if node.start >= last:
            since += node.end - node.start
        before = node.last
    return cuts


def _within_pairs(tree: Tree) -> NDArray[np.bool_]:
    """The places (N + 1) at which a cut would part the ends of two rows that belong together."""
    ends = np.array([path[-1] for path in tree.paths]).reshape(-1, 2)
    change = np.zeros(len(tree.tokens) + 2, dtype=np.int64)
    np.add.at(change, ends.min(1) + 1, 1)
    np.add.at(change, ends.max(1) + 1, -1)
    within: NDArray[np.bool_] = np.cumsum(change)[:-1] > 0
    return within


def _cut_within(node: Node, cuts: Sequence[int]) -> bool:
    at = bisect_right(cuts, node.start)
    return at < len(cuts) and cuts[at] < node.last


def _part(tree: Tree, nodes: Sequence[Node], above: Sequence[Node]) -> Part:
    """The part whose own tokens are `nodes`'; of those `above`, the ones that have descendants among them are given."""
    own = _tokens(nodes)

    def below(node: Node) -> tuple[int, int]:
        first, last = np.searchsorted(own, (node.end, node.last))
        return int(first), int(last)

    given = [node for node in above if below(node)[0] < below(node)[1]]
    ends = np.cumsum([0, *(node.end - node.start for node in [*given, *nodes])]).tolist()
    reaches: list[Reach] = []
    for node, (start, end) in zip([*given, *nodes], pairwise(ends), strict=True):
        first, last = below(node)
        previous = reaches[-1] if reaches else None
        if previous and (previous.end, previous.first, previous.last) == (start, first, last):
            reaches[-1] = Reach(previous.start, end, first, last)
        elif first < last:
            reaches.append(Reach(start, end, first, last))
    predicted = np.searchsorted(tree.sources, [(node.start, node.end) for node in nodes])
    return Part(
        own=own,
        given=_tokens(given),
        runs=tuple(pairwise(end - ends[len(given)] for end in ends[len(given) :])),
        reaches=tuple(reaches),
        predictions=np.concatenate([np.arange(first, last) for first, last in predicted]),
    )


def _tokens(nodes: Sequence[Node]) -> NDArray[np.int64]:
    """The indices of the nodes' tokens, in order."""
    return np.concatenate([np.zeros(0, dtype=np.int64), *(np.arange(node.start, node.end) for node in nodes)])
