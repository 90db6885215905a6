"""`luthier generate`: a run's answers to the rows of a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from luthier.app.cli.job import Job, JsonOption, Outcome

if TYPE_CHECKING:
    from luthier.flow import Event


def generate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name or folder.")],
    data: Annotated[str, typer.Option(metavar="F", help="The rows to answer.")],
    out: Annotated[str, typer.Option(metavar="G", help="The file to write: one JSON line a row.")],
    max_tokens: Annotated[
        int, typer.Option(metavar="N", min=1, help="The most tokens of an answer; the model may stop before.")
    ] = 512,
    json: JsonOption = False,
) -> Job:
    """Answer every row of a file with a run.

    The likeliest token each time, so the same rows get the same answers. Stopped half-way, type the same
    again: it goes on, and no row is asked twice.

    \b
        luthier generate runs/rows-lora-1 --data questions.jsonl --out answers.jsonl
    """

    def work(listen: Callable[[Event], None]) -> Outcome:
        from luthier.app.cli.text import one_line
        from luthier.flow import result_of
        from luthier.report.numbers import count
        from luthier.workflow.generate import generate

        made = result_of(generate(run, data=data, out=out, max_tokens=max_tokens), listen)
        text = f"{count(made.rows, 'answer')} in {one_line(made.out)}"
        return Outcome(asdict(made), lambda console: console.print(text, soft_wrap=True))

    return Job(work, json)
