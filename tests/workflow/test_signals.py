"""Ctrl-C and SIGTERM on a real process: it saves, says how to go on, and going on gives the same run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from luthier.errors import Stopped
from luthier.flow import Progress, StepLog
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
    asked = time.monotonic()
    process.send_signal(number)
    _, messages = process.communicate(timeout=60)
    assert time.monotonic() - asked < 15
    assert process.returncode == code, messages
    assert "luthier train --resume" in messages
    run = Run.open(tmp_path / "runs" / "cut")
    status = run.status()
    assert status.state == "stopped"
    assert 5 <= status.last_step < whole.steps
    assert run.checkpoint_steps()[-1] == status.last_step

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
