"""`luthier check`: what would be read, kept and trained on, before any training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from msgspec import structs

from luthier.app.cli.checklist import criteria_data, show_checklist
from luthier.app.cli.job import Job, JsonOption, Outcome
from luthier.app.cli.openai_guide import guide_data, show_guide

if TYPE_CHECKING:
    from rich.console import Console

    from luthier.flow import Event, Problem
    from luthier.workflow.check import Checked

OF_A_CHECK: Final = 3
"""Problems of each check that the terminal shows."""


def check(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files of rows, or run files.")],
    mask: Annotated[int, typer.Option(metavar="N", min=0, help="Show N rows with the trained tokens marked.")] = 0,
    data: Annotated[str | None, typer.Option(metavar="F", help="The rows, where the run file names none.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting that wins over the files.")
    ] = None,
    write: Annotated[str | None, typer.Option(metavar="G", help="Write the rows that are good into this file.")] = None,
    format: Annotated[
        str | None, typer.Option(metavar="FORM", help="The form to write them in: chat, instruction, sharegpt, ...")
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A check to leave out, with what it would mend.")
    ] = None,
    held_out: Annotated[
        list[str] | None, typer.Option(metavar="F", help="Validation or test rows, which must not leak.")
    ] = None,
    benchmark: Annotated[
        list[str] | None, typer.Option(metavar="F", help="A benchmark, of which no 13 words may stand in the rows.")
    ] = None,
    redact: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Write <EMAIL_1> for personal_data, secrets, a kind of them, or all."),
    ] = None,
    classifier: Annotated[
        list[str] | None, typer.Option(metavar="M:F", help="A function of yours that says what is harmful.")
    ] = None,
    page: Annotated[
        str | None, typer.Option(metavar="H", help="Write a page into H.html: plots, each problem with its row.")
    ] = None,
    openai: Annotated[bool, typer.Option("--openai", help="Check and count as OpenAI's guide does, too.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Let models read the rows; look for names, too.")] = False,
    model: Annotated[str | None, typer.Option(metavar="M", help="The model that --deep judges answers by.")] = None,
    json: JsonOption = False,
) -> Job:
    """Look at rows or a run file; clean and convert rows.

    Lists every problem with its line, how the rows do by the six criteria, and what would be read, kept and trained
    on. Exit code 1 where a row cannot be used or nobody should train on it. Writes nothing without --write; with it,
    rows are mended by named rules, and those left out stand in a file beside G, each with its reason.

    \b
        luthier check rows.jsonl
        luthier check run.yaml --mask 3
        luthier check rows.jsonl --held-out test.jsonl --write clean.jsonl --skip refusals
        luthier check rows.jsonl --write chat.jsonl --format chat
        luthier check rows.jsonl --page check.html
        luthier check rows.jsonl --deep
        luthier check rows.jsonl --write clean.jsonl --redact personal_data
    """

    def work(listen: Callable[[Event], None]) -> Outcome:
        from luthier.flow import result_of
        from luthier.workflow.check import check

        work = check(
            files,
            mask=mask,
            data=data,
            overrides=overrides or (),
            write=write,
            format=format,
            skip=skip or (),
            held_out=held_out or (),
            benchmark=benchmark or (),
            redact=redact or (),
            classifier=classifier or (),
            page=page,
            openai=openai,
            deep=deep,
            model=model,
        )
        checked = result_of(work, listen)
        return Outcome(
            _data(checked),
            lambda console: _show(checked, files, console),
            missed=bool(checked.problems.errors or (checked.openai and checked.openai.errors)),
            stopped_by=checked.stopped_by,
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
        "page": str(checked.page) if checked.page else None,
        "openai": guide_data(checked.openai) if checked.openai else None,
        **(criteria_data(checked.quality) if checked.quality else {}),
    }


def _written(checked: Checked) -> dict[str, Any] | None:
    if (written := checked.written) is None:
        return None
    beside = {"quarantine": written.quarantine, "repaired": written.repaired}
    paths = {name: str(path) if path else None for name, path in beside.items()}
    counted = {"redacted": dict(written.redacted)} if written.redacted else {}
    return {"path": str(written.path), "format": written.form, "rows": written.rows, **paths, **counted}


def _show(checked: Checked, files: list[str], console: Console) -> None:
    from rich.text import Text

    from luthier.app.cli.mask import show_masks
    from luthier.app.cli.next_steps import next_steps
    from luthier.app.cli.text import visible

    show_masks(checked.mask, console)
    chosen = _chosen(checked)
    for problem in chosen:
        colour = "red" if problem.severity == "error" else "yellow"
        line = Text(f"{visible(str(problem.place))}: ", "bold").append(visible(problem.message), colour)
        console.print(line, soft_wrap=True)
        console.print(Text("  → ").append(visible(problem.remedy), "cyan"), soft_wrap=True)
    if left := checked.problems.total - len(chosen):
        more = f"and {left:,} more: --json lists them, --write FILE puts their rows beside FILE"
        console.print(Text(more, "yellow"), soft_wrap=True)
    if checked.quality is not None:
        show_checklist(checked.quality, console)
    if checked.openai is not None:
        show_guide(checked.openai, console)
    console.print(_account(checked), soft_wrap=True)
    if checked.quality is not None and checked.page is None and checked.problems.total:
        next_steps(console, (["check", *files, "--page", "check.html"], "see each problem in its row"))
    if not checked.problems.errors:
        files = [str(checked.written.path)] if checked.written else files
        next_steps(console, (["train", *files], "train on them"))


def _chosen(checked: Checked) -> list[Problem]:
    """The first problems of rows that cannot be used, and the first few that each check found."""
    from luthier.data.check import SHOWN

    of_checks = {result.check.name for result in checked.quality.results} if checked.quality else set()
    found: Counter[str] = Counter()
    chosen = []
    for problem in checked.problems.listed:
        group = problem.check if problem.check in of_checks else ""
        found[group] += 1
        if found[group] <= (OF_A_CHECK if group else SHOWN):
            chosen.append(problem)
    return chosen


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
