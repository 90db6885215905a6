"""Consoles that print text as it is, with colour as the terminal and NO_COLOR say."""

from __future__ import annotations

import os
from typing import IO, Final

from rich.console import Console

_PLAIN_WIDTH: Final = 100


class _Screen(Console):
    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - rich calls this while it handles the error, and would end the process itself


def screen(stream: IO[str]) -> Console:
    """A console without markup, highlighting and emoji codes: text from data is never a command to it.

    Where the stream is no terminal and COLUMNS says nothing, lines have 100 cells.
    """
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PLAIN_WIDTH
    return _Screen(file=stream, markup=False, highlight=False, emoji=False, width=width)
