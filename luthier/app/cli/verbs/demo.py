"""`luthier demo`: the whole way once, on the packaged model and example data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.app.cli.job import Job, JsonOption, Outcome, StrictOption

if TYPE_CHECKING:
    from rich.console import Console

    from luthier.flow import Event
    from luthier.workflow.demo import Demo

ROOT = Path("runs")


def demo(strict: StrictOption = False, json: JsonOption = False) -> Job:
    """See the whole way once, on example data.

    Tunes the packaged model to find a message's order number and measures it before and after: about 4 minutes.

    \b
        luthier demo
    """

    def work(listen: Callable[[Event], None]) -> Outcome:
        from luthier.app.cli.evaluation import any_missed
        from luthier.flow import result_of
        from luthier.workflow.demo import demo

        done = result_of(demo(root=ROOT), listen)
        return Outcome(asdict(done), lambda console: _show(done, console), any_missed(done.evaluation, strict))

    return Job(work, json)


def _show(done: Demo, console: Console) -> None:
    from luthier.app.cli.evaluation import print_evaluation
    from luthier.app.cli.next_steps import next_steps
    from luthier.report.numbers import duration
    from luthier.runs import Run

    run = Run.find(done.run, ROOT)
    _print_answers(done.answers, console)
    print_evaluation(done.evaluation, console)
    console.print(f"{duration(done.seconds)} in all")
    next_steps(
        console,
        (["chat", str(run.folder)], "talk to it"),
        (["evaluate", str(run.folder)], "measure it again"),
        (["train", "rows.jsonl"], "tune on rows of your own"),
        page=str(run.page),
    )


def _print_answers(answers: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Each row's message and what was wanted, beside what both models said; what all prompts share is left out."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from luthier.app.cli.text import shortened
    from luthier.report.page import shared
    from luthier.report.view import Pair

    pairs = [Pair(**answer) for answer in answers]
    before, after = shared(pairs)
    cells = max(8, (console.width - 12) // 6)
    table = Table(box=box.SIMPLE_HEAD, title=f"{len(pairs)} answers before and after", title_justify="left")
    for heading in ("message", "wanted", "base", "tuned"):
        table.add_column(heading, no_wrap=True)
    for pair in pairs:
        message = pair.prompt.removeprefix(before).removesuffix(after)
        table.add_row(
            Text(shortened(message, console.width - 12 - 3 * cells)),
            Text(shortened(pair.wanted, cells)),
            Text(shortened(pair.base or "", cells), _colour(pair.base_right)),
            Text(shortened(pair.tuned or "", cells), _colour(pair.tuned_right)),
        )
    console.print(table)


def _colour(right: bool | None) -> str:
    return {True: "green", False: "red", None: ""}[right]
