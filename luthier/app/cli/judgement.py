"""What a model as judge made of the answers, as a terminal shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from luthier.app.cli.text import one_line
from luthier.flow import Measure
from luthier.report import numbers

if TYPE_CHECKING:
    from rich.console import Console

    from luthier.evaluation.model_judge import Judged


def print_judgement(judged: Judged, console: Console) -> None:
    """Wins, losses and the rest, how far the orders agree, and what went wrong."""
    console.print(
        Text(f"Judged by {one_line(judged.model)}, {numbers.count(judged.rows, 'row')}, in both orders", "bold")
    )
    counts = (
        (judged.wins, "tuned better"),
        (judged.losses, "base better"),
        (judged.ties, "tied"),
        (judged.disagreed, "named another in the other order"),
        (judged.unreadable, "unreadable"),
        *((many, f"failed: {reason}") for reason, many in judged.failed.items()),
    )
    console.print(Text("  " + ", ".join(f"{many:,} {one_line(what)}" for many, what in counts if many)))
    for what, measure in (
        ("tuned preferred where both orders name the same", judged.preferred),
        ("both orders say the same", judged.agreement),
        ("the answer that stands first is chosen (50% without bias)", judged.first_place),
    ):
        console.print(Text(f"  {what}: {_said(measure)}", "dim"))


def _said(measure: Measure) -> str:
    if measure.value is None:
        return measure.reason
    ends = numbers.interval(measure.value, measure.low, measure.high, share=True)
    return f"{numbers.percent(measure.value)} {ends}, n = {measure.n:,}"
