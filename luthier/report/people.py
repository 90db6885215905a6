"""What a report shows of people's votes: the preferred share beside its target, and what may have swayed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
class People:
    """A review as a report shows it; `strip` draws the preferred share beside the target."""

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


def people(review: Mapping[str, Any]) -> People | None:
    """From a run's reports/review.json; None where nobody has voted."""
    if not review.get("votes"):
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
    )


_LINES = {
    "preferred": ("preferred", ""),
    "ties_half": ("ties as half a win", ""),
    "ties_against": ("ties as losses", ""),
    "majority": ("items by majority", "each item by what more of its raters chose"),
    "over_raters": ("what other raters would say", "the interval counts raters instead of items"),
    "left": ("left answer chosen", "50% without bias by side"),
    "longer": ("longer answer chosen", "50% without bias by length"),
}
