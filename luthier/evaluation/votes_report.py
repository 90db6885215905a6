"""What people's votes say of a run: how often it is preferred, how sure that is, and what may have swayed the raters.

Votes come from `luthier review`; whoever counts them changes nothing in them, and leaves nobody's out unsaid.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from luthier.evaluation.ballots import Ballot, Counted, OneSide, between, counted, one_side
from luthier.evaluation.course import Always, Seen, always, course
from luthier.evaluation.evaluate import NO_CATEGORY
from luthier.evaluation.targets import judge
from luthier.flow import Measure, TargetResult
from luthier.settings.targets import parse_target
from luthier.statistics import (
    Agreement,
    Strengths,
    clustered_share,
    cohen_kappa,
    krippendorff_alpha,
    mcnemar,
    strengths,
)


@dataclass(frozen=True, slots=True)
class Rater:
    """What one rater chose. `preferred` is wins over wins and losses, `left` the share of left among left and right.
    `failed` is true where fewer of the `checks` are right than attention asks for; `seconds` is the median of a vote.
    """

    name: str
    votes: int
    wins: int
    losses: int
    ties: int
    preferred: Measure
    left: Measure
    checks: int = 0
    checks_right: int = 0
    failed: bool = False
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Kappa:
    """Cohen's kappa of two raters over the items that both voted on."""

    one: str
    other: str
    kappa: Measure


@dataclass(frozen=True, slots=True)
class Ranked:
    """A system among several: `strength` is its Bradley-Terry log-odds against the average one, `wins` counts a tie as
    half. `ties` are how many of its votes are ties, `decided` is its strength where they are left out."""

    system: str
    votes: int
    wins: float
    strength: Measure
    ties: int = 0
    decided: Measure = field(default_factory=lambda: Measure(None, reason=_NOTHING))


@dataclass(frozen=True, slots=True)
class Meeting:
    """What is asked of two systems: `items`, each with an answer of both; `same` rows had the same one from both."""

    one: str
    other: str
    items: int
    same: int


@dataclass(frozen=True, slots=True)
class Met:
    """What votes say of two systems: `wins` of `one`, its `losses`, and ties of either kind. `preferred` is the share
    of `one` in wins and losses, clustered by row; `expected` what the strengths of all say that it is."""

    one: str
    other: str
    votes: int
    wins: int
    losses: int
    both_good: int
    both_bad: int
    preferred: Measure
    expected: float | None
    items: int
    same: int


@dataclass(frozen=True, slots=True)
class Several:
    """More than two systems: all `votes`, on so many `rows`, `met` pair by pair, and how many of them each rater gave.
    A vote on an answer that several systems gave counts once in `votes`, and in each of their pairs."""

    votes: int
    rows: int
    met: tuple[Met, ...]
    by_rater: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class VotesReport:
    """What people's votes say of `run` beside the systems `against`.

    `votes` are those counted: the last of a rater on an item (`replaced` counts the earlier ones), without the `checks`
    of attention. `planned` is how many there are to be, None where nobody said. `scripted` counts votes of a script.

    `preferred` is wins / (wins + losses), a `Measure` whose `n` counts wins and losses and whose interval is clustered
    by item; `over_raters` the same clustered by rater. `majority` counts items instead, each by what more of its raters
    chose. `ties_half` and `ties_against` count both good and both bad as half a win or as a loss, `tie_share` says how
    many they are. `without_failed` leaves out raters who failed attention checks (`failed`), None where none did.
    `agreement` is Krippendorff's alpha. `left` is the share of the left answer in wins and losses, `longer` that of the
    longer one; `lengths` is the preferred share where the run's answer is `longer`, `shorter` or `equal`. `ranking` is
    empty under three systems. `target` is the verdict on `human_eval`.

    Where `several` is there, more than two systems are compared: `agreement`, `kappas`, `left`, `longer`, `ranking`,
    `opponents` and the raters' checks are of all votes, every other number of those between `run` and the one system
    in `against`.
    """

    run: str
    against: tuple[str, ...]
    votes: int
    items: int
    raters: int
    wins: int
    losses: int
    ties: int
    both_good: int
    both_bad: int
    preferred: Measure
    over_raters: Measure
    majority: Measure
    ties_half: Measure
    ties_against: Measure
    tie_share: Measure
    always: Always
    agreement: Measure
    left: Measure
    longer: Measure
    target: TargetResult | None = None
    planned: int | None = None
    replaced: int = 0
    checks: int = 0
    scripted: int = 0
    failed: tuple[str, ...] = ()
    without_failed: Measure | None = None
    kappas: tuple[Kappa, ...] = ()
    lengths: Mapping[str, Measure] = field(default_factory=dict)
    opponents: Mapping[str, Measure] = field(default_factory=dict)
    categories: Mapping[str, Measure] = field(default_factory=dict)
    by_rater: tuple[Rater, ...] = ()
    ranking: tuple[Ranked, ...] = ()
    course: tuple[Seen, ...] = ()
    several: Several | None = None


