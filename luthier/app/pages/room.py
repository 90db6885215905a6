"""What the review's pages share: the review, its votes, and what they say so far, summed up beside the voting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from luthier.evaluation.ballots import Ballot
from luthier.evaluation.review import Asked, Reviewed, ballots, reported
from luthier.jobs.beside import Beside
from luthier.jobs.votes import Rater, Votes
from luthier.workflow.voted import Prepared, asked_of, target_of

REST: Final = 20.0
"""Summing up in this process rests so many times as long as it took, so that it takes little from those who vote."""
LEAST_SECONDS: Final = 1.0


@dataclass(slots=True)
class Room:
    """One review, open. `address` is what its links begin with; `ended` is set once the owner ends it. `beside` sums up
    in a process of its own."""

    prepared: Prepared
    votes: Votes
    owner_token: str
    address: str = ""
    ended: threading.Event = field(default_factory=threading.Event)
    beside: Beside | None = None
    clock: Callable[[], float] = time.monotonic
    _summary: Reviewed | None = None
    _summed: int = -1
    _next_at: float = 0.0
    _began: float = 0.0
    _pending: tuple[int, Future[Reviewed]] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def link(self, rater: Rater) -> str:
        return f"{self.address}/r/{rater.token}"

    @property
    def owner_link(self) -> str:
        return f"{self.address}/o/{self.owner_token}"

    def summary(self, at_once: bool = False) -> Reviewed:
        """What the votes say; of this moment with `at_once`, else as it was last summed up, which is begun anew where
        votes came since and the last time is long enough ago."""
        with self._lock:
            if self._summary is None or at_once:
                return self._keep(self.votes.changes, reported(*self._now()))
            if self._pending and self._pending[1].done():
                changes, future = self._pending
                self._pending = None
                try:
                    return self._keep(changes, future.result())
                except (EOFError, OSError):
                    self.beside = None  # it was ended from outside: then it is summed up here
            if self._pending is None and self._summed != self.votes.changes and self.clock() >= self._next_at:
                changes = self.votes.changes
                if self.beside is None:
                    return self._keep(changes, reported(*self._now()))
                self._pending = (changes, self.beside.submit(reported, *self._now()))
            return self._summary

    def _now(self) -> tuple[Asked, list[Ballot], str | None]:
        self._began = self.clock()
        prepared = self.prepared
        asked = asked_of(prepared, [rater.name for rater in self.votes.raters()])
        return asked, ballots(asked, prepared.items, self.votes.votes()), target_of(prepared.run)

    def _keep(self, changes: int, found: Reviewed) -> Reviewed:
        rest = LEAST_SECONDS if self.beside else REST * (self.clock() - self._began)
        self._summary, self._summed = found, changes
        self._next_at = self.clock() + max(LEAST_SECONDS, rest)
        return found
