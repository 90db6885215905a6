"""`luthier diagnose`: what is wrong with a run, by which evidence, and which settings may mend it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from luthier.app.cli.job import Job, JsonOption, Outcome

if TYPE_CHECKING:
    from rich.console import Console

    from luthier.flow import Diagnosis, Event


def diagnose(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name or folder, in whatever state it is.")],
    json: JsonOption = False,
) -> Job:
    """Say what is wrong with a run, from its folder alone.

    Findings come with their evidence, the likely cause, and settings to change. A healthy run has none.

    \b
        luthier diagnose runs/rows-lora-1
        luthier diagnose runs/rows-lora-1 --json
    """

    def work(listen: Callable[[Event], None]) -> Outcome:
        from luthier.flow import result_of
        from luthier.workflow.diagnose import diagnose

        found = result_of(diagnose(run), listen)
        return Outcome(_data(found), lambda console: _show(found, console))

    return Job(work, json)


def _data(diagnosis: Diagnosis) -> dict[str, Any]:
    """The diagnosis with, of each finding, the remedy to try first beside all of them."""
    data = asdict(diagnosis)
    for finding in data["findings"]:
        finding["remedy"] = finding["remedies"][0] if finding["remedies"] else {"settings": {}}
    return data


def _show(diagnosis: Diagnosis, console: Console) -> None:
    from luthier.app.cli.diagnosis import print_diagnosis
    from luthier.app.cli.next_steps import next_steps
    from luthier.runs import Run

    run = Run.find(diagnosis.run, to_mend=True)
    print_diagnosis(diagnosis, console)
    steps = [(["remedy", diagnosis.run], "try the remedies as new runs, and measure before and after")]
    if any("luthier evaluate" in why for why in diagnosis.unknown.values()):
        steps.append((["evaluate", diagnosis.run], "measure it, so that more can be looked for"))
    next_steps(console, *(steps if diagnosis.findings else steps[1:]), page=str(run.page) if run.page.is_file() else "")