ATTENTION: Final = 0.75
"""The least share of attention checks that a rater who reads gets right."""
_NOTHING: Final = "no answer was preferred yet"


def votes_report(
    votes: Sequence[Ballot],
    run: str,
    target: str | None = "> 80%",
    *,
    planned: int | None = None,
    votes_per_item: int | None = None,
    attention: float = ATTENTION,
    meetings: Sequence[Meeting] = (),
    seed: int = 0,
) -> VotesReport:
    """The report on `run`. `votes` stand in the order in which they came; those between other systems count in the
    ranking, in agreement and in the biases alone. The same seed gives the same report.

    `planned` is how many votes there are to be, None where these are all. Until they are in, `target` is judged by the
    interval that holds at all times: whoever stops when they like what they see would be wrong too often by the other.
    `votes_per_item` is how many votes on an item there are to be in which `run` stands; None: the most that one has.
    `meetings` says which pairs of more than two systems are asked about, the one that the target is of first.

    Raises `ValueError` for a vote that is no choice, and for a target that is none.
    """
    kept = counted(votes)
    mine = one_side(between(kept.votes, meetings[0].one, meetings[0].other) if meetings else kept.votes, run)
    won, lost = int(mine.won.sum()), int(mine.lost.sum())
    both_good = sum(vote.choice == "both_good" for vote in mine.votes)
    raters = _raters(kept, mine, attention)
    failed = tuple(rater.name for rater in raters if rater.failed)
    attentive = mine.of(~np.isin(mine.rater, [mine.raters.index(name) for name in failed if name in mine.raters]))
    per_item = votes_per_item or int(np.bincount(mine.item).max(initial=1))
    report = VotesReport(
        run=run,
        against=tuple(sorted(mine.opponents)),
        votes=len(mine.votes),
        items=len(mine.items),
        raters=len(mine.raters),
        wins=won,
        losses=lost,
        ties=len(mine.votes) - won - lost,
        both_good=both_good,
        both_bad=len(mine.votes) - won - lost - both_good,
        preferred=preferred(mine),
        over_raters=_over_raters(mine),
        majority=_majority(mine),
        ties_half=_share(mine.won + _ties(mine) / 2, np.ones(len(mine.votes)), mine.item, "no votes yet"),
        ties_against=_share(mine.won, np.ones(len(mine.votes)), mine.item, "no votes yet"),
        tie_share=_share(_ties(mine), np.ones(len(mine.votes)), mine.item, "no votes yet"),
        always=always(mine, _bound(target), per_item),
        agreement=_agreement(kept.votes, seed),
        left=_left(kept.votes),
        longer=_longer(kept.votes),
        planned=planned,
        replaced=kept.replaced,
        checks=len(kept.checks),
        scripted=sum(vote.scripted for vote in mine.votes),
        failed=failed,
        without_failed=preferred(attentive) if failed else None,
        kappas=_kappas(kept.votes),
        lengths=_by_length(mine, run),
        opponents=_opponents(kept.votes, mine, run, meetings),
        categories=_by_category(mine),
        by_rater=raters,
        ranking=_ranking(kept.votes, meetings),
        course=course(mine, per_item),
    )
    if meetings:
        several = _several(kept.votes, report.ranking, meetings)
        report = replace(report, against=(meetings[0].other,), several=several)
    return replace(report, target=None if target is None else verdict(report, target))


def preferred(votes: OneSide) -> Measure:
    """The share wins / (wins + losses), clustered by item: ties say nothing of which is better."""
    return _share(votes.won, votes.won + votes.lost, votes.item, _NOTHING)


