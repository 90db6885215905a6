"""The preferred share as votes come in: the interval that holds at all times, and how both stood along the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from luthier.evaluation.ballots import OneSide
from luthier.statistics import clustered_share, enough, evidence, sequence

Floats = NDArray[np.float64]

POINTS: Final = 200


@dataclass(frozen=True, slots=True)
class Always:
    """What may be said at any moment, however often one looks: with a chance of 95% the preferred share stays between
    `low` and `high` all the time. `items` counts those with all their votes, which alone enter.

    `settled` says that the target's bound lies outside, so that more votes are needless: the share is above or below
    it. `evidence_above` and `evidence_below` are the bets' capital, which settles from `enough` on.
    """

    low: float
    high: float
    items: int
    settled: Literal["above", "below", ""] = ""
    evidence_above: float | None = None
    evidence_below: float | None = None
    enough: float = 40.0


@dataclass(frozen=True, slots=True)
class Seen:
    """How the preferred share stood after so many `votes`: with its exact interval, and with the one that holds at all
    times."""

    votes: int
    value: float
    low: float
    high: float
    always_low: float
    always_high: float


def always(votes: OneSide, bound: float | None, votes_per_item: int = 1) -> Always:
    """What may be said at any moment, and whether `bound` is settled.

    An item enters with its first `votes_per_item` votes once it has them: votes on one item hang together, so a half
    finished one could be stopped at when it pleases.
    """
    won, decided, _ = _complete(votes, votes_per_item)
    needed = enough()
    if not len(won):
        return Always(0.0, 1.0, 0, enough=needed)
    ends = sequence(won, decided, votes_per_item)
    low, high = sorted((float(ends.low[-1]), float(ends.high[-1])))  # they cross in a review that goes against itself
    if bound is None:
        return Always(low, high, len(won), enough=needed)
    found = evidence(won, decided, bound, votes_per_item)
    above, below = float(found.above[-1]), float(found.below[-1])
    settled: Literal["above", "below", ""] = "above" if above >= needed else "below" if below >= needed else ""
    return Always(low, high, len(won), settled, above, below, needed)


def course(votes: OneSide, votes_per_item: int = 1, points: int = POINTS) -> tuple[Seen, ...]:
    """How it stood after each vote, or after `points` of them evenly spread; from the first vote for a side on."""
    won, decided, at = _complete(votes, votes_per_item)
    ends = sequence(won, decided, votes_per_item)
    total = len(votes.votes)
    seen = []
    for upto in np.unique(np.linspace(1, total, min(points, total)).round().astype(int)) if total else ():
        items, sides_taken = votes.item[:upto], (votes.won + votes.lost)[:upto]
        share = clustered_share(np.bincount(items, weights=votes.won[:upto]), np.bincount(items, weights=sides_taken))
        if share is None:
            continue
        entered = int(np.searchsorted(at, upto, side="left"))
        low, high = (float(ends.low[entered - 1]), float(ends.high[entered - 1])) if entered else (0.0, 1.0)
        seen.append(Seen(int(upto), share.value, share.interval.low, share.interval.high, low, high))
    return tuple(seen)


def _complete(
    votes: OneSide, votes_per_item: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Of each item with `votes_per_item` votes, in the order in which they had them: how many of those were won, how
    many won or lost, and the place (from 0) of the last of them."""
    if votes_per_item < 1:
        raise ValueError(f"{votes_per_item} votes an item")
    order = np.argsort(votes.item, kind="stable")
    _, starts, counts = np.unique(votes.item[order], return_index=True, return_counts=True)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(starts, counts)
    enters = rank < votes_per_item
    size = len(votes.items)
    won, lost = np.zeros(size), np.zeros(size)
    np.add.at(won, votes.item[enters], votes.won[enters])
    np.add.at(lost, votes.item[enters], votes.lost[enters])
    last = np.flatnonzero(rank == votes_per_item - 1)
    by_time = votes.item[last]
    return won[by_time], (won + lost)[by_time], last
