"""What the report shows of a diagnosis: each finding with its curves, the moment marked, and what may help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final

from luthier.flow import Diagnosis, Finding, Measure, Remedy
from luthier.report import numbers
from luthier.report.curves import Axis, Curve, axis, room

CURVES_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class FindingPlot:
    """A finding's curves over the steps; `moment` is where it began to show, in per cent, if it has such a step."""

    x: Axis
    y: Axis
    curves: tuple[Curve, ...]
    moment: float | None


@dataclass(frozen=True, slots=True)
class RemedyLine:
    """A remedy in words: the settings with their new values, and why it may help."""

    changes: tuple[tuple[str, str], ...]
    left_out: int
    why: str
    source: str


@dataclass(frozen=True, slots=True)
class FindingLine:
    """A finding as the page shows it."""

    symptom: str
    cause: str
    certainty: str
    says: str
    evidence: Mapping[str, Measure]
    remedies: tuple[RemedyLine, ...]
    step: int | None
    plot: FindingPlot | None


def finding_lines(diagnosis: Diagnosis) -> list[FindingLine]:
    """The findings in their order."""
    return [
        FindingLine(
            finding.symptom,
            finding.cause,
            "over 99.9%" if finding.certainty > 0.999 else numbers.percent(finding.certainty),
            finding.says,
            finding.evidence,
            tuple(_remedy(remedy) for remedy in finding.remedies),
            finding.step,
            _plot(finding),
        )
        for finding in diagnosis.findings
    ]


def missing_lines(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """Why something could not be looked for, and what that was."""
    found: dict[str, list[str]] = {}
    for symptom, why in diagnosis.unknown.items():
        found.setdefault(why, []).append(symptom.replace("_", " "))
    return [(", ".join(symptoms), why) for why, symptoms in found.items()]


def _remedy(remedy: Remedy) -> RemedyLine:
    changes = tuple((path, str(value)) for path, value in remedy.settings.items())
    return RemedyLine(changes, len(remedy.without), remedy.why, remedy.source)


def _plot(finding: Finding) -> FindingPlot | None:
    series = {name: _usable(points) for name, points in list(finding.curves.items())[:CURVES_SHOWN]}
    series = {name: points for name, points in series.items() if len(points) > 1}
    values = [value for points in series.values() for _, value in points]
    steps = [step for points in series.values() for step, _ in points]
    if not series or min(steps) == max(steps):
        return None
    x, y = axis(0, max(steps), 6, whole=True), axis(*room(values), 5)
    curves = tuple(
        Curve(
            name,
            f"finding-{number}",
            "marks" if len(points) <= 60 else "line",
            tuple((x.at(step), round(100 - y.at(value), 2)) for step, value in points),
        )
        for number, (name, points) in enumerate(series.items(), 1)
    )
    return FindingPlot(x, y, curves, None if finding.step is None else x.at(finding.step))


def _usable(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(step, value) for step, value in points if isfinite(step) and isfinite(value)]
