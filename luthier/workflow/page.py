"""The offline page of a run, written anew from what stands in its folder."""

from __future__ import annotations

from collections.abc import Generator

from luthier.flow import Event, Note
from luthier.runs import Run


def write_page(run: Run) -> Generator[Event, None, None]:
    """The page of the run as it stands."""
    from luthier.report.page import render
    from luthier.report.view import view

    run.write_page(render(view(run)))
    yield Note("file", f"the report is {run.page}")
