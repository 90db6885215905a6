"""`luthier export`: a run in a form that other tools load, proven to answer as the run does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from luthier.app.cli.job import Job, JsonOption, Outcome

if TYPE_CHECKING:
    from rich.console import Console

    from luthier.export.parity import Comparison
    from luthier.flow import Event
    from luthier.workflow.export import Exported


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name or folder.")],
    format: Annotated[str, typer.Option(metavar="FORMAT", help="adapter (PEFT's files) or merged (a model folder).")],
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where to: runs/NAME/exports/FORMAT where left out.")
    ] = None,
    json: JsonOption = False,
) -> Job:
    """Take a run's model to other tools, proven to answer the same.

    Loads what was written with transformers or PEFT and compares it with the run: logits, distributions, greedy tokens.
    Exit code 1 where a limit is missed; the export then has -unverified in its name.

    \b
        luthier export runs/rows-lora-1 --format adapter
        luthier export runs/rows-lora-1 --format merged --out my-model
    """

    def work(listen: Callable[[Event], None]) -> Outcome:
        from luthier.flow import result_of
        from luthier.workflow.export import export

        made = result_of(export(run, format=format, out=out), listen)
        return Outcome(asdict(made), lambda console: _show(made, console), missed=not made.verified)

    return Job(work, json)


def _show(made: Exported, console: Console) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from luthier.app.cli.text import one_line
    from luthier.report import numbers

    parity = made.parity
    title = f"{numbers.count(parity.rows, 'row')} of {one_line(parity.rows_from)}; weights in {parity.precision}"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("")
    columns = [parity.in_float32] if parity.as_used == parity.in_float32 else [parity.in_float32, parity.as_used]
    for one in columns:
        table.add_column(f"in {one.precision}", justify="right")
        table.add_column("limit", justify="right")
    for name, cells in (
        ("largest logit gap", [(f"{one.largest_logit_gap:.2g}", "") for one in columns]),
        (
            "  over the largest logit",
            [(f"{one.relative_logit_gap:.2g}", f"{one.limits.relative_logit_gap:g}") for one in columns],
        ),
        ("mean KL, nats", [(f"{one.mean_kl:.2g}", f"{one.limits.mean_kl:g}") for one in columns]),
        ("equal greedy tokens", [_share(one) for one in columns]),
    ):
        table.add_row(name, *(cell for pair in cells for cell in pair))
    console.print(table)
    for difference in parity.differences:
        console.print(Text(difference, "red"), soft_wrap=True)
    mark = Text("verified", "green") if made.verified else Text("NOT verified", "red")
    console.print(Text(f"{made.format} export in {one_line(made.path)}: ").append(mark), soft_wrap=True)


def _share(one: Comparison) -> tuple[str, str]:
    from luthier.report import numbers

    share = one.equal_greedy_tokens
    interval = numbers.interval(share.value, share.low, share.high, share=True)
    return f"{numbers.percent(share.value)} {interval} of {share.n:,}", numbers.percent(one.limits.equal_greedy_tokens)
