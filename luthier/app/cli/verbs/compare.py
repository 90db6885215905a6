"""`luthier compare`: finished runs beside each other, tested row by row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from luthier.app.cli.job import Job, JsonOption, Outcome

if TYPE_CHECKING:
    from luthier.flow import Event


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="Names or folders of finished runs.")],
    json: JsonOption = False,
) -> Job:
    """Compare finished runs on the rows that all were evaluated on.

    Every pair is tested row by row; a run is best only where that is more than noise. The table and the
    page say what each took; both are kept in the first run's reports.

    \b
        luthier compare runs/rows-lora-1 runs/rows-full-1
    """

    def work(listen: Callable[[Event], None]) -> Outcome:
        from luthier.app.cli.comparison import print_comparison
        from luthier.flow import result_of
        from luthier.workflow.compare import compare

        found = result_of(compare(runs), listen)
        return Outcome(asdict(found), lambda console: print_comparison(found, console))

    return Job(work, json)