def chance(strength: Measure) -> Measure:
    """How often a system of that strength would be preferred over the average one: 0 is a half."""
    value, low, high = (
        None if end is None else float(expit(end)) for end in (strength.value, strength.low, strength.high)
    )
    return Measure(value, low, high, strength.n)


def human_eval(report: VotesReport) -> Measure:
    """The metric `human_eval` of a run's report: what its target is judged by, with what must be known beside it."""
    measure, notes = report.preferred, []
    if measure.value is None:
        return replace(measure, reason="no votes yet" if not report.votes else "every vote is a tie")
    if report.scripted:
        notes.append(f"{report.scripted} of {report.votes} votes are scripted, no person's")
    if report.planned is not None and report.votes < report.planned:
        low, high = (end for end in (measure.low, measure.high) if end is not None)
        measure = replace(measure, low=min(low, report.always.low), high=max(high, report.always.high))
        said = f"{report.votes} of {report.planned} votes are in, so the interval is the one that holds at all times"
        notes.append(said)
    if report.ties:
        notes.append(f"{report.ties} of {report.votes} votes are ties and left out")
    if report.without_failed is not None:
        without = report.without_failed.value
        value = "there is none" if without is None else f"it is {100 * without:.4g}%"
        notes.append(f"without the votes of {len(report.failed)} who failed attention checks {value}")
    return replace(measure, reason="; ".join(notes))


def verdict(report: VotesReport, target: str) -> TargetResult:
    """The verdict on `human_eval`. A target that speaks of base asks how far the run is preferred over half the votes,
    and is judged where base is what it stands against."""
    measure = human_eval(report)
    if report.against != ("base",):
        difference = Measure(
            None, n=measure.n, reason=f"the votes are against {', '.join(report.against) or 'nothing'}"
        )
    elif measure.value is None:
        difference = measure
    else:
        ends = [None if end is None else end - 0.5 for end in (measure.low, measure.high)]
        difference = replace(measure, value=measure.value - 0.5, low=ends[0], high=ends[1])
    return judge(parse_target(target), "human_eval", measure, difference)


def _bound(target: str | None) -> float | None:
    """The share that the target asks for, if it is one that bets can be made against."""
    if target is None:
        return None
    wanted = parse_target(target)
    bound = 0.5 if wanted.kind == "base" else wanted.bound if wanted.kind == "value" else None
    return bound if bound is not None and 0 < bound < 1 else None


def _ties(votes: OneSide) -> NDArray[np.float64]:
    return np.asarray(1 - votes.won - votes.lost, dtype=np.float64)


def _share(
    successes: NDArray[np.float64], trials: NDArray[np.float64], cluster: NDArray[np.int64], otherwise: str
) -> Measure:
    """The share of V trials with its interval by cluster."""
    found = clustered_share(np.bincount(cluster, weights=successes), np.bincount(cluster, weights=trials))
    if found is None:
        return Measure(None, reason=otherwise)
    details = {"effective_n": found.effective_n, "clusters": found.clusters}
    return Measure(found.value, found.interval.low, found.interval.high, round(found.n), details=details)


def _over_raters(votes: OneSide) -> Measure:
    """The preferred share, clustered by rater: what other raters would say of these items."""
    measure = _share(votes.won, votes.won + votes.lost, votes.rater, _NOTHING)
    if measure.value is None or measure.details["clusters"] > 1:
        return measure
    return replace(measure, low=None, high=None, reason="one rater says nothing of what others would choose")


def _majority(votes: OneSide) -> Measure:
    """The share of items that more raters give to the run than to the other, of those with more for one of the two."""
    size = len(votes.items)
    lead = np.bincount(votes.item, weights=votes.won - votes.lost, minlength=size)
    ones = np.ones(size)
    return _share((lead > 0) * ones, (lead != 0) * ones, np.arange(size), _NOTHING)


def _parts(votes: OneSide, names: Sequence[str]) -> dict[str, Measure]:
    """The preferred share of each part, by the name that each vote belongs to."""
    of = np.asarray(names, dtype=object)
    return {name: preferred(votes.of(of == name)) for name in dict.fromkeys(names)}


def _by_category(votes: OneSide) -> dict[str, Measure]:
    if not any(vote.category is not None for vote in votes.votes):
        return {}
    return _parts(votes, [NO_CATEGORY if vote.category is None else vote.category for vote in votes.votes])


