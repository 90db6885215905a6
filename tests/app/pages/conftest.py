"""A review of a run that never trained, so that its pages open in no time; its votes are made by a script."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from luthier.app.pages.room import Room
from luthier.app.pages.serving import hosts_of, listening, served
from luthier.app.pages.site import review_site
from luthier.flow import Message, Place, ReviewItem
from luthier.jobs.votes import Votes, open_votes
from luthier.runs.reviews import KeptReview, Terms
from luthier.runs.run import Run
from luthier.workflow.voted import Prepared

HOST = "testserver"
TERMS = Terms("base", "scripted", 1, "test.jsonl", "", "", "", 64, 0, 0, 0, "2026-11-29T00:00:00+00:00")


def item(number: int, **changes: Any) -> ReviewItem:
    """Item 3 asks `question 3`; the run says `mine 3`, base `theirs 3`."""
    made = ReviewItem(
        number,
        Place("test.jsonl", number),
        "odd" if number % 2 else "even",
        (Message("user", f"question {number}"),),
        f"mine {number}",
        f"theirs {number}",
    )
    return replace(made, **changes)


@dataclass(frozen=True)
class Opened:
    """An open review: `room` behind `site`."""

    room: Room
    site: Any
    prepared: Prepared

    @property
    def votes(self) -> Votes:
        return self.room.votes

    def path(self, rater: int = 1) -> str:
        return f"/r/{self.votes.raters()[rater - 1].token}"

    @property
    def owner(self) -> str:
        return f"/o/{self.room.owner_token}"


@pytest.fixture
def kept(tmp_path: Path) -> Callable[..., Prepared]:
    """`kept(items)`: a review of a new run, kept on the disk."""

    def keep(items: list[ReviewItem], **terms: Any) -> Prepared:
        run = Run.create(tmp_path / "runs", "tickets")
        run.write_settings("data: {train: rows.jsonl}\n", {})
        one = replace(TERMS, **terms)
        review = KeptReview.begin(run, one, items)
        return Prepared(run, review, one, review.items())

    return keep


@pytest.fixture
def opened(kept: Callable[..., Prepared]) -> Iterator[Callable[..., Opened]]:
    """`opened(items, raters=2, each_by=2)`: that review with its pages."""
    with ExitStack() as stack:

        def open_room(items: list[ReviewItem], raters: int = 1, hosts: Any = (HOST,), **terms: Any) -> Opened:
            prepared = kept(items, **terms)
            one = prepared.terms
            votes = stack.enter_context(
                open_votes(prepared.review.database, prepared.items, each_by=one.each_by, seed=one.seed)
            )
            votes.add_raters(raters, one.kind)
            room = Room(prepared, votes, votes.owner_token, f"http://{HOST}")
            return Opened(room, review_site(room, hosts), prepared)

        yield open_room


@pytest.fixture
def listening_room(opened: Callable[..., Opened]) -> Iterator[Callable[..., Opened]]:
    """The same, at a real address: `room.address`."""
    with ExitStack() as stack:

        def serve(items: list[ReviewItem], **options: Any) -> Opened:
            at = listening("127.0.0.1", 0, 0)
            port = at.getsockname()[1]
            one = opened(items, hosts=hosts_of("127.0.0.1", port), **options)
            one.room.address = f"http://127.0.0.1:{port}"
            stack.enter_context(served(one.site, at))
            return one

        yield serve
    assert not [thread for thread in threading.enumerate() if thread.name == "pages"]
