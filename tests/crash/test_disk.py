"""A full disk, folders that are closed or gone, a clock that jumps, a second process: said, and nothing lost."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from luthier.app.cli import run as command_line
from luthier.errors import UserError
from luthier.flow import StepLog
from luthier.runs import status
from luthier.runs.run import Run
from luthier.workflow import train as workflow
from luthier.workflow.train import train
from tests.crash.survival import NAME, assert_same, go_on, in_child, settings_of, timeless
from tests.workflow.conftest import worked


@pytest.fixture
def uninterrupted(run_file: Path, memory_folder: Path) -> Run:
    (memory_folder / "whole").mkdir()
    go_on(run_file, memory_folder / "whole", "full")
    return Run(memory_folder / "whole" / NAME)


def trained_until(step: int, act: Callable[[], object], run_file: Path, root: Path) -> UserError:
    """What a run ends with when this happens after a step; checkpoints are at 2 and 4."""
    verb = train([str(run_file)], overrides=settings_of("full"), root=root, name=NAME)
    for event in verb:
        if isinstance(event, StepLog) and event.step == step:
            act()
            break
    with pytest.raises(UserError) as error:
        for _ in verb:
            pass
    return error.value


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[bool]:
    """A file system of its own; False where none may be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounted = bool(shutil.which("mount")) and subprocess.run(command, check=False, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def limited(largest_file: int) -> Iterator[Callable[[], None]]:
    """Gives what lets no file grow beyond this many bytes, until the end of the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def filled(root: Path, left: int) -> None:
    """Leaves this many bytes of a small disk."""
    with (root / "filler").open("wb", buffering=0) as file, suppress(OSError):
        file.write(b"x" * (shutil.disk_usage(root).free - left))
        while not left:
            file.write(b"x")


def test_a_disk_that_fills_up_ends_the_run_by_name_and_it_goes_on_with_room(
    run_file: Path, memory_folder: Path, uninterrupted: Run
) -> None:
    """The log goes on in 100 kB, the next checkpoint of 450 kB does not: the library that writes weights says so."""
    root = memory_folder / "disk"
    with small_disk(root, "8m") as mounted:
        with limited(100_000) as limit:
            error = trained_until(3, lambda: filled(root, 100_000) if mounted else limit(), run_file, root)
        (found,) = error.mistakes
        assert (found.message, found.where) == ("the disk is full", str(root / NAME / "checkpoints" / "step-4"))
        assert "free some space" in found.remedy
        run = Run(root / NAME)
        assert run.status().state == "failed"
        assert run.checkpoint_steps() == [2]
        run.checkpoint(2)
        (root / "filler").unlink(missing_ok=True)
        go_on(run_file, root, "full")
        assert_same(run, uninterrupted)


def test_a_disk_without_a_byte_left_ends_the_run_at_its_next_line(
    run_file: Path, memory_folder: Path, uninterrupted: Run
) -> None:
    root = memory_folder / "disk"
    with small_disk(root, "8m") as mounted:
        with limited(1) as limit:
            error = trained_until(3, lambda: filled(root, 0) if mounted else limit(), run_file, root)
        assert error.mistakes[0].message == "the disk is full"
        (root / "filler").unlink(missing_ok=True)
        go_on(run_file, root, "full")
        assert_same(Run(root / NAME), uninterrupted)


def test_a_full_disk_at_the_beginning_leaves_no_folder(run_file: Path, memory_folder: Path) -> None:
    root = memory_folder / "disk"
    with small_disk(root, "16k") as mounted, limited(1_000) as limit:
        if not mounted:
            limit()
        with pytest.raises(UserError, match="the disk is full"):
            go_on(run_file, root, "full")
        assert list(root.iterdir()) == []


def test_a_folder_that_may_not_be_written_any_more_ends_the_run_by_name(
    run_file: Path, memory_folder: Path, uninterrupted: Run
) -> None:
    user = os.geteuid()
    root = memory_folder / "closed"
    for folder in (memory_folder, root):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)

    def close() -> None:
        for path in [root, *(path for path in root.rglob("*") if path.is_dir())]:
            path.chmod(0o555)
        if user == 0:
            os.seteuid(65534)  # root may write everywhere, nobody may not

    try:
        error = trained_until(3, close, run_file, root)
    finally:
        os.seteuid(user)
    for path in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        path.chmod(0o755)
    assert error.mistakes[0].message == "this folder may not be written"
    assert Run(root / NAME).checkpoint_steps() == [2]
    go_on(run_file, root, "full")
    assert_same(Run(root / NAME), uninterrupted)


def test_the_command_line_ends_with_2_and_says_what_to_do(
    run_file: Path, memory_folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def command() -> None:
        os.chdir(memory_folder)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
        sets = [part for setting in settings_of("full") for part in ("--set", setting)]
        raise SystemExit(command_line(["train", str(run_file), *sets, "--name", NAME]))

    assert in_child(command) == 2
    said = capfd.readouterr().err
    assert "the disk is full" in said
    assert "luthier train --resume" in said
    assert "Traceback" not in said


def test_a_run_whose_folder_is_deleted_ends_by_name_and_makes_nothing_anew(run_file: Path, memory_folder: Path) -> None:
    folder = memory_folder / NAME
    error = trained_until(3, lambda: shutil.rmtree(folder), run_file, memory_folder)
    (found,) = error.mistakes
    assert found.message == "the folder is gone: moved or deleted while it was in use"
    assert found.where == str(folder)
    assert "put it back" in found.remedy
    assert not folder.exists()


def test_a_run_whose_folder_was_moved_goes_on_there(run_file: Path, memory_folder: Path, uninterrupted: Run) -> None:
    moved = memory_folder / "elsewhere" / NAME
    moved.parent.mkdir()
    trained_until(3, lambda: (memory_folder / NAME).rename(moved), run_file, memory_folder)
    go_on(run_file, moved.parent, "full")
    assert_same(Run(moved), uninterrupted)


def test_a_clock_that_jumps_changes_nothing(
    run_file: Path, memory_folder: Path, uninterrupted: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    jumps = iter(range(10**9))
    day, clock = 86_400, time.time
    monkeypatch.setattr(time, "time", lambda: clock() + (-1) ** next(jumps) * 400 * day)
    limit = "training_config.hyperparameters.max_minutes=5"
    worked(train([str(run_file)], overrides=settings_of("full", limit), root=memory_folder, name=NAME))
    run = Run(memory_folder / NAME)
    assert timeless(run) == timeless(uninterrupted)
    assert all(0 <= entry.seconds < 60 for entry in run.log())
    assert run.status().state == "done"


def test_a_second_process_is_refused_by_the_pid_of_the_first(
    run_file: Path, memory_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    verb = train([str(run_file)], overrides=settings_of("full"), root=memory_folder, name=NAME)
    next(event for event in verb if isinstance(event, StepLog) and event.step == 3)

    def second() -> None:
        workflow._get_ready = None  # type: ignore[assignment]  # a model is not even looked for
        raise SystemExit(command_line(["train", "--resume", str(memory_folder / NAME)]))

    before = {path: path.read_bytes() for path in (memory_folder / NAME).rglob("*") if path.is_file()}
    assert in_child(second) == 2
    assert f"process {os.getpid()} is writing this run" in capfd.readouterr().err.replace("\n", " ")
    assert {path: path.read_bytes() for path in before} == before
    assert [event.step for event in verb if isinstance(event, StepLog)] == [4]


def test_a_run_beats_while_a_step_takes_long_and_a_killed_one_is_dead_to_readers(
    memory_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "BEAT_SECONDS", 0.05)
    run = Run.create(memory_folder, NAME)
    first = run.status().heartbeat
    with run.beating():
        while run.status().heartbeat == first:
            time.sleep(0.01)
        run.update(last_step=7)
        beaten = run.status().heartbeat
        while run.status().heartbeat == beaten:
            time.sleep(0.01)
    last = run.status()
    assert (last.state, last.last_step) == ("running", 7)
    time.sleep(0.2)
    assert run.status() == last
    for later in (status.DEAD_SECONDS + 1, -status.DEAD_SECONDS - 1):
        monkeypatch.setattr(time, "time", lambda later=later: last.heartbeat + later)
        assert run.status().state == "dead"
    monkeypatch.setattr(time, "time", lambda: last.heartbeat + status.DEAD_SECONDS - 1)
    assert run.status().state == "running"
    monkeypatch.undo()
    run.update(state="done")
    monkeypatch.setattr(time, "time", lambda: last.heartbeat + 10**6)
    assert run.status().state == "done"
