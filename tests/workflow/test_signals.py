"""Ctrl-C and SIGTERM on a real process: it saves, says how to go on, and going on gives the same run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from luthier.errors import Stopped
from luthier.flow import EvaluationLog, Progress, StepLog
from luthier.runs.run import Run
from luthier.workflow.train import Trained, train
from tests.workflow.conftest import worked

LONG = ["training_config.hyperparameters.epochs=15", "training_config.evaluation.eval_steps=100"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_the_run_goes_on_to_the_same_end(
    run_file: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    whole, _ = worked(train([str(run_file)], overrides=LONG, root=tmp_path, name="whole"))
    sets = [part for setting in LONG for part in ("--set", setting)]
    process = subprocess.Popen(
        [sys.executable, "-m", "luthier", "train", str(run_file), *sets, "--name", "cut"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    log = tmp_path / "runs" / "cut" / "log.jsonl"
    deadline = time.monotonic() + 120
    while not (log.is_file() and log.read_bytes().count(b"\n") >= 5):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    asked = time.time()
    process.send_signal(number)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == code, messages
    assert "luthier train --resume" in messages
    run = Run.open(tmp_path / "runs" / "cut")
    status = run.status()
    assert status.state == "stopped"
    assert 5 <= status.last_step < whole.steps
    assert run.checkpoint_steps()[-1] == status.last_step
    manifest = run.checkpoint(status.last_step).folder / "manifest.json"
    assert manifest.stat().st_mtime - asked < 5

    worked(train(resume=str(run.folder)))
    assert run.status().state == "done"
    adapter = "adapter_model.safetensors"
    assert (run.weights / adapter).read_bytes() == (whole.folder / "weights" / adapter).read_bytes()


def test_a_signal_inside_an_evaluation_and_a_crash_soon_after_leave_the_uninterrupted_log(
    run_file: Path, trained: Trained, tmp_path: Path
) -> None:
    whole = [entry.step for entry in Run.open(trained.folder).log()]
    worse = next(entry.step for entry in Run.open(trained.folder).evaluations() if not entry.best)
    settings = ["training_config.evaluation.save_steps=20"]  # so that no checkpoint follows that evaluation by itself
    verb = train([str(run_file)], overrides=settings, root=tmp_path, name="cut")
    for event in verb:
        if isinstance(event, StepLog):
            step = event.step
        if isinstance(event, Progress) and event.what == "validating" and step == worse:
            signal.raise_signal(signal.SIGINT)
            break
    with pytest.raises(Stopped):
        next(verb)
    run = Run.open(tmp_path / "cut")
    assert run.checkpoint_steps()[-1] == worse
    crashing = train(resume=str(run.folder))
    for event in crashing:
        if isinstance(event, StepLog):
            crashing.close()
            break
    worked(train(resume=str(run.folder)))
    assert [entry.step for entry in run.log()] == whole


def test_a_signal_while_the_result_is_written_lets_it_be_finished(
    run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Run.save_weights

    def asked_to_stop(run: Run, write: Any) -> None:
        signal.raise_signal(signal.SIGTERM)
        save(run, write)

    monkeypatch.setattr(Run, "save_weights", asked_to_stop)
    few = ["training_config.hyperparameters.max_steps=2"]
    made, _ = worked(train([str(run_file)], overrides=few, root=tmp_path))
    assert Run.open(made.folder).status().state == "done"
    Run.open(made.folder).require_weights()


@pytest.mark.parametrize(("limit", "steps"), [("max_minutes=1e-9", 1), ("max_steps=5", 5)])
def test_limits_end_with_an_evaluation_a_checkpoint_and_the_weights(
    limit: str, steps: int, run_file: Path, tmp_path: Path
) -> None:
    overrides = [f"training_config.hyperparameters.{limit}", "training_config.evaluation.eval_steps=100"]
    made, events = worked(train([str(run_file)], overrides=overrides, root=tmp_path))
    run = Run.open(made.folder)
    assert made.steps == steps
    assert [type(entry) for entry in run.log()] == [*[StepLog] * steps, EvaluationLog]
    assert run.checkpoint_steps()[-1] == run.evaluations()[-1].step == steps
    assert run.status().state == "done"
    run.require_weights()
    said = "\n".join(str(event) for event in events)
    assert ("stopped at step 1 of 27: max_minutes: 1e-09 are over" in said) == (steps == 1)


def test_a_run_that_goes_on_elsewhere_says_so(run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = ["training_config.hyperparameters.max_steps=1"]
    made, _ = worked(train([str(run_file)], overrides=few, root=tmp_path))
    _, events = worked(train(resume=str(made.folder)))
    assert "the run began elsewhere" not in str(events)
    monkeypatch.setattr("torch.get_num_threads", lambda: 64)
    _, events = worked(train(resume=str(made.folder)))
    assert "the run began elsewhere (threads 1 -> 64): from here on its numbers may differ" in str(events)
