"""`luthier selftest`: the claims of exactness, proven on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from luthier.app.cli.job import Job, JsonOption, Outcome

if TYPE_CHECKING:
    from rich.console import Console

    from luthier.flow import Event
    from luthier.workflow.selftest import Selftest


def selftest(json: JsonOption = False) -> Job:
    """Prove on this machine that Luthier is exact.

    Each claim is measured on small random models and stands beside its limit. Takes about a minute. Exit code 1 where
    one does not hold.

    \b
        luthier selftest
    """

    def work(listen: Callable[[Event], None]) -> Outcome:
        from luthier.flow import result_of
        from luthier.workflow.selftest import selftest

        done = result_of(selftest(), listen)
        return Outcome(asdict(done), lambda console: _show(done, console), missed=not done.passed)

    return Job(work, json)


def _show(done: Selftest, console: Console) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from luthier.app.cli.text import one_line
    from luthier.report.numbers import duration

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("", "claim", "measured", "limit"):
        table.add_column(heading, justify="right" if heading in ("measured", "limit") else "left")
    for check in done.checks:
        mark = Text("holds", "green") if check.passed else Text("FAILS", "red")
        measured = "–" if check.measured is None else f"{check.measured:.2g}"
        claim = Text(check.claim).append(f"\n{one_line(check.reason)}" if check.reason else "", "red")
        table.add_row(mark, claim, measured, f"{check.limit:g}")
    console.print(table)
    held = sum(check.passed for check in done.checks)
    console.print(
        f"{held} of {len(done.checks)} claims hold on {one_line(done.machine)}, {duration(done.seconds)}",
        soft_wrap=True,
    )
