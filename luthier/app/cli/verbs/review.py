"""`luthier review`: the blind page where people prefer one answer or the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from luthier.app.cli.job import Job, JsonOption, Outcome, StrictOption

if TYPE_CHECKING:
    from luthier.flow import Event


def review(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name or folder.")],
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUN|base",
            help="Another run, or the model before tuning: base. Again for more systems.",
            show_default="base",
        ),
    ] = None,
    data: Annotated[str | None, typer.Option(metavar="F", help="Other rows than the run's own test rows.")] = None,
    rows: Annotated[int, typer.Option(metavar="N", help="The most rows to ask about, evenly spread.")] = 100,
    raters: Annotated[
        int | None, typer.Option(metavar="N", help="How many people vote, each by a link.", show_default="1")
    ] = None,
    each_by: Annotated[int, typer.Option(metavar="K", help="How many of them each item goes to.")] = 1,
    checks: Annotated[
        int | None,
        typer.Option(metavar="N", help="Attention checks among the items.", show_default="one for every 20 rows"),
    ] = None,
    max_tokens: Annotated[int, typer.Option(metavar="N", help="The most tokens of an answer.")] = 512,
    new: Annotated[bool, typer.Option("--new", help="Begin another review; the votes there are stay.")] = False,
    scripted: Annotated[
        bool, typer.Option("--scripted", help="A script votes: its votes are called scripted everywhere.")
    ] = False,
    export: Annotated[
        str | None,
        typer.Option(
            metavar="F",
            help="Write the votes into a file and open no page. .csv: a line a vote; .json: all of it; "
            ".jsonl: preference rows that train.",
        ),
    ] = None,
    form: Annotated[str, typer.Option(metavar="FORM", help="The form of preference rows: trl or openai.")] = "trl",
    port: Annotated[
        int | None, typer.Option(metavar="N", help="The page's port.", show_default="8402, or a free one")
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="IP", help="Another address of this machine, for raters on its network.")
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    strict: StrictOption = False,
    json: JsonOption = False,
) -> Job:
    """Have people choose between a run's answers and others, blind.

    All models answer the same rows first. Each rater has a link of their own; every vote is on the disk before the
    next item comes. Ctrl-C, or the button on the owner's page, ends it and sums it up: votes.jsonl, the report, the
    verdict on human_eval. The same command goes on where it stopped.

    \b
        luthier review runs/rows-lora-1
        luthier review runs/rows-lora-1 --against runs/rows-full-1 --raters 3 --each-by 2
        luthier review runs/rows-lora-1 --against base --against runs/rows-full-1
        luthier review runs/rows-lora-1 --export preferences.jsonl
    """

    def work(listen: Callable[[Event], None]) -> Outcome:
        from luthier.app.cli.review import any_missed, print_review
        from luthier.app.reviewing import review
        from luthier.flow import result_of

        verb = review(
            run,
            against=against,
            data=data,
            rows=rows,
            raters=raters,
            each_by=each_by,
            checks=checks,
            max_tokens=max_tokens,
            new=new,
            scripted=scripted,
            export=export,
            form=form,
            port=port,
            host=host,
            browser=browser,
        )
        found = result_of(verb, listen)
        return Outcome(
            found.data(),
            lambda console: print_review(run, found, console),
            any_missed(found, strict),
            found.stopped_by,
        )

    return Job(work, json)
