"""Lays rows out as a tree, so that tokens which rows share at their beginning go through the model once.

Three rows `a b c d`, `a b c e` and `f g` become two nodes of leaves under a shared node, and a lone leaf:

    tokens     a  b  c | d | e | f  g        depth first: all descendants of a node follow it directly
    positions  0  1  2 | 3 | 3 | 0  1        counted along the way from the root

A token attends to the tokens on the way from its root to itself, so each hidden state is the one that the row would
have had alone. Packing is the case without a shared node.

What all rows stand on (a soft prompt, a prefix) is a node above all others: virtual tokens, numbered from below 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from luthier.flow import Question, Tokenized

SHARING_PAYS = 24
"""Tokens that a shared node must save to be worth an attention call of its own (measured, docs/log.md)."""
SHARING_PAYS_ONE_WAY = 12
"""The same where nothing is learned, so that no call goes back."""
GROUP_TOKENS = 2**16
"""Tokens of the rows that are laid out together where nothing is learned: a tree takes up to 80 bytes a token, so that
of millions of rows would fill memory by itself."""

Row = TypeVar("Row", bound=Tokenized | Question)


@dataclass(frozen=True, slots=True)
class Node:
    """A run of tokens that the same rows share: tokens `start` to `end`, its descendants' `end` to `last`."""

    start: int
    end: int
    last: int


@dataclass(frozen=True, slots=True)
class Tree:
    """The distinct tokens of some rows, in depth-first order, and what is to be predicted from them.

    `tokens`, `positions` (N): the tokens and their places in their rows. Virtual tokens count in both: V of them are
    the tokens -V to -1 at the places 0 to V-1. `known` is V where their keys and values are given, else 0.
    `nodes`: in depth-first order. `paths`: for each row, in the order given, the index (into `tokens`) of each of its
    tokens, virtual ones too.
    `sources`, `targets`, `weights` (M): the prediction of token `targets[m]` from the hidden state at `sources[m]`,
    which counts `weights[m]` in the loss, the sum over the rows that share it.
    `predictions`: for each row, which of the M predictions are its own, and `shares` with which weight.
    """

    tokens: NDArray[np.int64]
    positions: NDArray[np.int64]
    known: int
    nodes: tuple[Node, ...]
    paths: tuple[NDArray[np.int64], ...]
    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    weights: NDArray[np.float32]
    predictions: tuple[NDArray[np.int64], ...]
    shares: tuple[NDArray[np.float32], ...]


def leading(row: Tokenized) -> int:
    """How many of a row's tokens lead to a prediction: those behind the last one's source need no computing.

    Of tokens a b c d with weights 0 1 1 0 it is 2: c is predicted from b.
    """
    trained = np.flatnonzero(row.weights)
    return max(1, int(trained[-1])) if len(trained) else len(row.tokens)


def lay_out(
    rows: Sequence[Tokenized],
    sharing_pays: int = SHARING_PAYS,
    virtual: int = 0,
    known: bool = False,
    lengths: Sequence[int] | None = None,
) -> Tree:
    """The tree of some rows. Equal rows become one leaf; a beginning is shared where it saves `sharing_pays` tokens.

    All stand on `virtual` virtual tokens; `known` says that the keys and values of those are given. `lengths` is how
    many of each row's tokens stand in the tree: all where it is not given, and as many as are `leading` at least.
    """
    ways = [row.tokens if lengths is None else row.tokens[: lengths[at]] for at, row in enumerate(rows)]
    order = sorted(range(len(rows)), key=lambda index: ways[index].tolist())
    root = np.arange(virtual)
    tokens: list[NDArray[np.int64]] = [root - virtual]
    positions: list[NDArray[np.int64]] = [root]
    paths: list[list[NDArray[np.int64]]] = [[root] for _ in rows]
    nodes = [Node(0, virtual, virtual)] if virtual else []
    size = virtual
    # What is still to be placed, last first: rows (sorted, equal in their first `done` tokens) from token `done` on, or
    # the number of a node whose descendants are all placed.
    waiting: list[tuple[list[int], int] | int] = [*range(len(nodes))]
    waiting.extend((branch, 0) for branch in reversed(_split(ways, order, 0)))
    while waiting:
        item = waiting.pop()
        if isinstance(item, int):
            nodes[item] = Node(nodes[item].start, nodes[item].end, size)
            continue
        group, done = item
        first, last = ways[group[0]], ways[group[-1]]
        common = common_length(first, last, done)
        branches = _split(ways, group, common)
        equal = common == len(first) == len(last)
        if not equal and (common - done) * (len(branches) - 1) < sharing_pays:
            waiting.extend((branch, done) for branch in reversed(branches))
            continue
        start, size = size, size + common - done
        tokens.append(first[done:common].astype(np.int64))
        positions.append(np.arange(virtual + done, virtual + common))
        for row in group:
            paths[row].append(np.arange(start, size))
        waiting.append(len(nodes))
        nodes.append(Node(start, size, size))
        waiting.extend((branch, common) for branch in reversed(branches) if len(ways[branch[0]]) > common)
    whole = tuple(np.concatenate(path) for path in paths)
    sources, targets, weights, predictions = _predictions(rows, [path[virtual:] for path in whole])
    return Tree(
        tokens=np.concatenate(tokens),
        positions=np.concatenate(positions),
        known=virtual if known else 0,
        nodes=tuple(nodes),
        paths=whole,
        sources=sources,
        targets=targets,
        weights=weights,
        predictions=predictions,
        shares=tuple(row.weights[np.flatnonzero(row.weights)] for row in rows),
    )


