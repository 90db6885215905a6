"""`luthier train`: a run from rows, or from a run file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from luthier.app.cli.job import Job, JsonOption, Outcome

if TYPE_CHECKING:
    from rich.console import Console

    from luthier.flow import Event
    from luthier.workflow.train import Trained


def train(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE...", help="Run files (the later wins), or a file of rows.", show_default=False),
    ] = None,
    data: Annotated[str | None, typer.Option(metavar="F", help="The rows to train on.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting that wins over the files.")
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="N", help="The run's name: runs/N.")] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped.")] = None,
    on_trouble: Annotated[
        str,
        typer.Option(
            metavar="say|stop|remedy",
            help="When the run goes wrong: say so; end it there, evaluated and saved; or then also try remedies.",
        ),
    ] = "say",
    json: JsonOption = False,
) -> Job:
    """Tune a model on rows: makes a run.

    Every setting has a default; what is worked out is printed with its reason. Ctrl-C saves.

    \b
        luthier train rows.jsonl
        luthier train run.yaml --set training_config.hyperparameters.epochs=2
        luthier train --resume runs/rows-lora-1
        luthier train rows.jsonl --on-trouble remedy
    """

    def work(listen: Callable[[Event], None]) -> Outcome:
        from luthier.flow import result_of
        from luthier.workflow.remedied_training import trained_and_remedied

        work = trained_and_remedied(
            files or (), data=data, overrides=overrides or (), name=name, resume=resume, on_trouble=on_trouble
        )
        trained = result_of(work, listen)
        return Outcome(asdict(trained), lambda console: _show(trained, console))

    return Job(work, json)


def _show(trained: Trained, console: Console) -> None:
    from luthier.app.cli.next_steps import next_steps
    from luthier.report import numbers

    validation = "" if trained.validation_loss is None else f", validation {numbers.number(trained.validation_loss)}"
    console.print(
        f"{numbers.count(trained.steps, 'step')} on {numbers.count(trained.trained_tokens, 'trained token')} "
        f"in {numbers.duration(trained.seconds)}; loss {numbers.number(trained.train_loss)}{validation}",
        soft_wrap=True,
    )
    folder = str(trained.folder)
    if trained.remedied is not None:
        from luthier.app.cli.remedy import print_remedy

        print_remedy(trained.remedied, console)
        folder = trained.remedied.run or folder
    next_steps(
        console,
        (["evaluate", folder], "measure it beside the untouched model"),
        (["chat", folder], "talk to it"),
    )
