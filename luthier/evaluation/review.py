"""From people's votes to what they say: how often the run is preferred, how sure that is, and who voted how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from luthier.evaluation.evaluate import NO_CATEGORY
from luthier.evaluation.targets import judge
from luthier.flow import Choice, Measure, ReviewItem, TargetResult, Vote
from luthier.settings.targets import parse_target
from luthier.statistics import clopper_pearson

Outcome = Literal["win", "loss", "tie"]

TARGET: Final = "human_eval"
CHOICES: Final[tuple[Choice, ...]] = ("run", "against", "both_good", "both_bad")
NO_VOTES: Final = "no votes yet"
RIGHT_CHECKS: Final[Mapping[str, frozenset[Choice]]] = {
    "same": frozenset({"both_good", "both_bad"}),
    "broken": frozenset({"run", "both_bad"}),
}
"""What a reader chooses on an attention check: neither of two equal answers, and never the one in disorder."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Items by what most of their raters chose: the run's answer (`wins`), the other (`losses`), or neither (`ties`).

    `preferred` is wins over wins and losses with its exact interval; ties are in `of_all`, wins over all three.
    """

    wins: int
    losses: int
    ties: int
    preferred: Measure
    of_all: Measure


@dataclass(frozen=True, slots=True)
class RaterLine:
    """One rater: their votes by choice, how often they preferred the run, how often the left answer, and how many of
    the attention checks that they were shown they passed."""

    rater: str
    kind: str
    votes: int
    choices: Mapping[Choice, int]
    preferred: Measure
    left: Measure
    checks: int
    passed: int


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What a review came to. Counts are of items but for `votes` and `choices`, which count votes; attention checks are
    in none of them.

    `same` items had the same answer from both sides and were not shown. `incomplete` have fewer votes than they are to
    get. `left` is how often the left answer was chosen, `longer` how often the longer one, both among votes for one of
    the two: half without bias. `kind` is `scripted` where a script voted.
    """

    run: str
    against: str
    kind: str
    items: int
    same: int
    incomplete: int
    each_by: int
    wins: int
    losses: int
    ties: int
    preferred: Measure
    of_all: Measure
    votes: int
    choices: Mapping[Choice, int]
    raters: int
    agreement: Measure
    by_rater: tuple[RaterLine, ...]
    categories: Mapping[str, Tally]
    left: Measure
    longer: Measure
    target: TargetResult | None
    notes: Mapping[str, int] = field(default_factory=dict)


def summarize(
    items: Sequence[ReviewItem],
    votes: Sequence[Vote],
    *,
    run: str,
    against: str,
    kind: str,
    each_by: int,
    same: int,
    target: str | None,
    raters: Mapping[str, str] | None = None,
) -> Reviewed:
    """The votes of one review, summed up. `raters` maps all who were asked to their kind, the silent ones too; `target`
    is what the run file expects of `human_eval`."""
    by_number = {item.number: item for item in items}
    real = [vote for vote in votes if not by_number[vote.item].check]
    asked = [item for item in items if not item.check]
    of_item: dict[int, list[Choice]] = {item.number: [] for item in asked}
    for vote in sorted(real, key=lambda vote: vote.order):
        of_item[vote.item].append(vote.choice)
    outcomes = {number: outcome(choices) for number, choices in of_item.items() if choices}
    whole = tally(outcomes.values())
    decided = [vote for vote in real if vote.choice in ("run", "against")]
    who = raters if raters is not None else {vote.rater: vote.kind for vote in votes}
    categories: dict[str, list[Outcome]] = {}
    for item in asked:
        if item.number in outcomes:
            name = NO_CATEGORY if item.category is None else item.category
            categories.setdefault(name, []).append(outcomes[item.number])
    return Reviewed(
        run=run,
        against=against,
        kind=kind,
        items=len(asked),
        same=same,
        incomplete=sum(len(choices) < each_by for choices in of_item.values()),
        each_by=each_by,
        wins=whole.wins,
        losses=whole.losses,
        ties=whole.ties,
        preferred=whole.preferred,
        of_all=whole.of_all,
        votes=len(real),
        choices=_counted(vote.choice for vote in real),
        raters=len({vote.rater for vote in votes}),
        agreement=Measure(None, reason="no item has two votes"),
        by_rater=tuple(_rater(name, of, votes, by_number) for name, of in who.items()),
        categories={} if set(categories) <= {NO_CATEGORY} else {n: tally(found) for n, found in categories.items()},
        left=_share(decided, lambda vote: vote.choice == vote.left, "no vote for one of the two answers"),
        longer=_longer(decided, by_number),
        target=None if target is None else verdict(target, whole.preferred),
        notes={"votes with a note": sum(bool(vote.note) for vote in real)},
    )