class Chosen(Sequence[Row]):
    """Some of a sequence's rows, each taken from it when it is asked for."""

    def __init__(self, rows: Sequence[Row], indices: Sequence[int]) -> None:
        self.rows, self.indices = rows, indices

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, slice):
            return Chosen(self.rows, self.indices[index])
        return self.rows[self.indices[index]]


def in_groups(rows: Sequence[Row], most: int = GROUP_TOKENS) -> Iterator[tuple[int, list[Row]]]:
    """Rows that follow each other, of at most `most` tokens together or one row, with the index of the first.

    Rows of 5, 9 and 4 tokens with 13 a group: (0, [5]), (1, [9, 4]).
    """
    group: list[Row] = []
    tokens = 0
    for index, row in enumerate(rows):
        if group and tokens + len(row.tokens) > most:
            yield index - len(group), group
            group, tokens = [], 0
        group.append(row)
        tokens += len(row.tokens)
    if group:
        yield len(rows) - len(group), group


def common_length(first: NDArray[np.int32], second: NDArray[np.int32], done: int = 0) -> int:
    """How many tokens two rows have in common at their beginning, the first `done` being known to be."""
    shorter = min(len(first), len(second))
    differs = np.flatnonzero(first[done:shorter] != second[done:shorter])
    return done + int(differs[0]) if len(differs) else shorter


def _split(ways: Sequence[NDArray[np.int32]], group: Sequence[int], at: int) -> list[list[int]]:
    """Sorted ways in runs of the same token at place `at`; those that end before it make one run of their own."""
    branches: list[list[int]] = []
    previous: int | None = None
    for row in group:
        token = int(ways[row][at]) if len(ways[row]) > at else -1
        if token != previous:
            branches.append([])
            previous = token
        branches[-1].append(row)
    return branches


def _predictions(
    rows: Sequence[Tokenized], paths: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], tuple[NDArray[np.int64], ...]]:
    """What is predicted: the distinct (source, target) pairs of all rows with their summed weights, and each row's own.

    `paths` leads through the row's own tokens only, as far as the source of its last prediction at least.
    """
    trained = [np.flatnonzero(row.weights) for row in rows]
    sources = np.concatenate([path[at - 1] for path, at in zip(paths, trained, strict=True)])
    targets = np.concatenate([row.tokens[at] for row, at in zip(rows, trained, strict=True)]).astype(np.int64)
    shares = np.concatenate([row.weights[at] for row, at in zip(rows, trained, strict=True)])
    vocabulary = int(targets.max(initial=0)) + 1
    distinct, which = np.unique(sources * vocabulary + targets, return_inverse=True)
    weights = np.bincount(which, weights=shares, minlength=len(distinct)).astype(np.float32)
    ends = np.cumsum([len(at) for at in trained])[:-1]
    return distinct // vocabulary, distinct % vocabulary, weights, tuple(np.split(which, ends))
