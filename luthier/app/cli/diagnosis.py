"""A diagnosis as a terminal shows it: each finding with its curve, its evidence and what to change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import isfinite, log
from typing import TYPE_CHECKING, Final

from rich.text import Text

from luthier.app.cli.text import one_line
from luthier.flow import Diagnosis, Finding, Measure, Remedy
from luthier.report import numbers

if TYPE_CHECKING:
    from rich.console import Console

_HEIGHT: Final = 7
_WIDTH: Final = 56
_MARKS: Final = ("●", "·", "+")
_WIDE: Final = 4.0
"""Values so many times apart are drawn by their logarithms."""
_SHOWN: Final = 3
"""Curves and remedies of a finding; --json has all."""


def print_diagnosis(diagnosis: Diagnosis, console: Console) -> None:
    """The findings in their order, then what could not be looked for and why."""
    if not diagnosis.findings:
        console.print(Text("Nothing is found to be wrong with this run.", "green"))
    for number, finding in enumerate(diagnosis.findings, 1):
        if number > 1:
            console.print()
        for line in _finding(number, finding):
            console.print(line, soft_wrap=True)
    if diagnosis.unknown:
        console.print()
        console.print(Text("Could not be looked for", "bold"))
        for why, names in _together(diagnosis.unknown).items():
            words = ", ".join(name.replace("_", " ") for name in names)
            console.print(Text(f"  {words}: ", "dim").append(one_line(why), "dim"), soft_wrap=True)


def _finding(number: int, finding: Finding) -> list[Text]:
    lines = [
        Text(f"{number}. {finding.symptom.replace('_', ' ')}", "bold red").append(
            f"  ({finding.cause.replace('_', ' ')}; certainty {_certainty(finding.certainty)})", "dim"
        ),
        Text(f"   {one_line(finding.says)}"),
    ]
    lines += [Text(f"   {line}", "dim") for line in plot(finding)]
    lines += [
        Text(f"   {name.replace('_', ' ')}: {_measure(measure)}", "dim") for name, measure in finding.evidence.items()
    ]
    lines += [_remedy(remedy) for remedy in finding.remedies[:_SHOWN]]
    return lines


def _certainty(certainty: float) -> str:
    return "over 99.9%" if certainty > 0.999 else f"{certainty:.1%}"


def _measure(measure: Measure) -> str:
    ends = numbers.interval(measure.value, measure.low, measure.high, False)
    return f"{numbers.number(measure.value)} {ends}".rstrip() + (f" over {measure.n:,}" if measure.n else "")


def _remedy(remedy: Remedy) -> Text:
    changed = ", ".join(f"{path.rpartition('.')[2]} {one_line(str(value))}" for path, value in remedy.settings.items())
    if remedy.without:
        changed = ", ".join(filter(None, [changed, numbers.count(len(remedy.without), "row") + " left out"]))
    return Text("   → ", "cyan").append(changed, "cyan").append(f"  {one_line(remedy.why)}", "dim")


def plot(finding: Finding, height: int = _HEIGHT, width: int = _WIDTH) -> list[str]:
    """The finding's curves as letters, the moment marked below; empty where it has none."""
    curves = [
        (name, [(x, y) for x, y in points if isfinite(x) and isfinite(y)])
        for name, points in list(finding.curves.items())[: len(_MARKS)]
    ]
    curves = [(name, points) for name, points in curves if len(points) > 1]
    if not curves:
        return []
    steps = [x for _, points in curves for x, _ in points]
    values = [y for _, points in curves for _, y in points]
    left, right, low, high = min(steps), max(steps), min(values), max(values)
    if right == left or high == low:
        return []
    scale = log if low > 0 and high > _WIDE * low else float
    top, bottom = scale(high), scale(low)
    grid = [[" "] * width for _ in range(height)]

    def column(x: float) -> int:
        return round((x - left) / (right - left) * (width - 1))

    for mark, (_, points) in reversed(list(zip(_MARKS, curves, strict=False))):
        for x, y in points:
            grid[round((top - scale(y)) / (top - bottom) * (height - 1))][column(x)] = mark
    ends = {0: numbers.number(high), height - 1: numbers.number(low)}
    wide = max(len(text) for text in ends.values())
    lines = [f"{ends.get(at, ''):>{wide}} │{''.join(row).rstrip()}" for at, row in enumerate(grid)]
    axis = ["─"] * width
    said = ""
    if finding.step is not None and left <= finding.step <= right:
        axis[column(finding.step)] = "▲"
        said = f", ▲ step {finding.step:,}"
    lines.append(f"{'':>{wide}} └{''.join(axis)}")
    names = ", ".join(f"{mark} {name}" for mark, (name, _) in zip(_MARKS, curves, strict=False))
    lines.append(f"{'':>{wide}}  steps {left:,.0f} to {right:,.0f}: {names}{said}")
    return lines


def _together(unknown: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
    """The symptoms by what is missing for them."""
    names = defaultdict(list)
    for name, why in unknown.items():
        names[why].append(name)
    return names