def _by_length(votes: OneSide, run: str) -> dict[str, Measure]:
    """The preferred share where the run's answer is the longer one, the shorter one, or as long as the other."""
    names = []
    for vote in votes.votes:
        mine, other = vote.left_length, vote.right_length
        if vote.right == run:
            mine, other = other, mine
        names.append("equal" if mine == other else "longer" if mine > other else "shorter")
    return _parts(votes, names) if set(names) - {"equal"} else {}


def _left(votes: Sequence[Ballot]) -> Measure:
    """The share of left in all choices of a side, with the exact test against one half: sides are drawn by chance."""
    decided = [vote for vote in votes if vote.choice in ("left", "right")]
    return _share_of(decided, [vote.choice == "left" for vote in decided], _NOTHING)


def _longer(votes: Sequence[Ballot]) -> Measure:
    """The share of the longer answer in all choices of a side between answers of unlike length."""
    decided = [v for v in votes if v.choice in ("left", "right") and v.left_length != v.right_length]
    chosen = [(vote.choice == "left") == (vote.left_length > vote.right_length) for vote in decided]
    return _share_of(decided, chosen, "no answer was preferred to one of another length")


def _share_of(votes: Sequence[Ballot], chosen: Sequence[bool], otherwise: str) -> Measure:
    numbers: dict[str, int] = {}
    item = np.asarray([numbers.setdefault(vote.item, len(numbers)) for vote in votes], dtype=np.int64)
    measure = _share(np.asarray(chosen, dtype=np.float64), np.ones(len(votes)), item, otherwise)
    if measure.value is None:
        return measure
    probability = mcnemar(sum(chosen), len(chosen) - sum(chosen))
    return replace(measure, details={**measure.details, "probability": probability})


def _raters(kept: Counted, mine: OneSide, attention: float) -> tuple[Rater, ...]:
    """Everyone who voted, in order of their first vote."""
    by_rater: dict[str, list[Ballot]] = defaultdict(list)
    checks: dict[str, list[Ballot]] = defaultdict(list)
    for vote in kept.votes:
        by_rater[vote.rater].append(vote)
    for vote in kept.checks:
        checks[vote.rater].append(vote)
    number = {name: place for place, name in enumerate(mine.raters)}
    found = []
    for name in dict.fromkeys([*by_rater, *checks]):
        own = mine.of(mine.rater == number.get(name, -1))
        right = sum(vote.choice in vote.right_choices for vote in checks[name])
        seconds = [vote.seconds for vote in by_rater[name] if vote.seconds is not None]
        found.append(
            Rater(
                name=name,
                votes=len(own.votes),
                wins=int(own.won.sum()),
                losses=int(own.lost.sum()),
                ties=int(_ties(own).sum()),
                preferred=preferred(own),
                left=_left(by_rater[name]),
                checks=len(checks[name]),
                checks_right=right,
                failed=right < attention * len(checks[name]),
                seconds=median(seconds) if seconds else None,
            )
        )
    return tuple(found)


def _placed(votes: Sequence[Ballot]) -> dict[tuple[str, str, str], dict[str, int]]:
    """By item and pair of systems: what each rater said, whichever stood left. 0 and 1 are the pair's first and second
    system, 2 both good, 3 both bad."""
    placed: dict[tuple[str, str, str], dict[str, int]] = defaultdict(dict)
    for vote in votes:
        first, second = sorted((vote.left, vote.right))
        category = {"both_good": 2, "both_bad": 3}.get(vote.choice)
        if category is None:
            category = int((vote.left if vote.choice == "left" else vote.right) == second)
        placed[vote.item, first, second][vote.rater] = category
    return placed


def _agreement(votes: Sequence[Ballot], seed: int) -> Measure:
    """Krippendorff's alpha over the items of two raters or more."""
    counts = [np.bincount(list(said.values()), minlength=4) for said in _placed(votes).values() if len(said) > 1]
    if not counts:
        return Measure(None, reason="no item has the votes of two raters")
    found = krippendorff_alpha(np.array(counts), np.random.default_rng(seed))
    if found is None:
        return Measure(None, n=len(counts), reason="all votes are the same, so there is no chance agreement to beat")
    return _measured(found)


