"""`luthier remedy`: what is wrong with a run is put right in a new one, and measured again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from luthier.app.cli.job import Job, JsonOption, Outcome

if TYPE_CHECKING:
    from rich.console import Console

    from luthier.evaluation.remedied import Remedied
    from luthier.flow import Event


def remedy(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A finished run's name or folder.")],
    at_most: Annotated[
        str,
        typer.Option(
            "--at-most",
            metavar="Nx",
            help="What all new runs together may take: so many times the tokens of rows that the run itself took.",
        ),
    ] = "4x",
    json: JsonOption = False,
) -> Job:
    """Put right what is wrong with a run, and measure it again.

    What diagnosis finds is tried as new runs: short ones first beside a short one of the settings as they were, then
    the best in full. It helped where the symptom is better beyond noise and no target is worse; where not, the next one
    is tried. The run itself stays as it is. Stopped, it goes on when the same is typed again.

    \b
        luthier remedy runs/rows-lora-1
        luthier remedy runs/rows-lora-1 --at-most 8x --json
    """

    def work(listen: Callable[[Event], None]) -> Outcome:
        from luthier.flow import result_of
        from luthier.workflow.remedy import remedy

        found = result_of(remedy(run, at_most=at_most), listen)
        return Outcome(asdict(found), lambda console: _show(found, console))

    return Job(work, json)


def _show(found: Remedied, console: Console) -> None:
    from pathlib import Path

    from luthier.app.cli.next_steps import next_steps
    from luthier.app.cli.remedy import print_remedy

    print_remedy(found, console)
    page = str(Path(found.folder) / "reports" / "remedy.html")
    if found.run:
        next_steps(console, (["chat", found.run], "talk to the remedied model"), page=page)
    elif found.symptom:
        more = ["remedy", found.original, "--at-most", f"{2 * found.at_most:g}x"]
        next_steps(console, (more, "more of it; what is done is kept"), page=page)
