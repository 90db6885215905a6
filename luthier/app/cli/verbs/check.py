"""`luthier check`: what would be read, kept and trained on, before any training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import structs

from luthier.app.cli.job import Job, JsonOption, Outcome

if TYPE_CHECKING:
    from rich.console import Console

    from luthier.flow import Event
    from luthier.workflow.check import Checked


def check(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files of rows, or run files.")],
    mask: Annotated[int, typer.Option(metavar="N", min=0, help="Show N rows with the trained tokens marked.")] = 0,
    data: Annotated[str | None, typer.Option(metavar="F", help="The rows, where the run file names none.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting that wins over the files.")
    ] = None,
    write: Annotated[
        str | None, typer.Option(metavar="G", help="Write the rows that can be used into this file.")
    ] = None,
    format: Annotated[
        str | None, typer.Option(metavar="FORM", help="The form to write them in: chat, instruction, sharegpt, ...")
    ] = None,
    json: JsonOption = False,
) -> Job:
    """Look at rows or a run file; convert rows.

    Lists every problem with its line, and what would be read, kept and trained on. Exit code 1 where a row cannot be
    used. Writes nothing without --write; with it, the rows left out stand in a file beside G, each with its reason.

    \b
        luthier check rows.jsonl
        luthier check run.yaml --mask 3
        luthier check rows.jsonl --write chat.jsonl --format chat
    """

    def work(listen: Callable[[Event], None]) -> Outcome:
        from luthier.flow import result_of
        from luthier.workflow.check import check

        work = check(files, mask=mask, data=data, overrides=overrides or (), write=write, format=format)
        checked = result_of(work, listen)
        return Outcome(
            _data(checked), lambda console: _show(checked, files, console), missed=bool(checked.problems.errors)
        )

    return Job(work, json)


def _data(checked: Checked) -> dict[str, Any]:
    return {
        "read": checked.read,
        "kept": checked.kept,
        "dropped": checked.dropped,
        "problems": [
            {
                "check": problem.check,
                "severity": problem.severity,
                **{key: value for key, value in structs.asdict(problem.place).items() if value is not None},
                "message": problem.message,
                "remedy": problem.remedy,
            }
            for problem in checked.problems.listed
        ],
        "problems_not_listed": checked.problems.total - len(checked.problems.listed),
        "mask": [[{"text": text, "trained": trained} for text, trained in row.tokens] for row in checked.mask],
        "rows": checked.account.to_data(),
        "written": _written(checked),
    }


def _written(checked: Checked) -> dict[str, Any] | None:
    if (written := checked.written) is None:
        return None
    quarantine = str(written.quarantine) if written.quarantine else None
    return {"path": str(written.path), "format": written.form, "rows": written.rows, "quarantine": quarantine}


def _show(checked: Checked, files: list[str], console: Console) -> None:
    from rich.text import Text

    from luthier.app.cli.mask import show_masks
    from luthier.app.cli.next_steps import next_steps
    from luthier.app.cli.text import visible
    from luthier.data.check import SHOWN

    show_masks(checked.mask, console)
    for problem in checked.problems.listed[:SHOWN]:
        colour = "red" if problem.severity == "error" else "yellow"
        line = Text(f"{visible(str(problem.place))}: ", "bold").append(visible(problem.message), colour)
        console.print(line, soft_wrap=True)
        console.print(Text("  → ").append(visible(problem.remedy), "cyan"), soft_wrap=True)
    if checked.problems.total > SHOWN:
        more = (
            f"and {checked.problems.total - SHOWN:,} more: --json lists them, --write FILE puts their rows beside FILE"
        )
        console.print(Text(more, "yellow"), soft_wrap=True)
    console.print(_account(checked), soft_wrap=True)
    if not checked.problems.errors:
        files = [str(checked.written.path)] if checked.written else files
        next_steps(console, (["train", *files], "train on them"))


def _account(checked: Checked) -> str:
    from luthier.app.cli.text import one_line
    from luthier.report.numbers import count

    total = checked.account.total
    dropped = "".join(f" + {many:,} dropped ({one_line(reason)})" for reason, many in checked.dropped.items())
    parts = [f"{count(checked.read, 'row')} read = {checked.kept:,} kept{dropped}"]
    if total.tokens:
        parts.append(f"{total.validation:,} held back for validation, {total.cut:,} cut")
        parts.append(f"{total.trained_tokens:,} of {total.tokens:,} tokens are trained on")
    errors, warnings = checked.problems.errors, checked.problems.total - checked.problems.errors
    parts.append(f"{count(errors, 'error')}, {count(warnings, 'warning')}")
    return "; ".join(parts)