def _kappas(votes: Sequence[Ballot]) -> tuple[Kappa, ...]:
    """Of every two raters with two items in common or more, in alphabetical order."""
    tables: Mapping[tuple[str, str], NDArray[np.int64]] = defaultdict(lambda: np.zeros((4, 4), dtype=np.int64))
    for said in _placed(votes).values():
        for one, other in combinations(sorted(said), 2):
            tables[one, other][said[one], said[other]] += 1
    found = []
    for (one, other), table in sorted(tables.items()):
        if table.sum() < 2:
            continue
        kappa = cohen_kappa(table)
        if kappa is None:
            measure = Measure(None, n=int(table.sum()), reason="both always said the same one thing")
        else:
            measure = _measured(kappa)
        found.append(Kappa(one, other, measure))
    return tuple(found)


def _measured(found: Agreement) -> Measure:
    low, high = (found.interval.low, found.interval.high) if found.interval else (None, None)
    return Measure(found.value, low, high, found.items)


def _opponents(votes: Sequence[Ballot], mine: OneSide, run: str, meetings: Sequence[Meeting]) -> dict[str, Measure]:
    """The preferred share of the run against each other system."""
    if not meetings:
        return _parts(mine, [mine.opponents[number] for number in mine.opponent])
    others = [one.other for one in meetings if one.one == run]
    return {other: preferred(one_side(between(votes, run, other), run)) for other in others}


def _ranking(votes: Sequence[Ballot], meetings: Sequence[Meeting] = ()) -> tuple[Ranked, ...]:
    """Three systems or more, the strongest first. A tie is half a win to either."""
    met = [(vote, left, right) for vote in votes for left, right in vote.pairs]
    asked = {name for one in meetings for name in (one.one, one.other)}
    systems = sorted(asked | {name for _, left, right in met for name in (left, right)})
    if len(systems) < 3 or not met:
        return ()
    number = {name: place for place, name in enumerate(systems)}
    wins = np.zeros((len(met), len(systems), len(systems)))
    for place, (vote, one, other) in enumerate(met):
        left, right = number[one], number[other]
        wins[place, left, right] = {"left": 1.0, "right": 0.0}.get(vote.choice, 0.5)
        wins[place, right, left] = 1 - wins[place, left, right]
    items = np.asarray([vote.item for vote, _, _ in met])
    tied = np.asarray([vote.choice in ("both_good", "both_bad") for vote, _, _ in met])
    found = strengths(wins, items)
    decided = strengths(wins[~tied], items[~tied]) if not tied.all() else None
    total, ties = wins.sum(axis=0), wins[tied].sum(axis=(0, 2)) + wins[tied].sum(axis=(0, 1))
    won, voted = total.sum(axis=1), total.sum(axis=1) + total.sum(axis=0)
    ranked = [
        Ranked(
            name,
            round(voted[place]),
            float(won[place]),
            _strength(found, place, round(voted[place])),
            round(ties[place]),
            _strength(decided, place, round(voted[place] - ties[place])) if decided else Measure(None, reason=_NOTHING),
        )
        for place, name in enumerate(systems)
    ]
    return tuple(sorted(ranked, key=lambda one: found.strengths[number[one.system]], reverse=True))


def _strength(found: Strengths, place: int, votes: int) -> Measure:
    ends = found.intervals[place]
    return Measure(found.strengths[place].item(), ends.low, ends.high, votes)


def _several(votes: Sequence[Ballot], ranking: Sequence[Ranked], meetings: Sequence[Meeting]) -> Several:
    strength = {one.system: one.strength.value or 0.0 for one in ranking}
    met = []
    for meeting in meetings:
        seen = one_side(between(votes, meeting.one, meeting.other), meeting.one)
        both_good = sum(vote.choice == "both_good" for vote in seen.votes)
        wins, losses = int(seen.won.sum()), int(seen.lost.sum())
        expected = float(expit(strength[meeting.one] - strength[meeting.other])) if strength else None
        met.append(
            Met(
                meeting.one,
                meeting.other,
                len(seen.votes),
                wins,
                losses,
                both_good,
                len(seen.votes) - wins - losses - both_good,
                preferred(seen),
                expected,
                meeting.items,
                meeting.same,
            )
        )
    by_rater = dict(Counter(vote.rater for vote in votes))
    return Several(len(votes), len({vote.item for vote in votes}), tuple(met), by_rater)
