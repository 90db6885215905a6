"""`luthier compare RUN RUN...`: finished runs beside each other, tested row by row on the rows that all were asked."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from luthier.errors import Mistake, UserError, mistake
from luthier.evaluation.compare import Comparison, Method, apart
from luthier.evaluation.compare import compare as compare_rows
from luthier.evaluation.kept import Kept, from_lines
from luthier.flow import Event, Note, Report, result_of
from luthier.runs.run import Run
from luthier.workflow import run_file
from luthier.workflow.evaluate import KEPT
from luthier.workflow.loaded_model import find


def compare(names: Sequence[str], root: Path = Path("runs")) -> Generator[Event, None, Comparison]:
    """Compares runs that were evaluated on the same rows; keeps comparison.json and comparison.html in the reports of
    the first one. Raises `UserError` where a run was not evaluated, or two were on other rows."""
    runs = [Run.find(name, root) for name in names]
    if len({run.folder.resolve() for run in runs}) < 2:
        raise mistake("a comparison needs two runs or more", "RUN", "luthier compare runs/one runs/other")
    found = [evaluated_run(run) for run in runs]
    _check_same_rows(runs, [kept for _, kept in found])
    shown = [run.name for run in runs]
    if len(set(shown)) < len(shown):
        shown = [str(run.folder) for run in runs]
    methods = [method_of_run(name, run, report) for name, run, (report, _) in zip(shown, runs, found, strict=True)]
    first = found[0][0]
    comparison = yield from compare_rows(methods, [[kept] for _, kept in found], first.base, first.data)
    from luthier.report.best_for import with_best_for
    from luthier.report.comparison import render

    comparison = with_best_for(comparison)
    path, page = runs[0].write_comparison({"version": 1} | asdict(comparison), render(comparison))
    yield Note("file", f"the comparison is in {path}, its page is {page}")
    return comparison


def evaluated_run(run: Run) -> tuple[Report, Kept]:
    """The run's report, and what it did with each row. Raises `UserError` where it is not there."""
    report = run.read_report()
    try:
        lines = run.read_answers(KEPT)
    except UserError:
        message = "the run was evaluated by an earlier version, which did not keep what comparing needs"
        raise mistake(message, str(run.folder), f"luthier evaluate {run.folder}") from None
    return report, from_lines(lines)


def _check_same_rows(runs: Sequence[Run], kept: Sequence[Kept]) -> None:
    mistakes = [
        Mistake(
            f"{runs[0].folder} and {run.folder} were not evaluated on the same rows: {why}",
            str(run.folder),
            f"evaluate both on one file: luthier evaluate {runs[0].folder} --data F, and luthier evaluate {run.folder} "
            "--data F",
        )
        for run, one in zip(runs[1:], kept[1:], strict=True)
        if (why := apart(kept[0], one))
    ]
    if mistakes:
        raise UserError(mistakes)


def method_of_run(name: str, run: Run, report: Report) -> Method:
    """What a run took and reached."""
    settings = run_file.read([str(run.settings_path)]).settings
    rate = settings.training_config.hyperparameters.learning_rate
    steps = {entry.step: entry for entry in run.steps()}
    seconds = sum(step.seconds for step in steps.values()) + sum(entry.seconds for entry in run.evaluations())
    return Method(
        name,
        settings.tuning_method,
        _trainable_share(run, settings.model, settings.tuning_method),
        max((step.memory_bytes for step in steps.values()), default=None),
        seconds,
        report.metrics,
        report.targets,
        (str(run.folder),),
        None if rate == "auto" else rate,
        max(steps, default=None),
        sum(step.trained_tokens for step in steps.values() if not step.skipped),
    )


def _trainable_share(run: Run, model: str, method: str) -> float | None:
    """The numbers in the tuned weights over those of the model before tuning."""
    if run_file.method(method).TRAINS_THE_BASE:
        return 1.0
    with suppress(UserError):
        whole = result_of(find(model)).parameters
        return sum(_numbers(path) for path in run.weights.glob("*.safetensors")) / whole
    return None


def _numbers(path: Path) -> int:
    """How many numbers a safetensors file holds, by its header."""
    with path.open("rb") as file:
        header: dict[str, Any] = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    total = 0
    for name, tensor in header.items():
        if name != "__metadata__":
            size = 1
            for side in tensor["shape"]:
                size *= side
            total += size
    return total
