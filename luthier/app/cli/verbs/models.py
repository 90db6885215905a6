"""`luthier models`: the models that need no path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from luthier.app.cli.job import Job, JsonOption, Outcome

if TYPE_CHECKING:
    from rich.console import Console

    from luthier.flow import Event
    from luthier.models import KnownModel


def models(json: JsonOption = False) -> Job:
    """List the models that need no path.

    Packaged ones, fetched or not, and those that are on this machine already.

    \b
        luthier models
    """

    def work(listen: Callable[[Event], None]) -> Outcome:
        from luthier.workflow.models import models

        del listen
        known = models()
        return Outcome({"models": [asdict(model) for model in known]}, lambda console: _show(known, console))

    return Job(work, json)


def _show(known: tuple[KnownModel, ...], console: Console) -> None:
    from rich import box
    from rich.table import Table

    from luthier.app.cli.text import one_line
    from luthier.report import numbers

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("model", "kind", "size", "where"):
        table.add_column(heading, justify="right" if heading == "size" else "left", overflow="fold")
    for model in known:
        where = "fetched on first use" if model.folder is None else str(model.folder)
        table.add_row(one_line(model.name), model.kind, numbers.size(model.bytes), one_line(where))
    console.print(table)
