"""A comparison of runs as a terminal shows it: what each took and reached, the pairs, and which is best."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from luthier.app.cli.text import one_line
from luthier.report import numbers
from luthier.report.comparison import circumstances, kind, said, shown_metrics, title

if TYPE_CHECKING:
    from rich.console import Console

    from luthier.evaluation.compare import Comparison


def print_comparison(found: Comparison, console: Console) -> None:
    """The table, a line for each pair by the metric that decides, and the conclusion."""
    table = Table(box=box.SIMPLE_HEAD, title=one_line(title(found)), title_justify="left")
    of_runs = kind(found) == "run"
    longest = max(len(method.run) for method in found.methods)
    table.add_column(kind(found), overflow="fold", min_width=min(longest, 16))
    for heading in (*(("method",) if of_runs else ()), "trained", "peak memory", "time"):
        table.add_column(heading)
    names = shown_metrics(found)
    for name in names:
        table.add_column(name.replace("_", " "))
    for method in found.methods:
        share = method.trainable_share
        table.add_row(
            Text(one_line(method.run), "bold" if method.run == found.best else ""),
            *((method.tuning_method,) if of_runs else ()),
            numbers.DASH if share is None else f"{share:.3%}",
            numbers.size(method.peak_memory_bytes),
            numbers.duration(method.seconds),
            *(Text(said(name, method.metrics[name], "\n")) for name in names),
        )
    console.print(table)
    for method in found.methods:
        if method.best_for:
            console.print(Text(f"{one_line(method.run)}: {method.best_for}"))
    for text in circumstances(found):
        console.print(Text(one_line(text), "dim"))
    for pair in found.pairs:
        if pair.metric == found.decided_by:
            chance = "no test" if pair.corrected is None else f"p = {pair.corrected:.2g}"
            words = f"{one_line(pair.one)} minus {one_line(pair.other)}, {pair.metric.replace('_', ' ')}: "
            console.print(Text(f"{words}{said(pair.metric, pair.difference, ' ', signed=True)}, {chance}", "dim"))
    console.print(Text(f"p: {found.correction}", "dim"))
    console.print(Text(one_line(found.why), "green" if found.best else "yellow"))
