"""`luthier evaluate RUN --judge URL`: another model compares the answers of the tuned model with base's."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path

from luthier.errors import mistake
from luthier.evaluation.model_judge import Judge, Judged, judge_rows
from luthier.flow import Event, Note
from luthier.runs.run import Run

MOST_ROWS = 100


def require(address: str | None, model: str | None) -> None:
    """Raises `UserError` where the address can be none, or comes without a model, before anything long begins."""
    if address and not model:
        raise mistake("the judge's name is missing", "--judge-model", f"--judge {address} --judge-model NAME")
    if address and model:
        Judge(address, model)


def judge_answers(
    run: str, address: str, model: str, most_rows: int = MOST_ROWS, root: Path = Path("runs")
) -> Generator[Event, None, Judged]:
    """Has the answers of the run's last evaluation judged, `most_rows` of them evenly spread; keeps each judgement in
    answers/judgements.jsonl and the summary in reports/judge.json."""
    found = Run.find(run, root)
    rows = found.read_answers("evaluation")
    if not rows:
        raise mistake("the evaluation has no answers to judge", str(found.folder), f"luthier evaluate {found.folder}")
    chosen = rows[:: -(-len(rows) // most_rows)]
    where = Judge(address, model)
    yield Note("rows", f"{len(chosen):,} of {len(rows):,} rows go to {address}, each in both orders")
    summary, lines = yield from judge_rows(where, chosen)
    path = found.write_answers("judgements", lines)
    found.write_other_report("judge", {"version": 1} | asdict(summary))
    yield Note("file", f"the judgements are in {path}")
    return summary
