"""What the review's pages share: the review, its votes, and what they say so far, summed up beside the voting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from luthier.evaluation.review import Reviewed
from luthier.jobs.votes import Rater, Votes
from luthier.workflow.voted import Prepared, summed_up

REST: Final = 20.0
"""Summing up rests so many times as long as it took, so that it takes little from those who vote."""
LEAST_SECONDS: Final = 1.0


@dataclass(slots=True)
class Room:
    """One review, open. `address` is what its links begin with; `ended` is set once the owner ends it."""

    prepared: Prepared
    votes: Votes
    owner_token: str
    address: str = ""
    ended: threading.Event = field(default_factory=threading.Event)
    clock: Callable[[], float] = time.monotonic
    _summary: Reviewed | None = None
    _summed: int = -1
    _next_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def link(self, rater: Rater) -> str:
        return f"{self.address}/r/{rater.token}"

    @property
    def owner_link(self) -> str:
        return f"{self.address}/o/{self.owner_token}"

    def summary(self, at_once: bool = False) -> Reviewed:
        """What the votes say; at most a few seconds old, or of this moment with `at_once`."""
        with self._lock:
            changes = self.votes.changes
            due = self._summed != changes and (at_once or self.clock() >= self._next_at)
            if self._summary is None or due:
                began = self.clock()
                names = [rater.name for rater in self.votes.raters()]
                self._summary = summed_up(self.prepared, self.votes.votes(), names)
                self._summed = changes
                self._next_at = self.clock() + max(LEAST_SECONDS, REST * (self.clock() - began))
            return self._summary
