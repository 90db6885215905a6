"""`luthier evaluate`: a run's metrics against its targets, beside the base model's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from luthier.app.cli.job import Job, JsonOption, Outcome, StrictOption

if TYPE_CHECKING:
    from rich.console import Console

    from luthier.flow import Event, Report


def evaluate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name or folder.")],
    data: Annotated[str | None, typer.Option(metavar="F", help="Other rows than the run's own test rows.")] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE:FUNCTION", help="Also measure by a function of your own; may be repeated."),
    ] = None,
    schema: Annotated[str | None, typer.Option(metavar="F", help="A JSON schema that answers must keep.")] = None,
    strict: StrictOption = False,
    json: JsonOption = False,
) -> Job:
    """Measure a run beside the untouched model.

    Exit code 1 where a target was missed.

    \b
        luthier evaluate runs/rows-lora-1
        luthier evaluate runs/rows-lora-1 --data test.jsonl --json
        luthier evaluate runs/rows-lora-1 --metric my_metrics:politeness
    """

    def work(listen: Callable[[Event], None]) -> Outcome:
        from luthier.app.cli.evaluation import any_missed
        from luthier.flow import result_of
        from luthier.workflow.evaluate import evaluate

        report = result_of(evaluate(run, data=data, own_metrics=metric or [], schema=schema), listen)
        return Outcome(asdict(report), lambda console: _show(run, report, console), any_missed(report, strict))

    return Job(work, json)


def _show(run: str, report: Report, console: Console) -> None:
    from luthier.app.cli.evaluation import print_evaluation
    from luthier.app.cli.next_steps import next_steps
    from luthier.runs import Run

    found = Run.find(run)
    print_evaluation(report, console)
    next_steps(console, (["chat", str(found.folder)], "talk to it"), page=str(found.page))
