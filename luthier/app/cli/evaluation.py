"""An evaluation as a terminal shows it: metrics beside base and targets, the reasons, and each category."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from rich import box
from rich.table import Table
from rich.text import Text

from luthier.app.cli.text import one_line
from luthier.evaluation.metrics import OTHER_NAMES
from luthier.flow import Measure, Report, TargetResult
from luthier.report import numbers
from luthier.report.measured import names_measured, not_measured
from luthier.report.page import is_share

if TYPE_CHECKING:
    from rich.console import Console

_COLOURS: Final = {"met": "green", "likely": "yellow", "missed": "red", "not_measured": "dim"}
_WIDE: Final = 110
_NONE: Final = Measure(None)
_FIRST: Final = ("accuracy", "loss")
"""What stands in the table of categories beside the metrics with targets; --json and the page hold all."""


def any_missed(report: Report, strict: bool = False) -> bool:
    """Whether the exit code is 1: a target was missed, or with `strict` not met."""
    failing = {"missed", "likely", "not_measured"} if strict else {"missed"}
    return any(target.verdict in failing for target in report.targets)


def print_evaluation(report: Report, console: Console) -> None:
    """The table, then why each verdict is what it is, then the categories where there are any."""
    console.print(_metrics_table(report, between=" " if console.width >= _WIDE else "\n"))
    for line in _reasons(report):
        console.print(line)
    if report.categories:
        console.print(_categories_table(report))


def _metrics_table(report: Report, between: str) -> Table:
    title = f"{numbers.count(report.rows, 'row')} of {one_line(report.data)}; in brackets the 95% intervals"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for heading in ("metric", "base", "tuned", "n", "target", "verdict"):
        table.add_column(heading, justify="right" if heading == "n" else "left")
    targets = {OTHER_NAMES.get(target.metric, target.metric): target for target in report.targets}
    for name in names_measured(report):
        target = targets.get(name)
        tuned = report.metrics.get(name) or _of_target(target)
        table.add_row(
            Text(_words(name)),
            _shown(name, report.base.get(name, _NONE), target, between),
            _shown(name, tuned, target, between),
            f"{tuned.n:,}" if tuned.n else "",
            Text(target.target if target else ""),
            Text(_words(target.verdict), _COLOURS[target.verdict]) if target else "",
        )
    return table


def _categories_table(report: Report) -> Table:
    measured = {name for measures in report.categories.values() for name in measures}
    targeted = {OTHER_NAMES.get(target.metric, target.metric) for target in report.targets}
    names = [name for name in names_measured(report) if name in measured and name in {*targeted, *_FIRST}]
    table = Table(box=box.SIMPLE_HEAD, title="Tuned, by category", title_justify="left")
    table.add_column("category", overflow="fold")
    table.add_column("n", justify="right")
    for name in names:
        table.add_column(_words(name))
    for category, measures in report.categories.items():
        rows = max((measure.n for measure in measures.values()), default=0)
        shown = [_shown(name, measures.get(name, _NONE), None, "\n") for name in names]
        table.add_row(Text(one_line(category)), f"{rows:,}", *shown)
    return table


def _reasons(report: Report) -> list[Text]:
    lines = [
        Text(f"{_words(target.metric)}: {one_line(target.reason)}", _COLOURS[target.verdict])
        for target in report.targets
        if target.reason
    ]
    shown = names_measured(report)
    sides: tuple[tuple[str, Mapping[str, Measure]], ...] = (("base", report.base), ("tuned", report.metrics))
    said = {target.reason for target in report.targets}
    for side, measures in sides:
        for name in shown:
            measure = measures.get(name, _NONE)
            if measure.reason and measure.reason not in said:
                said.add(measure.reason)
                lines.append(Text(f"{side}, {_words(name)}: {one_line(measure.reason)}", "dim"))
    for name in shown:
        measure = report.difference.get(name, _NONE)
        if measure.value is not None:
            reason = f"; {one_line(measure.reason)}" if measure.reason else ""
            lines.append(Text(f"tuned minus base, {_words(name)}: {_difference(name, measure)}{reason}", "dim"))
    return lines + [Text(line, "dim") for line in not_measured(report)]


def _shown(name: str, measure: Measure, target: TargetResult | None, between: str) -> Text:
    share = is_share(name, target.target if target else "")
    interval = numbers.interval(measure.value, measure.low, measure.high, share)
    line = Text(numbers.measured(measure.value, share))
    return line.append(between).append(interval, "dim") if interval else line


def _difference(name: str, measure: Measure) -> str:
    """`+84.2 points [76.4, 90.1]` for shares, `−4.21 [−4.50, −3.90]` for other measures."""
    share = is_share(name)
    assert measure.value is not None
    sign = "+" if measure.value > 0 else ""
    value = numbers.percent(measure.value)[:-1] + " points" if share else numbers.number(measure.value)
    return f"{sign}{value} {numbers.interval(measure.value, measure.low, measure.high, share)}".rstrip()


def _of_target(target: TargetResult | None) -> Measure:
    return Measure(target.value, target.low, target.high, target.n) if target else _NONE


def _words(name: str) -> str:
    return name.replace("_", " ")
