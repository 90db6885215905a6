"""What OpenAI's guide says of rows, as JSON and in the terminal."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from luthier.data.openai_guide import Guide, Spread


def guide_data(guide: Guide) -> dict[str, Any]:
    """Every count by name, with the problems' places."""
    problems = [
        {"check": problem.check, "file": problem.place.file, "line": problem.place.line, "message": problem.message}
        for problem in guide.problems
    ]
    return {**asdict(guide), "problems": problems, "billed_in_all": guide.billed_in_all}


def show_guide(guide: Guide, console: Console) -> None:
    """The guide's checks and counts, a line each."""
    from rich.text import Text

    from luthier.app.cli.text import visible
    from luthier.data.openai_guide import LIMIT

    console.print(Text(f"OpenAI's guide (tokens are estimated: {guide.counted_by})", "bold"))
    found = ", ".join(f"{name.replace('_', ' ')}: {many:,}" for name, many in guide.errors.items())
    console.print(f"[{' ' if found else 'x'}] format errors: {found or 'none'}", soft_wrap=True)
    for problem in guide.problems[:3]:
        line = Text(f"    {visible(str(problem.place))}: {visible(problem.message)} → {problem.remedy}")
        console.print(line, soft_wrap=True)
    console.print(
        f"    rows without a system message: {guide.missing_system:,}; without a user's: {guide.missing_user:,}"
    )
    for what, spread in (
        ("messages", guide.messages),
        ("tokens", guide.tokens),
        ("answer tokens", guide.answer_tokens),
    ):
        console.print(f"    {what} a row: {_said(spread)}", soft_wrap=True)
    console.print(f"    rows over {LIMIT:,} tokens, cut there: {guide.over_limit:,}")
    console.print(
        f"    suggested epochs: {guide.epochs}; billed tokens: {guide.billed_tokens:,} an epoch, "
        f"{guide.billed_in_all:,} in all",
        soft_wrap=True,
    )


def _said(spread: Spread) -> str:
    return (
        f"{spread.least:,} to {spread.largest:,}, mean {spread.mean:,}, median {spread.median:,}, "
        f"5% to 95%: {spread.low:,} to {spread.high:,}"
    )
