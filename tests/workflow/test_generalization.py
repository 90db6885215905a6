"""An evaluation beside its rows: what was forgotten, what harmless changes do, how near training the rows are."""

from __future__ import annotations

from pathlib import Path

import pytest

from luthier.data import augment
from luthier.data.sides import sides
from luthier.errors import UserError
from luthier.flow import Report, result_of
from luthier.runs.run import Run
from luthier.workflow import run_file
from luthier.workflow.evaluate import evaluate
from luthier.workflow.train import Trained, train
from tests.workflow.conftest import worked


@pytest.fixture(scope="module")
def report(trained: Trained) -> Report:
    return worked(evaluate(str(trained.folder)))[0]


def test_forgetting_is_measured_by_default_and_its_passages_are_kept(trained: Trained, report: Report) -> None:
    rise = report.metrics["forgetting"]
    assert rise == report.forgetting["all"]["rise"]
    assert len(report.forgetting) == 13
    assert rise.value is not None
    assert rise.low is not None
    assert rise.value != 0
    assert (report.forgetting["all"]["agreement"].value or 0) < 1
    run = Run.open(trained.folder)
    lines = run.read_answers("general")
    assert len(lines) == rise.n
    tokens = sum(line["tokens"] for line in lines)
    assert sum(line["tuned_loss"] - line["base_loss"] for line in lines) / tokens == pytest.approx(rise.value)
    assert run.read_report() == report


def test_the_changes_are_paired_with_the_answers_as_they_were(trained: Trained, report: Report) -> None:
    lines = Run.open(trained.folder).read_answers("changes")
    assert set(report.changes) == {line["change"] for line in lines} <= set(augment.names())
    assert "case" in report.changes
    answers = {line["line"]: line for line in Run.open(trained.folder).read_answers("evaluation")}
    for line in lines:
        assert line["before"] == answers[line["line"]]["tuned"]
        assert line["before_right"] == answers[line["line"]]["tuned_right"]
        assert line["wanted"] == answers[line["line"]]["wanted"]
        assert line["prompt"] != answers[line["line"]]["prompt"]
    for name, measures in report.changes.items():
        own = [line for line in lines if line["change"] == name]
        after, before = (sum(line[side] for line in own) / len(own) for side in ("after_right", "before_right"))
        assert measures["difference"].value == pytest.approx(after - before)


def test_gaps_and_distances_are_of_the_run_and_its_rows(trained: Trained, report: Report) -> None:
    assert {"training", "validation", "test", "validation_minus_training", "test_minus_training"} == set(report.gaps)
    assert report.gaps["test"].value == pytest.approx(report.metrics["loss"].value)
    assert report.gaps["test"].n == report.rows
    best = [entry for entry in Run.open(trained.folder).evaluations() if entry.best][-1]
    assert report.gaps["validation"].value == pytest.approx(best.validation_loss)
    assert sum(measure.n for measure in report.distances.values()) == report.rows
    right = sum((measure.value or 0) * measure.n for measure in report.distances.values())
    assert right == pytest.approx((report.metrics["accuracy"].value or 0) * report.rows)


def test_a_target_for_forgetting_has_a_verdict(run_file: Path, tmp_path: Path) -> None:
    overrides = ['targets.forgetting="< 0.1"', "training_config.hyperparameters.max_steps=2"]
    run, _ = worked(train([str(run_file)], overrides=overrides, root=tmp_path))
    found, _ = worked(evaluate(str(run.folder)))
    verdict = next(target for target in found.targets if target.metric == "forgetting")
    rise = found.metrics["forgetting"]
    assert (verdict.value, verdict.low, verdict.high, verdict.n) == (rise.value, rise.low, rise.high, rise.n)
    assert rise.high is not None
    assert rise.value is not None
    expected = "met" if rise.high < 0.1 else "likely" if rise.value < 0.1 else "missed"
    assert verdict.verdict == expected


def test_the_words_of_training_rows_are_those_that_are_not_held_back(run_file: Path) -> None:
    found = result_of(sides([(run_file.parent / "rows.jsonl", 1.0)], "auto", {}, None, 0.1, 0))
    assert sum(len(counts) for _, counts in found.words) == len(found.prompts) == 36
    assert sum(len(words) for words, _ in found.words) == 36 * 9  # what colour has the sky, for the 3. time


def test_a_target_names_a_metric_or_a_function_and_nothing_else() -> None:
    assert run_file.read(["rows.jsonl"], None, ['targets.module:score="> 0.5"']).settings.targets["module:score"]
    with pytest.raises(UserError, match="write `forgetting`"):
        run_file.read(["rows.jsonl"], None, ['targets.forgeting="< 0.1"'])
