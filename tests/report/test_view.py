"""A view holds what stands in the run's folder, and says what does not."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from luthier.data.account import Account, Tally
from luthier.report.page import render
from luthier.report.view import Setting, View, view
from luthier.runs import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path, "tickets-lora-1")


def test_a_finished_run_is_shown_as_it_was_written(run: Run, whole: View) -> None:
    assert whole.report is not None
    for step in whole.steps:
        run.append(step)
    for evaluation in whole.evaluations:
        run.append(evaluation)
    account = Account(
        {("a.jsonl", "billing"): Tally(5, 4, {"duplicate": 1}, 1, 0, 90, 12), ("a.jsonl", None): Tally(1, 1)}
    )
    run.write_rows({"version": 1, **account.to_data()})
    run.write_settings("", {"seed": {"value": 7, "source": "run.yaml:3", "reason": ""}})
    run.write_environment({"version": 1, "command": ["luthier"]})
    run.write_answers("evaluation", [{**asdict(pair), "added_later": 1} for pair in whole.pairs])
    run.write_report(whole.report)
    run.update(state="done", last_step=40, best_step=30)

    shown = view(run)

    assert (shown.run, shown.state, shown.best_step, shown.absent) == (str(run.folder), "done", 30, ())
    assert (shown.steps, shown.evaluations, shown.pairs) == (whole.steps, whole.evaluations, whole.pairs)
    assert shown.report == whole.report
    assert shown.settings == (Setting("seed", 7, "run.yaml:3"),)
    assert shown.rows is not None
    assert shown.rows.total == Tally(6, 5, {"duplicate": 1}, 1, 0, 90, 12)
    assert [name for name, _ in shown.rows.sources] == ["a.jsonl"]
    assert [name for name, _ in shown.rows.categories] == ["billing", None]
    assert "tickets-lora-1" in render(shown)


def test_of_a_step_logged_twice_the_later_line_counts(run: Run, whole: View) -> None:
    first = whole.steps[0]
    for step in (first, replace(first, train_loss=9.0)):
        run.append(step)
    assert [step.train_loss for step in view(run).steps] == [9.0]


def test_a_run_that_has_only_begun_says_what_is_absent_and_what_to_type(run: Run) -> None:
    shown = view(run)
    assert (shown.state, shown.steps, shown.report, shown.rows) == ("running", (), None, None)
    remedies = [mistake.remedy for mistake in shown.absent]
    assert f"luthier evaluate {run.folder}" in remedies
    page = render(shown)
    assert "The run was not evaluated yet." in page
    assert "No step stands in the log yet." in page


def test_a_broken_file_is_said_and_not_taken_for_an_absent_one(run: Run) -> None:
    (run.folder / "rows.json").write_bytes(b"{")
    assert any("rows.json" in mistake.where and "cannot be read" in mistake.message for mistake in view(run).absent)
