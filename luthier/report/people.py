"""What a report shows of people's votes: the preferred share beside its target, and what may have swayed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from luthier.evaluation.votes_report import chance
from luthier.flow import Measure, TargetResult
from luthier.report import bars
from luthier.settings.targets import parse_target


@dataclass(frozen=True, slots=True)
class PeopleLine:
    """One number of a review, with what it says."""

    name: str
    measure: Measure
    note: str = ""


@dataclass(frozen=True, slots=True)
class SystemLine:
    """A system among several: its strength, and how often it would be preferred over the average one."""

    name: str
    strength: Measure
    chance: Measure
    decided: Measure
    votes: int
    wins: float
    ties: int


@dataclass(frozen=True, slots=True)
class PairLine:
    """Two systems of several: the share of the first in the votes for one of them, and what the strengths expect."""

    one: str
    other: str
    votes: int
    wins: int
    losses: int
    ties: int
    same: int
    preferred: Measure
    expected: float | None


@dataclass(frozen=True, slots=True)
class Systems:
    """More than two systems in one review: `votes` of `planned` on so many `rows`."""

    names: tuple[str, ...]
    votes: int
    planned: int
    rows: int
    lines: tuple[SystemLine, ...]
    pairs: tuple[PairLine, ...]


@dataclass(frozen=True, slots=True)
class People:
    """A review as a report shows it; `strip` draws the preferred share beside the target. Where there are `systems`,
    the rest is of the run and `against` alone."""

    run: str
    against: str
    scripted: bool
    votes: int
    planned: int
    wins: int
    losses: int
    both_good: int
    both_bad: int
    raters: int
    preferred: Measure
    strip: bars.Strip | None
    target: TargetResult | None
    settled: str
    lines: tuple[PeopleLine, ...]
    agreement: Measure
    systems: Systems | None = None


def people(review: Mapping[str, Any]) -> People | None:
    """From a run's reports/review.json; None where nobody has voted."""
    several = review.get("several")
    if not (several["votes"] if several else review.get("votes")):
        return None
    measures = {name: Measure(**review[name]) for name in _LINES}
    preferred = measures["preferred"]
    target = TargetResult(**review["target"]) if review["target"] else None
    parsed = parse_target(target.target) if target else None
    line = None
    if parsed and parsed.kind == "value" and parsed.bound is not None:
        line = bars.Line(parsed.bound, parsed.comparison in (">", ">="))
    always = review["always"]
    shown = [PeopleLine(title, measures[name], note) for name, (title, note) in _LINES.items() if name != "preferred"]
    held = Measure(preferred.value, always["low"], always["high"], preferred.n)
    return People(
        review["run"],
        review["against"],
        review["kind"] == "scripted",
        review["votes"],
        review["planned"],
        review["wins"],
        review["losses"],
        review["both_good"],
        review["both_bad"],
        review["raters"],
        preferred,
        bars.strip([("tuned", preferred.value, preferred.low, preferred.high)], True, line),
        target,
        always["settled"],
        (PeopleLine("preferred, at any moment", held, "holds however often one looks"), *shown),
        Measure(**review["agreement"]),
        _systems(review) if several else None,
    )


def _systems(review: Mapping[str, Any]) -> Systems:
    asked, several = review["asked"], review["several"]
    lines = []
    for one in review["ranking"]:
        strength = Measure(**one["strength"])
        decided = Measure(**one["decided"])
        lines.append(
            SystemLine(one["system"], strength, chance(strength), decided, one["votes"], one["wins"], one["ties"])
        )
    pairs = [
        PairLine(
            met["one"],
            met["other"],
            met["votes"],
            met["wins"],
            met["losses"],
            met["both_good"] + met["both_bad"],
            met["same"],
            Measure(**met["preferred"]),
            met["expected"],
        )
        for met in several["met"]
    ]
    planned = asked["whole"] * asked["each_by"]
    return Systems(tuple(asked["systems"]), several["votes"], planned, several["rows"], tuple(lines), tuple(pairs))


_LINES = {
    "preferred": ("preferred", ""),
    "ties_half": ("ties as half a win", ""),
    "ties_against": ("ties as losses", ""),
    "majority": ("items by majority", "each item by what more of its raters chose"),
    "over_raters": ("what other raters would say", "the interval counts raters instead of items"),
    "left": ("left answer chosen", "50% without bias by side"),
    "longer": ("longer answer chosen", "50% without bias by length"),
}
