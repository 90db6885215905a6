"""SIGKILL at random moments, and ends at each operation: what goes on afterwards is the uninterrupted run."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path

import pytest

from luthier.models import Source
from luthier.runs import whole
from luthier.runs.run import Run
from luthier.training import loop
from luthier.training.schedule import rows_of_step
from tests.crash.survival import NAME, assert_same, begun, go_on, in_child, timeless
from tests.workflow.test_methods import METHODS


def killed_and_gone_on(run_file: Path, method: str, folder: Path, kills: int) -> int:
    """Kills a run and goes on with it until it was killed so often; gives how many runs ended on the way."""
    (folder / "whole").mkdir()
    started = time.monotonic()
    assert in_child(go_on, run_file, folder / "whole", method) == 0
    seconds = time.monotonic() - started
    uninterrupted = Run(folder / "whole" / NAME)
    chance = random.Random(f"{method} {kills}")
    root, ended = folder / "killed", 0
    root.mkdir()
    while kills or not ended or (root / NAME).exists():
        child = begun(go_on, run_file, root, method)
        child.join(chance.uniform(0, seconds) if kills else None)
        if child.is_alive():
            child.kill()
            child.join()
            kills -= 1
            continue
        assert child.exitcode == 0
        assert_same(Run(root / NAME), uninterrupted)
        shutil.rmtree(root / NAME)
        ended += 1
    return ended


@pytest.mark.parametrize("method", METHODS)
def test_a_run_killed_four_times_is_the_uninterrupted_one(method: str, run_file: Path, memory_folder: Path) -> None:
    assert killed_and_gone_on(run_file, method, memory_folder, kills=4) >= 1


@pytest.mark.long
@pytest.mark.parametrize("method", METHODS)
def test_a_run_killed_twenty_times_is_the_uninterrupted_one(method: str, run_file: Path, memory_folder: Path) -> None:
    assert killed_and_gone_on(run_file, method, memory_folder, kills=20) >= 1


def ending_at(point: int | str, run_file: Path, root: Path, method: str) -> None:
    """`go_on` in a process that ends just before the operation of this number, or the first one on this path."""
    done = 0

    def told(operation: whole.Operation, path: Path) -> None:
        nonlocal done
        if done == point or (isinstance(point, str) and path == root / NAME / point):
            os._exit(9)
        done += 1

    whole.told = told
    go_on(run_file, root, method)


@pytest.mark.long
def test_a_process_that_ends_at_any_operation_leaves_what_is_gone_on_with(run_file: Path, memory_folder: Path) -> None:
    (memory_folder / "whole").mkdir()
    assert in_child(go_on, run_file, memory_folder / "whole", "lora") == 0
    operation = 0
    while True:
        root = memory_folder / "ended"
        root.mkdir()
        code = in_child(ending_at, operation, run_file, root, "lora")
        assert code in (0, 9)
        if code == 9:
            assert in_child(go_on, run_file, root, "lora") == 0
        assert_same(Run(root / NAME), Run(memory_folder / "whole" / NAME))
        shutil.rmtree(root)
        if code == 0:
            break
        operation += 1
    print(f"ended at each of {operation} operations")
    assert operation > 80


def test_a_sampler_that_begins_anew_is_found_out(
    run_file: Path, memory_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of a step go by its number. By the steps of this process instead, a resumed run takes others."""
    for name in ("whole", "ended"):
        (memory_folder / name).mkdir()
    assert in_child(go_on, run_file, memory_folder / "whole", "lora") == 0
    assert in_child(ending_at, "checkpoints/step-4", run_file, memory_folder / "ended", "lora") == 9
    assert Run(memory_folder / "ended" / NAME).checkpoint_steps() == [2]
    steps = iter(range(1, 100))
    monkeypatch.setattr(loop, "rows_of_step", lambda step, *others: rows_of_step(next(steps), *others))
    assert in_child(go_on, run_file, memory_folder / "ended", "lora") == 0
    with pytest.raises(AssertionError):
        assert_same(Run(memory_folder / "ended" / NAME), Run(memory_folder / "whole" / NAME))


@pytest.mark.long
def test_the_packaged_model_goes_on_after_a_kill(packaged_model: Source, tmp_path: Path) -> None:
    example = files("luthier.examples") / "support_desk"
    settings = {"hyperparameters.max_steps": 4, "evaluation.save_steps": 2, "evaluation.eval_steps": 4}
    sets = [part for key, value in settings.items() for part in ("--set", f"training_config.{key}={value}")]
    sets += ["--set", "data.limit=120"]

    def luthier(*arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "luthier", *arguments], cwd=tmp_path, stderr=subprocess.DEVNULL)

    assert luthier("train", str(example / "run.yaml"), *sets, "--name", "whole").wait() == 0
    with luthier("train", str(example / "run.yaml"), *sets, "--name", "killed") as process:
        log = tmp_path / "runs" / "killed" / "log.jsonl"
        while not (log.is_file() and log.read_bytes().count(b"\n") >= 3):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    killed, uninterrupted = Run(log.parent), Run(tmp_path / "runs" / "whole")
    assert killed.status().state in ("running", "dead")
    assert killed.checkpoint_steps() == [2]
    assert luthier("train", "--resume", "killed").wait() == 0
    assert_same(killed, uninterrupted)
    assert json.loads((killed.folder / "run.json").read_bytes())["state"] == "done"
    assert len(timeless(killed)) == 5
