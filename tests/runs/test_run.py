"""The run's folder: names, status, log, reports, and what a reader finds after a crash."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from luthier.errors import Mistake, UserError
from luthier.flow import EvaluationLog, Measure, Report, StepLog, TargetResult
from luthier.runs import Run

STEP = StepLog(
    step=1,
    epoch=0.5,
    train_loss=2.25,
    learning_rate=1e-4,
    grad_norm=0.5,
    trained_tokens=12,
    row_tokens=40,
    computed_tokens=40,
    seconds=0.25,
    memory_bytes=1000,
)
EVALUATION = EvaluationLog(
    step=1,
    validation_loss=2.0,
    perplexity=7.389,
    token_accuracy=0.5,
    best=True,
    seconds=0.1,
    row_losses=[(4.0, 2), (6.0, 3)],
    train_losses=[(3.0, 2)],
)


def holds(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def only_mistake(error: pytest.ExceptionInfo[UserError]) -> Mistake:
    (found,) = error.value.mistakes
    return found


def test_a_new_run_says_that_it_is_running_here(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "runs", "first")
    content = json.loads((tmp_path / "runs" / "first" / "run.json").read_text())
    assert content | {"heartbeat": 0} == {
        "version": 1,
        "state": "running",
        "pid": os.getpid(),
        "heartbeat": 0,
        "last_step": 0,
        "best_step": None,
        "stopped_because": "",
    }
    assert run.name == "first"


def test_a_run_that_exists_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "first")
    run.update(state="done", last_step=7)
    before = (tmp_path / "first" / "run.json").read_bytes()
    with pytest.raises(UserError) as error:
        Run.create(tmp_path, "first")
    assert "exists" in only_mistake(error).message
    assert only_mistake(error).where == str(tmp_path / "first")
    assert "--name first-2" in only_mistake(error).remedy
    assert (tmp_path / "first" / "run.json").read_bytes() == before


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a\nb", "-x"])
def test_a_name_that_is_no_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot name a run"):
        Run.create(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_runs_are_numbered_above_those_there_are(tmp_path: Path) -> None:
    names = [Run.create_numbered(tmp_path, "tickets", "lora").name for _ in range(2)]
    (tmp_path / "tickets-lora-9").mkdir()
    names += [Run.create_numbered(tmp_path, stem, "lora").name for stem in ("tickets", "my rows [v2].", "…")]
    assert names == ["tickets-lora-1", "tickets-lora-2", "tickets-lora-10", "my-rows-v2-lora-1", "run-lora-1"]


def test_what_is_not_a_run_names_the_nearest(tmp_path: Path) -> None:
    for name in ("tickets-lora-1", "poems"):
        Run.create(tmp_path, name)
    with pytest.raises(UserError) as error:
        Run.open(tmp_path / "ticket-lora-1")
    assert only_mistake(error).remedy == f"did you mean: {tmp_path / 'tickets-lora-1'}"
    with pytest.raises(UserError) as error:
        Run.find("nothing", tmp_path / "empty")
    assert only_mistake(error).remedy == "luthier train FILE makes one"


def test_a_run_is_found_by_path_and_by_name(tmp_path: Path) -> None:
    Run.create(tmp_path, "first")
    assert Run.find("first", tmp_path).folder == tmp_path / "first"
    assert Run.find(str(tmp_path / "first"), tmp_path / "elsewhere").folder == tmp_path / "first"
    assert [run.name for run in Run.all(tmp_path)] == ["first"]


def test_a_broken_or_later_status_is_said(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "first")
    path = tmp_path / "first" / "run.json"
    for content, said in (
        ('{"version": 1', "cannot be read"),
        ('{"version": 2}', "version"),
        ('{"version":1}', "state"),
    ):
        path.write_text(content)
        with pytest.raises(UserError, match=said) as error:
            Run.open(run.folder)
        assert only_mistake(error).where == str(path)


def test_an_update_changes_what_is_given_and_nothing_else(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "first")
    before = run.status()
    run.update(last_step=3, best_step=2)
    run.update(state="stopped")
    after = run.status()
    assert after == replace(before, state="stopped", last_step=3, best_step=2, heartbeat=after.heartbeat)
    assert after.heartbeat > before.heartbeat


def test_the_log_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "first")
    assert run.log() == []
    run.append(STEP)
    run.append(EVALUATION)
    assert run.log() == [STEP, EVALUATION]
    assert (run.steps(), run.evaluations()) == ([STEP], [EVALUATION])
    first, second = (tmp_path / "first" / "log.jsonl").read_text().splitlines()
    assert (json.loads(first)["kind"], json.loads(second)["kind"]) == ("step", "evaluation")


def test_numbers_that_json_cannot_hold_come_back_as_nan(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "first")
    run.append(replace(STEP, train_loss=math.nan))
    run.append(replace(EVALUATION, perplexity=math.inf, row_losses=[(math.nan, 2)]))
    assert "NaN" not in (tmp_path / "first" / "log.jsonl").read_text()
    (step,), (evaluation,) = run.steps(), run.evaluations()
    assert math.isnan(step.train_loss)
    assert math.isnan(evaluation.perplexity)
    assert math.isnan(evaluation.row_losses[0][0])
    assert evaluation.row_losses[0][1] == 2


def test_half_a_last_line_is_left_out_and_cut_before_the_next(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "first")
    run.append(STEP)
    with (tmp_path / "first" / "log.jsonl").open("ab") as file:
        file.write(b'{"kind":"step","step":2,"tra')
    assert run.log() == [STEP]
    run.append(replace(STEP, step=2))
    assert [entry.step for entry in run.log()] == [1, 2]


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "first")
    run.append(STEP)
    with (tmp_path / "first" / "log.jsonl").open("ab") as file:
        file.write(b"broken\n")
    with pytest.raises(UserError) as error:
        run.log()
    assert only_mistake(error).where == f"{tmp_path / 'first' / 'log.jsonl'}:2"


def test_a_resumed_log_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "first")
    for number in (1, 2, 3):
        run.append(replace(STEP, step=number))
    run.append(replace(EVALUATION, step=3))
    run.truncate_log(2)
    assert [entry.step for entry in run.log()] == [1, 2]


def test_an_evaluation_that_the_checkpoint_does_not_know_leaves_the_log(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "first")
    for number in (1, 2):
        run.append(replace(STEP, step=number))
        run.append(replace(EVALUATION, step=number))
    run.truncate_log(2, 1)
    assert [(type(entry), entry.step) for entry in run.log()] == [(StepLog, 1), (EvaluationLog, 1), (StepLog, 2)]


def test_a_second_process_cannot_write_and_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "first")
    code = (
        "import sys, time; from pathlib import Path; from luthier.runs import Run\n"
        "run = Run.open(Path(sys.argv[1]))\n"
        "with run.lock():\n    run.update(); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(run.folder)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"process {other.pid} is writing"), run.lock():
            pass
        other.send_signal(signal.SIGKILL)
    with run.lock():
        pass


def test_settings_rows_and_environment_come_back(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "first")
    run.write_settings("model: é  # the default\n", {"model": {"value": "é", "source": "default"}})
    run.write_rows({"read": 3, "kept": 2, "dropped": {"empty_answer": 1}})
    run.write_environment({"version": 1})
    assert run.settings_path.read_text(encoding="utf-8") == "model: é  # the default\n"
    assert run.read_provenance() == {"model": {"value": "é", "source": "default"}}
    assert run.read_rows() == {"read": 3, "kept": 2, "dropped": {"empty_answer": 1}}
    assert run.read_environment() == {"version": 1}


def test_a_report_comes_back_with_its_types(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "first")
    with pytest.raises(UserError, match="not evaluated yet"):
        run.read_report()
    report = Report(
        run="first",
        data="test.jsonl",
        rows=10,
        metrics={"accuracy": Measure(0.9, 0.6, 0.98, 10)},
        base={"accuracy": Measure(None, reason="no rows")},
        targets=(TargetResult("accuracy", "> 90%", 0.9, 0.6, 0.98, 10, "missed"),),
        categories={"refund": {"accuracy": Measure(1.0, 0.5, 1.0, 4)}},
        seconds=1.5,
    )
    run.write_report(report)
    assert run.read_report() == report
    run.write_page("<p>é</p>")
    assert run.page.read_text(encoding="utf-8") == "<p>é</p>"


def test_answers_are_a_line_a_row_whatever_they_hold(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "first")
    rows = [{"answer": "two\nlines"}, {"answer": "a\u2028b"}]
    path = run.write_answers("tuned", rows)
    assert path == tmp_path / "first" / "answers" / "tuned.jsonl"
    assert path.read_bytes().count(b"\n") == 2
    assert run.read_answers("tuned") == rows
    with pytest.raises(UserError, match="no such answers"):
        run.read_answers("base")


def test_nothing_in_a_run_is_a_link_or_left_aside(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "first")
    run.append(STEP)
    run.save_checkpoint(1, {"state.bin": partial(holds, b"x")})
    for content in (b"y", b"z"):
        run.save_weights(lambda folder, content=content: holds(content, folder / "adapter.bin"))  # type: ignore[misc]
    found = {str(path.relative_to(run.folder)) for path in run.folder.rglob("*") if path.is_file()}
    assert found == {
        "run.json",
        "log.jsonl",
        "checkpoints/step-1/state.bin",
        "checkpoints/step-1/manifest.json",
        "weights/adapter.bin",
        "weights/manifest.json",
    }
    assert (run.weights / "adapter.bin").read_bytes() == b"z"
    assert not any(path.is_symlink() for path in run.folder.rglob("*"))
