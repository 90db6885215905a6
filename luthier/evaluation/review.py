"""From what raters were shown and chose to the votes that statistics count, and to what a review came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from luthier.evaluation.ballots import Ballot, Shown
from luthier.evaluation.votes_report import Meeting, VotesReport, votes_report
from luthier.flow import Choice, ReviewItem, Side, Vote

Outcome = Literal["win", "loss", "tie"]

TARGET: Final = "human_eval"
BASE: Final = "base"
"""What the model before tuning is called."""
RIGHT_CHECKS: Final[Mapping[str, tuple[Choice, ...]]] = {
    "": (),
    "same": ("both_good", "both_bad"),
    "broken": ("run", "both_bad"),
}
"""What a reader chooses on an attention check: neither of two equal answers, and never the one in disorder."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a review asks: `run` against `against`, `items` with two answers each to `each_by` raters, attention checks
    aside. `same` rows had the same answer from both and were shown to nobody. `kind` is `scripted` where a script
    votes. `raters` are all who have a link.

    Where more than two systems are compared, `systems` names them all, the run first, `meetings` says what is asked of
    each pair, the run and `against` first, and `whole` counts all items.
    """

    run: str
    against: str
    kind: Literal["person", "scripted"]
    items: int
    same: int
    each_by: int
    raters: tuple[str, ...]
    systems: tuple[str, ...] = ()
    meetings: tuple[Meeting, ...] = ()
    whole: int = 0


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A review and what people's votes say."""

    asked: Asked
    report: VotesReport

    def data(self) -> dict[str, Any]:
        """As JSON holds it: the report's numbers, and `asked`. Of two systems it says nothing of several."""
        found = asdict(self.report) | {
            "against": self.asked.against,
            "kind": self.asked.kind,
            "asked": asdict(self.asked),
        }
        if not self.asked.systems:
            del found["several"]
            for name in ("systems", "meetings", "whole"):
                del found["asked"][name]
        return found


def reviewed(asked: Asked, items: Sequence[ReviewItem], votes: Sequence[Vote], target: str | None) -> Reviewed:
    """The votes summed up. `target` is what the run file expects of `human_eval`."""
    return reported(asked, ballots(asked, items, votes), target)


def reported(asked: Asked, votes: Sequence[Ballot], target: str | None) -> Reviewed:
    """The same of votes as they were shown, without the answers' texts."""
    report = votes_report(
        votes,
        asked.run,
        target,
        planned=asked.items * asked.each_by,
        votes_per_item=asked.each_by,
        meetings=asked.meetings,
    )
    return Reviewed(asked, report)


def ballots(asked: Asked, items: Sequence[ReviewItem], votes: Sequence[Vote]) -> list[Ballot]:
    """Each vote as it was shown, in the order in which they came."""
    by_number = {item.number: item for item in items}
    names = asked.systems or (asked.run, asked.against)
    found = []
    for vote in sorted(votes, key=lambda vote: vote.order):
        item = by_number[vote.item]
        lengths: dict[Side, int] = {"run": len(item.run), "against": len(item.against)}
        right = other_side(vote.left)
        pairs = [(names[one], names[other]) for one, other in item.pairs or ((0, 1),)]
        sides, *also = pairs if vote.left == "run" else [(other, one) for one, other in pairs]
        found.append(
            Ballot(
                str(item.row or item.number),
                vote.rater,
                *sides,
                shown(vote.choice, vote.left),
                item.category,
                lengths[vote.left],
                lengths[right],
                tuple(shown(choice, vote.left) for choice in RIGHT_CHECKS[item.check]),
                seconds=vote.seconds,
                scripted=vote.kind == "scripted",
                also=tuple(also),
            )
        )
    return found


def other_side(side: Side) -> Side:
    return "against" if side == "run" else "run"


def shown(choice: Choice, left: Side) -> Shown:
    """A choice as the rater made it: the run's answer is the left one where that stood left."""
    if choice == "both_good" or choice == "both_bad":
        return choice
    return "left" if choice == left else "right"


def chosen(shown: Shown, left: Side) -> Choice:
    """What a choice by side means; the other way round than `shown`."""
    if shown == "both_good" or shown == "both_bad":
        return shown
    return left if shown == "left" else other_side(left)


def outcomes(items: Sequence[ReviewItem], votes: Sequence[Vote]) -> dict[int, Outcome]:
    """What most raters of each item say that has a vote, by its number: as many for the one as for the other is a tie.
    Attention checks have none."""
    lead = {item.number: 0 for item in items if not item.check}
    voted = set()
    for vote in votes:
        if vote.item in lead:
            voted.add(vote.item)
            lead[vote.item] += {"run": 1, "against": -1}.get(vote.choice, 0)
    return {number: "win" if lead[number] > 0 else "loss" if lead[number] < 0 else "tie" for number in sorted(voted)}
