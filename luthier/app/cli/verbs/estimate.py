"""`luthier estimate`: what a run would take, before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from luthier.app.cli.job import Job, JsonOption, Outcome

if TYPE_CHECKING:
    from rich.console import Console

    from luthier.advice.estimate import Memory
    from luthier.flow import Event
    from luthier.workflow.estimate import Estimated, Largest


def estimate(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE...", help="Run files with settings.", show_default=False)
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="M", help="A model, its folder, or a bare config.json.", show_default=False)
    ] = None,
    method: Annotated[
        str | None, typer.Option(metavar="X", help="full, lora, qlora, prompt_tuning or prefix_tuning.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting that wins over the files.")
    ] = None,
    row_tokens: Annotated[int | None, typer.Option(metavar="N", min=2, help="Tokens a row.")] = None,
    rows: Annotated[int | None, typer.Option(metavar="N", min=1, help="Rows to train on, for the whole run.")] = None,
    device: Annotated[str, typer.Option(metavar="D", help="cpu, a GPU such as H100, or a size such as 24GiB.")] = "cpu",
    processes: Annotated[int, typer.Option(metavar="N", min=1, help="Processes that share the rows.")] = 1,
    price_per_hour: Annotated[
        float | None, typer.Option("--price-per-hour", metavar="P", min=0, help="Of the machine, or of each GPU.")
    ] = None,
    largest: Annotated[bool, typer.Option("--largest", help="Also what would fit at most.")] = False,
    probe: Annotated[bool, typer.Option("--probe", help="Correct it by half a minute of real steps here.")] = False,
    json: JsonOption = False,
) -> Job:
    """Work out what a run would take: parameters, memory, time.

    The model need not be here: a config.json is enough. Nothing is trained, unless --probe asks for a few steps, which
    later estimates of the same model on this machine use as well.

    \b
        luthier estimate --model config.json --method lora
        luthier estimate run.yaml --row-tokens 800 --rows 5000
        luthier estimate --model config.json --method qlora --device 24GiB --largest
        luthier estimate --probe
    """

    def work(listen: Callable[[Event], None]) -> Outcome:
        from luthier.flow import result_of
        from luthier.workflow.estimate import data_of, estimate

        known = result_of(
            estimate(
                files or (),
                model=model,
                method=method,
                overrides=overrides or (),
                row_tokens=row_tokens,
                rows=rows,
                device=device,
                processes=processes,
                price_per_hour=price_per_hour,
                largest=largest,
                probe=probe,
            ),
            listen,
        )
        return Outcome(data_of(known), lambda console: _show(known, console))

    return Job(work, json)


def _show(known: Estimated, console: Console) -> None:
    from luthier.app.cli.text import one_line
    from luthier.report import numbers

    console.print(f"{one_line(known.model)} with {known.tuning_method}", style="bold", soft_wrap=True)
    trained = known.trainable_parameters
    share = ""
    if trained is not None:
        share = f"; {trained:,} are trained: {100 * trained / known.parameters:.3g}%"
    console.print(f"{known.parameters:,} parameters{share}", soft_wrap=True)
    if known.cost is None:
        console.print(known.why, soft_wrap=True)
        return
    cost, load = known.cost, known.cost.load
    twice = ", layers computed twice" if load.checkpointing else ""
    console.print(
        f"{numbers.count(load.batch_size, 'row')} of {load.row_tokens:,} tokens a step, "
        f"{numbers.count(load.passes, 'pass', 'passes')}, {known.precision}{twice}",
        soft_wrap=True,
    )
    _show_memory(cost.training, cost.evaluation, console)
    for line in _lines(known):
        console.print(line, soft_wrap=True)
    if known.largest is not None:
        console.print(_at_most(known.largest), soft_wrap=True)
    for note in known.notes:
        console.print(f"assumed: {note}", style="dim", soft_wrap=True)


def _show_memory(training: Memory, evaluation: Memory, console: Console) -> None:
    from rich import box
    from rich.table import Table

    from luthier.report import numbers

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("memory", "training", "evaluation"):
        table.add_column(heading, justify="left" if heading == "memory" else "right")
    for name in (*training.__dataclass_fields__, "total"):
        table.add_row(name, numbers.size(getattr(training, name)), numbers.size(getattr(evaluation, name)))
    console.print(table)


def _lines(known: Estimated) -> list[str]:
    from luthier.app.cli.text import one_line
    from luthier.report import numbers

    cost, here = known.cost, known.machine
    assert cost is not None
    lines = []
    if known.fits is not None:
        holds = "it fits" if known.fits else "it does NOT fit"
        lines.append(f"{one_line(here.name)}: {numbers.size(here.memory_bytes)} to use, {holds}")
    lines.append(f"{numbers.number(cost.flop_per_token / 1e9)} GFLOP a token")
    if cost.seconds_per_1k_tokens is None:
        lines.append(f"no time: {here.source}")
    else:
        probed = f"corrected by a probe of {known.probed.day}" if known.probed else here.source
        lines.append(f"{numbers.duration(cost.seconds_per_1k_tokens)} for 1,000 tokens ({probed})")
    if known.steps is not None:
        whole = "" if known.seconds is None else f", {numbers.duration(known.seconds)}"
        price = "" if known.money is None else f", {known.money:,.2f} at that price"
        lines.append(f"the whole run: {numbers.count(known.steps, 'step')}{whole}{price}")
    return lines


def _at_most(largest: Largest) -> str:
    parts = [] if largest.row_tokens is None else [f"rows of {largest.row_tokens:,} tokens"]
    parts += [] if largest.size is None else [f"{largest.size_name} {largest.size:,}"]
    parts += [] if largest.model is None else [f"a model of the size of {largest.model}"]
    return f"at most would fit, all else as it is: {', or '.join(parts) or 'nothing of it'}"
