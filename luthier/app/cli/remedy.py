"""What remedies came to, as a terminal shows it: what was tried, and before and after with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich import box
from rich.table import Table
from rich.text import Text

from luthier.app.cli.text import one_line
from luthier.report import numbers
from luthier.report.remedy import OUTCOMES, line, short

if TYPE_CHECKING:
    from rich.console import Console

    from luthier.evaluation.remedied import Remedied

_COLOURS: Final = {"better": "green", "worse": "red", "same": "yellow", "not_measured": "dim"}


def print_remedy(found: Remedied, console: Console) -> None:
    """The finding, what was tried, before and after, and the conclusion."""
    if found.says:
        console.print(Text(one_line(found.says)))
    if found.tried:
        table = Table(box=box.SIMPLE_HEAD, title="What was tried", title_justify="left")
        for heading in ("remedy", "for", "short run", "outcome", "cost"):
            table.add_column(heading, overflow="fold")
        for one in found.tried:
            cost = f"{numbers.number(one.times)}x" if one.times else ""
            outcome = Text(OUTCOMES[one.outcome], "green" if one.outcome == "helped" else "")
            said = "" if one.outcome == "helped" else f": {one_line(one.why)}"
            table.add_row(
                one_line(one.remedy.replace("_", " ")),
                one.symptom.replace("_", " "),
                Text(one_line(short(one)), "dim"),
                outcome.append(said, "dim"),
                cost,
            )
        console.print(table)
    changes = [*found.signs, *(one for one in found.targets if one.name not in {sign.name for sign in found.signs})]
    if changes:
        table = Table(box=box.SIMPLE_HEAD, title=_title(found), title_justify="left")
        for heading in ("measure", "before", "after", "difference", "p", ""):
            table.add_column(heading, overflow="fold")
        for drawn in map(line, changes):
            how = drawn.change.how
            words = "no more than noise" if how == "same" else how.replace("_", " ")
            table.add_row(
                drawn.name,
                drawn.before,
                drawn.after,
                drawn.difference,
                drawn.probability.removeprefix("p = "),
                Text(words, _COLOURS[how]),
            )
        console.print(table)
    for target in found.after.targets if found.after else ():
        console.print(Text(f"{target.metric.replace('_', ' ')} {one_line(target.target)}: {target.verdict}", "dim"))
    if found.symptom:
        took = f"{numbers.number(found.times)} times the original's tokens of rows, of {found.at_most:g} allowed"
        console.print(Text(f"all runs together: {took}; {numbers.duration(found.seconds)}", "dim"))
    console.print(Text(one_line(found.why), "green" if found.helped else "yellow"))


def _title(found: Remedied) -> str:
    after = found.after.run if found.after else ""
    which = "" if found.helped else " (the nearest run, which did not help)"
    rows = f"{numbers.count(found.rows, 'row')} of {found.data}"
    return one_line(f"{found.original} and {after}{which} on {rows}; in brackets the 95% intervals")