def outcome(choices: Sequence[Choice]) -> Outcome:
    """What most raters of an item say: `outcome(["run", "run", "against"])` is a win, one for each side is a tie."""
    lead = choices.count("run") - choices.count("against")
    return "win" if lead > 0 else "loss" if lead < 0 else "tie"


def outcomes_of(items: Sequence[ReviewItem], votes: Sequence[Vote]) -> dict[int, Outcome]:
    """The outcome of every item that has a vote, by its number; attention checks have none."""
    real = {item.number for item in items if not item.check}
    choices: dict[int, list[Choice]] = {}
    for vote in votes:
        if vote.item in real:
            choices.setdefault(vote.item, []).append(vote.choice)
    return {number: outcome(found) for number, found in choices.items()}


def tally(outcomes: Iterable[Outcome]) -> Tally:
    """Nine wins, one loss and two ties: preferred 90% [55.5, 99.7] of 10, and 9 of all 12."""
    count = Counter(outcomes)
    wins, losses, ties = count["win"], count["loss"], count["tie"]
    reason = "every item is a tie" if ties else NO_VOTES
    return Tally(wins, losses, ties, exact(wins, wins + losses, reason), exact(wins, wins + losses + ties, NO_VOTES))


def exact(successes: int, n: int, reason: str) -> Measure:
    """A share with Clopper and Pearson's interval; without trials no value, for the reason given."""
    if not n:
        return Measure(None, reason=reason)
    interval = clopper_pearson(successes, n)
    return Measure(successes / n, interval.low, interval.high, n)


def verdict(target: str, preferred: Measure) -> TargetResult:
    """The verdict on `human_eval`: `over 80%` is met where the exact interval of the preferred share is over it."""
    return judge(parse_target(target), TARGET, preferred, Measure(None, reason="the share compares with base already"))


def passed(vote: Vote, item: ReviewItem) -> bool:
    """Whether a vote on an attention check is one that a reader would give."""
    return vote.choice in RIGHT_CHECKS[item.check]


def _rater(name: str, kind: str, votes: Sequence[Vote], items: Mapping[int, ReviewItem]) -> RaterLine:
    mine = [vote for vote in votes if vote.rater == name]
    real = [vote for vote in mine if not items[vote.item].check]
    checks = [vote for vote in mine if items[vote.item].check]
    decided = [vote for vote in real if vote.choice in ("run", "against")]
    nothing = "no vote for one of the two answers"
    return RaterLine(
        name,
        kind,
        len(real),
        _counted(vote.choice for vote in real),
        _share(decided, lambda vote: vote.choice == "run", nothing),
        _share(decided, lambda vote: vote.choice == vote.left, nothing),
        len(checks),
        sum(passed(vote, items[vote.item]) for vote in checks),
    )


def _longer(decided: Sequence[Vote], items: Mapping[int, ReviewItem]) -> Measure:
    """How often the answer with more characters was chosen, where one has more."""

    def longer(vote: Vote) -> bool:
        item = items[vote.item]
        return (len(item.run) > len(item.against)) == (vote.choice == "run")

    uneven = [vote for vote in decided if len(items[vote.item].run) != len(items[vote.item].against)]
    return _share(uneven, longer, "no vote for one of two answers of different length")


def _share(votes: Sequence[Vote], holds: Callable[[Vote], bool], reason: str) -> Measure:
    return exact(sum(holds(vote) for vote in votes), len(votes), reason)


def _counted(choices: Iterable[Choice]) -> dict[Choice, int]:
    count = Counter(choices)
    return {choice: count[choice] for choice in CHOICES}
