"""Rows in the terminal with their trained tokens marked, and under each the text that inference sends for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from luthier.flow import Marked


def show_masks(rows: Sequence[Marked], console: Console) -> None:
    """Each row under a line with its place, what inference sends for it under another."""
    from luthier.app.cli.text import one_line

    coloured = console.color_system is not None and not console.no_color
    for number, row in enumerate(rows, 1):
        legend = ": what is marked is trained on" if number == 1 else ""
        side = f", {row.side}" if row.side else ""
        console.rule(f"row {number}, {one_line(str(row.place))}{side}{legend}", align="left")
        console.print(marked(row, coloured))
        if row.sent:
            console.rule(f"row {number}: inference sends this for its last answer", align="left", style="dim")
            console.print(_lines(row.sent), style="dim" if coloured else None)


def marked(row: Marked, coloured: bool) -> Text:
    """A row with its trained text reversed, or between ⟦ and ⟧ where there is no colour, and the model's own marks in
    bold; each newline is a ⏎ too."""
    from itertools import groupby

    from rich.text import Text

    from luthier.report.mask import stretches

    line = Text()
    for trained, parts in groupby(stretches(row), key=lambda part: part.trained):
        if trained and not coloured:
            line.append("⟦")
        for part in parts:
            style = "bold " * part.mark + ("reverse green" if trained else "cyan" * part.mark)
            line.append(_lines(part.text), style if coloured else "")
        if trained and not coloured:
            line.append("⟧")
    return line


def _lines(text: str) -> str:
    from luthier.app.cli.text import NEWLINE, visible

    return visible(text).replace("\n", f"{NEWLINE}\n")
