"""`luthier compare`: methods on the same rows, or finished runs beside each other, tested row by row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from luthier.app.cli.job import Job, JsonOption, Outcome
from luthier.errors import mistake

if TYPE_CHECKING:
    from luthier.flow import Event


def compare(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE|RUN RUN...",
            help="Run files or a file of rows; or names or folders of finished runs.",
            show_default=False,
        ),
    ] = None,
    methods: Annotated[
        str | None, typer.Option(metavar="A,B", help="The methods to compare. Left out: all five.", show_default=False)
    ] = None,
    variants: Annotated[
        list[str] | None,
        typer.Option("--variant", metavar="KEY=VALUE", help="Settings to compare, for one line of the table; repeat."),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="0,1", help="A run of each method with each. Left out: 0.", show_default=False)
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(metavar="M", help="Minutes of optimizer steps a run.", show_default=False)
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(metavar="N", help="Trained tokens a run, instead of minutes.", show_default=False)
    ] = None,
    rates: Annotated[
        str | None,
        typer.Option(
            metavar="0.3,1,3",
            help="What each method's own learning rate is tried times. Left out: 1/3, 1 and 3. `1`: no search.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[str | None, typer.Option(metavar="F", help="The rows to train on.", show_default=False)] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of all, that wins over the files.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="N", help="The comparison's name: runs/N.", show_default=False)
    ] = None,
    json: JsonOption = False,
) -> Job:
    """Compare methods on the same rows, or finished runs.

    Of a FILE, every method is trained with every seed in the same budget, each at a learning rate of its own, and
    evaluated on the same rows. Stopped, it goes on when the same is typed again. Finished runs are compared as they
    are. Every pair is tested row by row; the table and the page say what each took and is good for.

    \b
        luthier compare rows.jsonl --minutes 5
        luthier compare run.yaml --methods lora,full --seeds 0,1,2 --tokens 200000
        luthier compare rows.jsonl --variant training_config.lora_config.r=4 --variant training_config.lora_config.r=64
        luthier compare runs/rows-lora-1 runs/rows-full-1
    """

    def work(listen: Callable[[Event], None]) -> Outcome:
        from luthier.app.cli.comparison import print_comparison
        from luthier.flow import result_of
        from luthier.workflow.comparison import comparison

        found = result_of(
            comparison(
                what or (),
                data=data,
                overrides=overrides or (),
                methods=_listed(methods),
                variants=variants or (),
                seeds=[int(one) for one in _numbers("--seeds", seeds, "0,1,2", whole=True)],
                minutes=minutes,
                tokens=tokens,
                rates=_numbers("--rates", rates, "0.3,1,3"),
                name=name,
            ),
            listen,
        )
        return Outcome(asdict(found), lambda console: print_comparison(found, console))

    return Job(work, json)


def _listed(text: str | None) -> list[str]:
    return [one.strip() for one in (text or "").split(",") if one.strip()]


def _numbers(option: str, text: str | None, example: str, whole: bool = False) -> list[float]:
    """Numbers with commas between them. Raises `UserError` for anything else."""
    try:
        return [int(one) if whole else float(one) for one in _listed(text)]
    except ValueError:
        raise mistake(f"{text!r} is no list of numbers", option, f"write {option} {example}") from None
