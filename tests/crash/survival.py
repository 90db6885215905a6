"""What must be true of a run after any ending, and runs in processes of their own."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from luthier.errors import UserError
from luthier.flow import EvaluationLog, StepLog, result_of
from luthier.runs import status, whole
from luthier.runs.run import Run
from luthier.workflow.train import train
from tests.crash.disk import ENDINGS, Disk
from tests.workflow.test_methods import METHODS

CONFIG = "training_config"
FEW = [
    f"{CONFIG}.hyperparameters.max_steps=4",
    f"{CONFIG}.evaluation.save_steps=2",
    f"{CONFIG}.evaluation.eval_steps=2",
    f"{CONFIG}.evaluation.keep=1",
]
NAME = "run"
NOT_BEGUN = "the process ended before the run began"


def settings_of(method: str, *more: str) -> list[str]:
    return [f"tuning_method={method}", *METHODS[method], *FEW, *more]


def in_child(work: Callable[..., object], *arguments: Any) -> int:
    """The exit code of a process forked from this one, which does this work."""
    child = begun(work, *arguments)
    child.join()
    return child.exitcode or 0


def begun(work: Callable[..., object], *arguments: Any) -> multiprocessing.process.BaseProcess:
    """A process forked from this one, at its work."""
    child = multiprocessing.get_context("fork").Process(target=_single, args=(work, *arguments))
    child.start()
    return child


def _single(work: Callable[..., object], *arguments: Any) -> None:
    import torch

    torch.set_num_threads(1)  # other threads are not there any more after a fork
    work(*arguments)


def go_on(run_file: Path, root: Path, method: str) -> None:
    """What a user does after a crash: go on with the run, or begin it where it had not begun."""
    run = Run(root / NAME)
    if run.folder.exists() and run.damage() != NOT_BEGUN:
        result_of(train(resume=str(run.folder)))
        return
    shutil.rmtree(run.folder, ignore_errors=True)
    result_of(train([str(run_file)], overrides=settings_of(method), root=root, name=NAME))


def assert_same(run: Run, uninterrupted: Run) -> None:
    """Bit-identical: every entry of the log but times and memory, weights, optimizer, random state, what is best."""
    assert run.status().state == "done"
    assert timeless(run) == timeless(uninterrupted)
    assert contents(run.require_weights()) == contents(uninterrupted.require_weights())
    assert run.checkpoint_steps() == uninterrupted.checkpoint_steps()
    last = run.checkpoint_steps()[-1]
    assert contents(run.checkpoint(last).folder) == contents(uninterrupted.checkpoint(last).folder)


def timeless(run: Run) -> list[StepLog | EvaluationLog]:
    entries: list[StepLog | EvaluationLog] = []
    for entry in run.log():
        entry = replace(entry, seconds=0.0)
        entries.append(replace(entry, memory_bytes=0) if isinstance(entry, StepLog) else entry)
    return entries


def contents(folder: Path) -> dict[str, object]:
    """Each file of a folder, without the time that training took and the manifest, which holds its hash."""
    found: dict[str, object] = {}
    for path in folder.rglob("*"):
        if path.name == "training.json":
            found[path.name] = json.loads(path.read_bytes()) | {"seconds": 0}
        elif path.is_file() and path.name != "manifest.json":
            found[str(path.relative_to(folder))] = sha256(path.read_bytes()).hexdigest()
    return found


@dataclass(frozen=True, slots=True)
class Survived:
    """How many endings a run went through, the distinct states from which going on was tried, and what was lost."""

    operations: int
    endings: int
    states: int
    lost: tuple[str, ...] = ()


def survive(
    run_file: Path, method: str, folder: Path, monkeypatch: pytest.MonkeyPatch, until_lost: bool = False
) -> Survived:
    """Trains once, and at each operation on the disk looks at what each ending would have left there.

    Where two endings leave the same to go on from, going on is tried once. With `until_lost`, it is not, and the first
    loss is enough.
    """
    root, after = folder / "runs", folder / "after"
    root.mkdir(parents=True)
    after.mkdir()
    promised = -1
    states: dict[object, Path] = {}
    endings = 0
    lost: list[str] = []

    def before(operation: str, path: Path) -> None:
        nonlocal endings
        for ending in ENDINGS if not (lost and until_lost) else ():
            left = after / f"{len(disk.operations)}-{ending}"
            disk.left(ending, left)
            endings += 1
            try:
                state = settled(Run(left / NAME), promised)
            except (AssertionError, UserError) as error:
                lost.append(f"{ending} before {operation} {path.relative_to(root)}: {str(error).partition(chr(10))[0]}")
                continue
            if states.setdefault(state, left) is not left:
                shutil.rmtree(left)

    def saved(run: Run, step: int, writers: Any) -> object:
        nonlocal promised
        checkpoint = save(run, step, writers)
        promised = step
        return checkpoint

    def sealed(run: Run) -> None:
        nonlocal promised
        seal(run)
        promised = 0

    disk = Disk(root, before)
    save, seal = Run.save_checkpoint, Run.seal
    with monkeypatch.context() as patch:
        patch.setattr(Run, "save_checkpoint", saved)
        patch.setattr(Run, "seal", sealed)
        patch.setattr(whole, "told", disk.told)
        patch.setattr(status, "BEAT_SECONDS", 3600)  # a beat is an update like the others, and a thread of its own
        result_of(train([str(run_file)], overrides=settings_of(method), root=root, name=NAME))
    for left in states.values() if not until_lost else ():
        assert in_child(go_on, run_file, left, method) == 0, left
        assert_same(Run(left / NAME), Run(root / NAME))
    return Survived(len(disk.operations), endings, len(states), tuple(lost))


def settled(run: Run, promised: int) -> object:
    """What going on would begin from, after a look at what was promised: -1 nothing, 0 a run, n the checkpoint n."""
    if not (run.folder / "run.json").is_file() or run.damage():
        assert promised < 0, "the run is lost"
        assert not run.folder.exists() or run.damage() == NOT_BEGUN, "half a run is taken for one"
        return "not begun"
    with run.lock():
        pass
    left_over = [path.name for path in run.folder.rglob(".*") if path.suffix in (".writing", ".old")]
    assert not left_over, f"{left_over} is left over"
    for step in run.checkpoint_steps():
        run.checkpoint(step)
    checkpoint, _ = run.latest_checkpoint()
    assert (checkpoint.step if checkpoint else 0) >= promised, "a checkpoint is lost"
    if run.weights.exists():
        run.require_weights()
    assert run.status().state != "done" or run.weights.exists(), "the weights are lost"
    if checkpoint is None:
        run.truncate_log(0)
        return 0
    state = json.loads((checkpoint.folder / "training.json").read_bytes())
    if state["best_step"]:
        run.checkpoint(state["best_step"])
    run.truncate_log(checkpoint.step, state["evaluated_step"])
    assert [entry.step for entry in run.steps()] == list(range(1, checkpoint.step + 1)), "lines of the log are lost"
    log = sha256((run.folder / "log.jsonl").read_bytes()).hexdigest()
    return checkpoint.step, str(sorted(contents(checkpoint.folder).items(), key=str)), log
