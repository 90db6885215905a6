"""A script that votes, as people would on the pages of a review."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from luthier.evaluation.review import shown
from luthier.flow import Choice, ReviewItem
from luthier.jobs.votes import open_votes
from luthier.workflow.voted import Prepared, conclude
from tests.workflow.conftest import worked


def voted(prepared: Prepared, choose: Callable[[ReviewItem], Choice], raters: int = 1, most: int = 10**6) -> Any:
    """A script votes as `choose` says; what comes of it."""
    terms = prepared.terms
    with open_votes(prepared.review.database, prepared.items, each_by=terms.each_by, seed=terms.seed) as votes:
        votes.add_raters(raters, terms.kind)
        for rater in votes.raters():
            done = 0
            while done < most and (asked := votes.next(rater)):
                item = votes.items[asked.item]
                choice: Choice = choose(item) if not item.check else "both_bad"
                votes.vote(rater, asked.item, shown(choice, asked.left))
                done += 1
        return worked(conclude(prepared, votes.votes(), [rater.name for rater in votes.raters()]))[0]


def votes_of(prepared: Prepared) -> list[Any]:
    terms = prepared.terms
    with open_votes(prepared.review.database, prepared.items, each_by=terms.each_by, seed=terms.seed) as votes:
        return votes.votes()
