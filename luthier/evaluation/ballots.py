"""Votes as statistics take them: which of them count, and what each says of one system, in arrays of V votes."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

Shown = Literal["left", "right", "both_good", "both_bad"]
CHOICES: Final = get_args(Shown)


@dataclass(frozen=True, slots=True)
class Ballot:
    """What a person chose between two answers to `item`.

    `left` and `right` are the systems whose answers stood there: a run's name, or `base`; `left_length` and
    `right_length` are the answers' characters. `right_choices` is empty but in an attention check, where it holds what
    everyone who reads chooses. `scripted` is true where no person chose but a script.

    `also` holds further systems, as they stood left and right, that gave the same two answers: the vote says the same
    of them.
    """

    item: str
    rater: str
    left: str
    right: str
    choice: Shown
    category: str | None = None
    left_length: int = 0
    right_length: int = 0
    right_choices: tuple[Shown, ...] = ()
    seconds: float | None = None
    scripted: bool = False
    also: tuple[tuple[str, str], ...] = ()

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The systems that stood left and right: two, or more where several gave the same answer."""
        return ((self.left, self.right), *self.also)


@dataclass(frozen=True, slots=True)
class Counted:
    """The votes that count, in order; how many earlier ones they took the place of; those in attention checks."""

    votes: tuple[Ballot, ...]
    replaced: int
    checks: tuple[Ballot, ...]


def counted(votes: Sequence[Ballot]) -> Counted:
    """The last vote of each rater on each item and pair of systems, whichever stood left.

    Raises `ValueError` for a vote that is no choice, or between a system and itself.
    """
    last: dict[Hashable, Ballot] = {}
    for number, vote in enumerate(votes, 1):
        if vote.choice not in CHOICES:
            raise ValueError(f"vote {number} is {vote.choice!r}, which is none of {', '.join(CHOICES)}")
        if vote.left == vote.right:
            raise ValueError(f"vote {number} is between {vote.left!r} and itself")
        key = (vote.rater, vote.item, frozenset((vote.left, vote.right)), bool(vote.right_choices))
        last.pop(key, None)
        last[key] = vote
    kept = tuple(vote for vote in last.values() if not vote.right_choices)
    return Counted(kept, len(votes) - len(last), tuple(vote for vote in last.values() if vote.right_choices))


def between(votes: Sequence[Ballot], one: str, other: str) -> list[Ballot]:
    """The votes on these two systems alone."""
    return [
        replace(vote, left=left, right=right, also=())
        for vote in votes
        for left, right in vote.pairs
        if {left, right} == {one, other}
    ]


@dataclass(frozen=True, slots=True)
class OneSide:
    """What V votes say of `run`, which stood in each of them. `won` and `lost` (V) are 1 or 0; both are 0 in a tie.
    `item`, `rater` and `opponent` (V) number the names in `items`, `raters` and `opponents`."""

    votes: tuple[Ballot, ...]
    won: Floats
    lost: Floats
    item: Integers
    rater: Integers
    opponent: Integers
    items: tuple[str, ...] = field(repr=False)
    raters: tuple[str, ...] = field(repr=False)
    opponents: tuple[str, ...] = field(repr=False)

    def of(self, mask: NDArray[np.bool_]) -> OneSide:
        """The same of some votes; names keep their numbers."""
        votes = tuple(vote for vote, kept in zip(self.votes, mask.tolist(), strict=True) if kept)
        return OneSide(
            votes,
            self.won[mask],
            self.lost[mask],
            self.item[mask],
            self.rater[mask],
            self.opponent[mask],
            self.items,
            self.raters,
            self.opponents,
        )


def one_side(votes: Sequence[Ballot], run: str) -> OneSide:
    """The votes in which `run` stood, from its side."""
    mine = tuple(vote for vote in votes if run in (vote.left, vote.right))
    won = [vote.choice == ("left" if vote.left == run else "right") for vote in mine]
    lost = [vote.choice == ("right" if vote.left == run else "left") for vote in mine]
    items, item = _numbered([vote.item for vote in mine])
    raters, rater = _numbered([vote.rater for vote in mine])
    opponents, opponent = _numbered([vote.right if vote.left == run else vote.left for vote in mine])
    ones = np.asarray(won, dtype=np.float64), np.asarray(lost, dtype=np.float64)
    return OneSide(mine, *ones, item, rater, opponent, items, raters, opponents)


def _numbered(names: Sequence[str]) -> tuple[tuple[str, ...], Integers]:
    """The names in order of first appearance, and each one's number."""
    numbers: dict[str, int] = {}
    found = [numbers.setdefault(name, len(numbers)) for name in names]
    return tuple(numbers), np.asarray(found, dtype=np.int64)
