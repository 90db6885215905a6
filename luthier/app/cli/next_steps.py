"""What to type next, at the end of a verb."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from luthier.app.cli.text import one_line

if TYPE_CHECKING:
    from rich.console import Console


def next_steps(console: Console, *steps: tuple[Sequence[str], str], page: str = "") -> None:
    """Commands to copy, each with what it is for; `page` is a file to open in a browser."""
    lines = [(shlex.join(["luthier", *words]), purpose) for words, purpose in steps]
    if page:
        lines.append((f"open {shlex.quote(page)}", "the whole run on one page, in a browser"))
    widest = max(len(command) for command, _ in lines)
    console.print()
    console.print(Text("Next", "bold"))
    for command, purpose in lines:
        line = Text("  ").append(one_line(command).ljust(widest), "cyan").append(f"  {purpose}", "dim")
        console.print(line, soft_wrap=True)
