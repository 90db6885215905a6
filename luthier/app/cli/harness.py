"""What lm-eval found, as a terminal shows it: each task's metrics, base beside tuned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from luthier.app.cli.text import one_line
from luthier.report import numbers

if TYPE_CHECKING:
    from rich.console import Console

    from luthier.workflow.harness import Harness


def print_harness(found: Harness, console: Console) -> None:
    """The table, and whether the tuned weights were in use."""
    table = Table(box=box.SIMPLE_HEAD, title=f"lm-eval {found.version}, with its standard errors", title_justify="left")
    for heading in ("task", "metric", "base", "tuned"):
        table.add_column(heading)
    for task, metrics in found.tuned.items():
        for name, value in metrics.items():
            if "_stderr" in name or name in ("sample_len", "sample_count"):
                continue
            pair = []
            for side in (found.base[task], metrics):
                error = side.get(f"{name}_stderr")
                pair.append(numbers.number(side.get(name, value)) + (f" ± {numbers.number(error)}" if error else ""))
            table.add_row(Text(one_line(task)), Text(one_line(name)), *pair)
    console.print(table)
    console.print(
        Text(f"the two models' logits differ by up to {numbers.number(found.largest_logit_difference)}", "dim")
    )
    if found.cut:
        console.print(Text(f"{numbers.count(found.cut, 'text')} cut at the beginning to fit the context", "yellow"))
