"""`luthier demo`: the whole way on the packaged model and the example data, from rows to a model that answers."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from luthier.flow import Event, Note, Report
from luthier.runs.run import Run
from luthier.workflow.evaluate import evaluate
from luthier.workflow.train import Trained, train

SHOWN = 10


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo gives: its run, the evaluation, `answers` before and after, and the seconds it took."""

    run: str
    evaluation: Report
    seconds: float
    answers: tuple[Mapping[str, Any], ...]


def demo(*, root: Path = Path("runs")) -> Generator[Event, None, Demo]:
    """Trains the packaged model to find a message's order number, and evaluates it beside the untouched one."""
    started = time.perf_counter()
    with as_file(files("luthier.examples") / "support_desk") as example:
        yield Note("file", f"the example's rows and run file are in {example}")
        trained: Trained = yield from train([str(example / "run.yaml")], root=root)
        report = yield from evaluate(str(trained.folder), root=root)
    rows = Run.open(trained.folder).read_answers("evaluation")
    spread = rows[:: max(1, len(rows) // SHOWN)][:SHOWN]
    return Demo(trained.run, report, time.perf_counter() - started, tuple(spread))
