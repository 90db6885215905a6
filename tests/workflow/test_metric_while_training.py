"""The best checkpoint by a metric of generated answers: measured as evaluation does, resumed, refused where it must."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from luthier.errors import UserError
from luthier.flow import EvaluationLog, Note, StepLog
from luthier.runs.run import Run
from luthier.workflow import answering
from luthier.workflow.evaluate import evaluate
from luthier.workflow.train import train
from tests.workflow.conftest import worked

HYPER = "training_config.hyperparameters"
BY_ACCURACY = [
    "training_config.evaluation.metric=accuracy",
    *("data.test=null", "data.validation=0.25", "tuning_method=full", "training_config.evaluation.eval_steps=6"),
    *(f"{HYPER}.learning_rate=0.01", f"{HYPER}.epochs=6"),
]


@pytest.fixture(scope="module")
def by_accuracy(run_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[Any]]:
    """The whole 2-layer model tuned in 48 steps, 10 of its 40 rows held back, evaluated every 6 steps by accuracy."""
    made, events = worked(train([str(run_file)], overrides=BY_ACCURACY, root=tmp_path_factory.mktemp("runs")))
    return Run.open(made.folder), events


def test_the_best_checkpoint_is_the_first_of_the_highest_accuracy(by_accuracy: tuple[Run, list[Any]]) -> None:
    run, events = by_accuracy
    evaluations = run.evaluations()
    shares = [entry.measured["accuracy"] for entry in evaluations]
    assert max(shares) > shares[0]
    assert run.status().best_step == evaluations[shares.index(max(shares))].step
    so_far = [max(shares[:at], default=-1.0) for at in range(len(shares))]
    assert [entry.best for entry in evaluations] == [now > before for now, before in zip(shares, so_far, strict=True)]
    assert [entry for entry in events if isinstance(entry, EvaluationLog)] == evaluations
    said = [event.text for event in events if isinstance(event, Note)]
    assert any("goes by accuracy: at each evaluation 10 validation rows answered greedily" in text for text in said)


def test_evaluation_finds_the_accuracy_that_chose_the_checkpoint(by_accuracy: tuple[Run, list[Any]]) -> None:
    run, _ = by_accuracy
    report, _ = worked(evaluate(str(run.folder)))
    best = max(entry.measured["accuracy"] for entry in run.evaluations())
    assert report.metrics["accuracy"].value == pytest.approx(best)


def test_a_run_by_accuracy_that_goes_on_ends_like_the_uninterrupted_one(
    by_accuracy: tuple[Run, list[Any]], run_file: Path, tmp_path: Path
) -> None:
    whole, _ = by_accuracy
    verb = train([str(run_file)], overrides=BY_ACCURACY, root=tmp_path, name="broken")
    for event in verb:
        if isinstance(event, StepLog) and event.step == 27:
            verb.close()
            break
    worked(train(resume=str(tmp_path / "broken")))
    run = Run.open(tmp_path / "broken")
    ours, theirs = run.evaluations(), whole.evaluations()
    assert [(one.step, one.measured, one.best, one.row_losses) for one in ours] == [
        (one.step, one.measured, one.best, one.row_losses) for one in theirs
    ]
    weights = "model.safetensors"
    assert (run.weights / weights).read_bytes() == (whole.weights / weights).read_bytes()


def test_answering_changes_no_step(by_accuracy: tuple[Run, list[Any]], run_file: Path, tmp_path: Path) -> None:
    by_loss, _ = worked(train([str(run_file)], overrides=BY_ACCURACY[1:], root=tmp_path))
    ours, theirs = by_accuracy[0].steps(), Run.open(by_loss.folder).steps()
    assert [(one.train_loss, one.grad_norm) for one in ours] == [(one.train_loss, one.grad_norm) for one in theirs]


def test_early_stopping_goes_by_the_accuracy(run_file: Path, tmp_path: Path) -> None:
    overrides = [*BY_ACCURACY, f"{HYPER}.early_stopping=2", f"{HYPER}.learning_rate=1e-9"]
    made, events = worked(train([str(run_file)], overrides=overrides, root=tmp_path))
    assert made.steps == 18  # evaluations at steps 6, 12 and 18: the two after the first are no better
    assert any("2 evaluations without a better accuracy" in event.text for event in events if isinstance(event, Note))


def test_of_many_validation_rows_some_are_answered_and_that_is_said(
    run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "ANSWERED", 4)
    overrides = [*BY_ACCURACY, f"{HYPER}.max_steps=2"]
    run, events = worked(train([str(run_file)], overrides=overrides, root=tmp_path))
    said = [event.text for event in events if isinstance(event, Note)]
    assert any("4 validation rows of 10, evenly spread" in text for text in said)
    assert {entry.measured["accuracy"] for entry in Run.open(run.folder).evaluations()} <= {0, 0.25, 0.5, 0.75, 1}


def test_where_answers_say_nothing_the_run_is_refused_before_it_begins(run_file: Path, tmp_path: Path) -> None:
    def refused(*overrides: str, files: Callable[[], list[str]] = lambda: [str(run_file)]) -> str:
        with pytest.raises(UserError) as error:
            worked(train(files(), overrides=[BY_ACCURACY[0], *overrides], root=tmp_path / "runs"))
        assert not (tmp_path / "runs").exists()
        return str(error.value)

    words = " ".join(["the parcel is on its way to you and comes soon"] * 6)
    rows = [json.dumps({"instruction": f"Where is parcel {at}?", "response": f"{words} {at}"}) for at in range(20)]
    (tmp_path / "long.jsonl").write_text("\n".join(rows), encoding="utf-8")
    text = refused(f"data.train={tmp_path / 'long.jsonl'}", "data.test=null")
    assert "accuracy cannot choose the best checkpoint of these rows: long free answers (median" in text
    assert "write `metric: loss` or `metric: token_accuracy`" in text
    assert "there are none" in refused("data.validation=0")
    assert "`data.train_on: answers`" in refused("data.train_on=everything")
    text = refused("training_config.evaluation.metric=length_ratio")
    assert "`training_config.evaluation.metric: length_ratio` is not a known name" in text
    text = refused("training_config.evaluation.metric=numeric_match")
    assert "wanted answers are a number, which is under half" in text
