"""`luthier advise`: which method for these rows, or none, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from luthier.app.cli.job import Job, JsonOption, Outcome

if TYPE_CHECKING:
    from rich.console import Console

    from luthier.flow import Event
    from luthier.workflow.advise import Advised


def advise(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE...", help="Run files with settings.", show_default=False)
    ] = None,
    data: Annotated[str | None, typer.Option(metavar="F", help="The rows to train on.")] = None,
    model: Annotated[str | None, typer.Option(metavar="M", help="The model to tune.", show_default=False)] = None,
    compute_budget: Annotated[
        str | None, typer.Option(metavar="B", help="low (15 minutes), medium (2 hours) or high.", show_default=False)
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting that wins over the files.")
    ] = None,
    write: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also write a run file for `luthier train`.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Do not measure what prompting reaches.")] = False,
    device: Annotated[
        str, typer.Option(metavar="D", help="Where it would train: cpu, a GPU such as H100, or a size.")
    ] = "cpu",
    json: JsonOption = False,
) -> Job:
    """Choose a method for your rows, or see that a prompt does.

    The rows are checked, and the untouched model is asked some of them, without and with examples in the prompt. Every
    rule is in the documentation with its source.

    \b
        luthier advise --data rows.jsonl --write run.yaml
        luthier advise --data rows.jsonl --compute-budget low --quick
        luthier advise run.yaml --set "targets.accuracy=> 95%"
    """

    def work(listen: Callable[[Event], None]) -> Outcome:
        from luthier.flow import result_of
        from luthier.workflow.advise import advise, data_of_advice

        found = result_of(
            advise(
                files or (),
                data=data,
                model=model,
                compute_budget=compute_budget,
                overrides=overrides or (),
                write=write,
                quick=quick,
                device=device,
            ),
            listen,
        )
        return Outcome(data_of_advice(found), lambda console: _show(found, data, console))

    return Job(work, json)


def _show(found: Advised, data: str | None, console: Console) -> None:
    from rich.text import Text

    from luthier.app.cli.next_steps import next_steps
    from luthier.app.cli.text import one_line

    advice = found.advice
    console.print(Text(advice.tuning_method if found.fine_tune else "do not fine-tune now", "bold"))
    console.print(Text(one_line(advice.why)), soft_wrap=True)
    if advice.instead is not None:
        for line in advice.instead.do:
            console.print(Text(f"  → {one_line(line)}", "cyan"), soft_wrap=True)
        if advice.instead.prompt:
            _show_prompt(found, console)
    _show_rows(found, console)
    _show_settings(found, console)
    _show_lines("expect", found.expect, console)
    runner_up = (f"the runner-up is {advice.runner_up}",) if advice.runner_up else ()
    _show_lines("what would change this", (*runner_up, *advice.flips_when), console)
    _show_lines("also", found.notes, console)
    rows = data or "rows.jsonl"
    if found.written is not None:
        next_steps(console, (["train", str(found.written)], f"train it with {advice.tuning_method}"))
    elif advice.fine_tune:
        next_steps(console, (["advise", "--data", rows, "--write", "run.yaml"], "the same as a run file"))


def _show_prompt(found: Advised, console: Console) -> None:
    from rich.text import Text

    from luthier.app.cli.text import shortened

    for message in found.prompted.messages:
        text = shortened(message.content, max(20, console.width - 14))
        console.print(Text(f"  {message.role:>9}  ", "dim").append(text), soft_wrap=True)
    if found.prompted.messages:
        console.print(Text("  (whole in --json, under instead.messages)", "dim"), soft_wrap=True)


def _show_rows(found: Advised, console: Console) -> None:
    from rich.text import Text

    from luthier.report import numbers

    rows, known = found.rows, found.estimate
    labels = f", {rows.labels} labels" if rows.labels else ""
    lengths = f"{rows.mean_tokens:,.0f} tokens on average, {rows.longest_tokens:,} at most"
    line = f"\n{rows.train:,} rows to train on ({rows.dataset_size}), {rows.form}{labels}; {lengths}; "
    console.print(Text(f"{line}check says: {found.quality.verdict}"), soft_wrap=True)
    if known.cost is None:
        return
    share = 100 * (known.trainable_parameters or 0) / known.parameters
    time = "no time known" if known.seconds is None else f"about {numbers.duration(known.seconds)}"
    trained = f"{known.trainable_parameters:,} parameters are trained ({share:.3g}%)"
    peak = f"peak {numbers.size(known.cost.peak_bytes)}"
    steps = numbers.count(known.steps or 0, "step")
    console.print(Text(f"{trained}, {peak}, {steps}, {time} (estimated)"), soft_wrap=True)


def _show_settings(found: Advised, console: Console) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from luthier.report import numbers

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("setting", "value", "because", "source"):
        table.add_column(heading, overflow="fold")
    for one in found.settings:
        rate = one.path.endswith("learning_rate") and not isinstance(one.value, str)
        value = (
            numbers.rate(one.value) if rate else f"{one.value:g}" if isinstance(one.value, float) else str(one.value)
        )
        table.add_row(one.path.rpartition(".")[2], value, Text(one.reason), Text(one.source, "dim"))
    console.print(table)


def _show_lines(title: str, lines: tuple[str, ...], console: Console) -> None:
    from rich.text import Text

    from luthier.app.cli.text import one_line

    if lines:
        console.print(Text(title, "bold"))
    for line in lines:
        console.print(Text(f"  - {one_line(line)}"), soft_wrap=True)
