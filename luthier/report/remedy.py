"""From what remedies came to, to one HTML page that needs nothing outside itself: the finding with its curve, before
and after with intervals, and everything that was tried."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from markupsafe import Markup

from luthier.evaluation import metrics
from luthier.evaluation.remedied import Attempt, Change, Remedied
from luthier.flow import Measure
from luthier.report import bars, numbers
from luthier.report.curves import Axis, Tick, axis
from luthier.report.page import _HERE as HERE
from luthier.report.page import Command, is_share
from luthier.report.page import _digest as digest
from luthier.report.page import _environment as environment

OUTCOMES: Final = {
    "helped": "helped",
    "no_help": "no help",
    "harmed": "harmed",
    "worse_when_short": "worse when short",
    "refused": "refused",
    "not_tried": "not tried",
}
_KNOWN: Final = {"loss_at_the_end": "loss of the validation rows at the end", "row_tokens": "tokens of rows"}


@dataclass(frozen=True, slots=True)
class Line:
    """A measure before and after, in words and drawn on one axis."""

    change: Change
    name: str
    before: str
    after: str
    difference: str
    probability: str
    strip: bars.Strip | None


@dataclass(frozen=True, slots=True)
class Drawn:
    """The validation losses by step: each side a path and its points, in per cent of the plot; `moment` is where the
    symptom began to show."""

    x: Axis
    y: Axis
    lines: Mapping[str, Sequence[tuple[float, float]]]
    moment: Tick | None

    def path(self, name: str) -> str:
        """The line as an SVG path."""
        return "M" + "L".join(f"{x:g} {y:g}" for x, y in self.lines[name])


def render(found: Remedied) -> str:
    """The whole page. The same result gives the same bytes."""
    sheets = ("report.css", "comparison.css", "remedy.css")
    style = "".join((HERE / name).read_text(encoding="utf-8") for name in sheets)
    page = (
        environment()
        .get_template("remedy.html.j2")
        .render(
            found=found,
            style=Markup(style),
            policy="default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
            f"style-src '{digest(style)}'",
            title=title(found),
            signs=[line(one) for one in found.signs],
            targets=[line(one) for one in found.targets if one.name not in {sign.name for sign in found.signs}],
            drawn=drawn(found),
            changed=changed,
            short=short,
            outcomes=OUTCOMES,
            commands=commands(found),
        )
    )
    return page.lstrip().encode("utf-8", "backslashreplace").decode("utf-8")


def title(found: Remedied) -> str:
    """What came of it, in a heading."""
    if found.helped:
        return "Remedied"
    return "No remedy helped" if found.symptom else "Nothing to remedy"


def line(one: Change) -> Line:
    """`loss`, `0.52 [0.45, 0.61]`, `0.31 [0.26, 0.38]`, `−0.21 [−0.27, −0.16]`, `p = 0.0005`."""
    share = is_share(one.name) or one.name.startswith("accuracy")
    ends = [("base", one.before), ("tuned", one.after)]
    values = [(key, side.value, side.low, side.high) for key, side in ends]
    drawn_on = None if one.name == "row_tokens" else bars.strip(values, share, near=True)
    return Line(
        one,
        said_name(one.name),
        said(one.before, share),
        said(one.after, share),
        said(one.difference, share, signed=True),
        "no test" if one.probability is None else f"p = {one.probability:.2g}",
        drawn_on,
    )


def said_name(name: str) -> str:
    """A measure as people call it."""
    return _KNOWN.get(name, name.replace("_", " "))


def said(measure: Measure, share: bool, signed: bool = False) -> str:
    """A value with its interval; as a difference with its sign, in points where it is a share."""
    if measure.value is None:
        return measure.reason or numbers.DASH
    value = numbers.measured(measure.value, share)
    if signed:
        value = f"{value[:-1]} points" if share else value
        value = f"+{value}" if measure.value > 0 else value
    return f"{value} {numbers.interval(measure.value, measure.low, measure.high, share)}".rstrip()


def changed(attempt: Attempt) -> list[tuple[str, str]]:
    """What an attempt changed, as setting and value."""
    found = [(path, _value(value)) for path, value in attempt.settings.items()]
    return found + ([("rows left out", f"{attempt.without:,}")] if attempt.without else [])


def short(attempt: Attempt) -> str:
    """What its short run showed, in a line; empty where there was none."""
    one = attempt.short
    if one is None:
        return ""
    if one.difference.value is None:
        return one.difference.reason
    share = is_share(one.name)
    words = f"{said_name(one.name)} {numbers.measured(one.before.value, share)} to "
    return (
        f"{words}{numbers.measured(one.after.value, share)}: {'no more than noise' if one.how == 'same' else one.how}"
    )


def drawn(found: Remedied) -> Drawn | None:
    """The curves of before and after; None where nothing was evaluated while training."""
    lines = {name: [point for point in points if isfinite(point[1])] for name, points in found.curves.items() if points}
    every = [point for points in lines.values() for point in points]
    if not every:
        return None
    x = axis(0, max(1.0, *(step for step, _ in every)), 6, whole=True)
    values = [value for _, value in every]
    room = 0.08 * (max(values) - min(values) or 1.0)
    y = axis(max(0.0, min(values) - room), max(values) + room, 5)
    moment = None if found.step is None else Tick(x.at(found.step), f"step {found.step:,}")
    placed = {name: [(x.at(s), round(100 - y.at(v), 2)) for s, v in points] for name, points in lines.items() if points}
    return Drawn(x, y, placed, moment)


def commands(found: Remedied) -> list[Command]:
    """What to type next."""
    if found.run is None:
        again = f"luthier remedy {shlex.quote(found.original)} --at-most {2 * found.at_most:g}x"
        return [Command(again, "more of it: what is done is kept, and it goes on")] if found.symptom else []
    run = shlex.quote(found.run)
    return [
        Command(f"luthier chat {run}", "talk to the remedied model"),
        Command(f"luthier export {run} --format adapter", "take it elsewhere"),
        Command(f"luthier compare {shlex.quote(found.original)} {run}", "both runs by every metric, row by row"),
    ]


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return numbers.rate(value) if 0 < abs(value) < 0.01 else f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(_value(one) for one in value)
    return (
        {True: "true", False: "false", None: "null"}.get(value, str(value))
        if value in (True, False, None)
        else str(value)
    )


def direction(name: str) -> str:
    """Which way is better, for the reader of a table."""
    known = metrics.OTHER_NAMES.get(name, name)
    if known in metrics.names():
        return str(metrics.load(known).direction)
    return "higher" if name.startswith("accuracy") else "lower"
