"""Checkpoints and weights: complete or absent, on a full disk, after a kill, and when a file was damaged later."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from luthier.errors import UserError
from luthier.runs import Run


def holds(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path, "first")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 256 kB; where none may be mounted, a folder in which no file grows beyond 256 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    mounted = shutil.which("mount") and subprocess.run(command, check=False, capture_output=True).returncode == 0
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if not mounted:
        resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, hard))
    yield folder
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_checkpoint_holds_what_was_written_and_a_manifest_of_hashes(run: Run) -> None:
    def folder(path: Path) -> None:
        path.mkdir()
        (path / "adapter.bin").write_bytes(b"abc")

    saved = run.save_checkpoint(20, {"state.json": holds(b"{}"), "adapter": folder})
    assert saved.folder == run.folder / "checkpoints" / "step-20"
    assert json.loads((saved.folder / "manifest.json").read_bytes()) == {
        "version": 1,
        "step": 20,
        "files": {
            "adapter/adapter.bin": {"bytes": 3, "sha256": sha256(b"abc").hexdigest()},
            "state.json": {"bytes": 2, "sha256": sha256(b"{}").hexdigest()},
        },
    }
    assert run.checkpoint(20) == saved


def test_the_latest_is_the_highest_step_not_the_last_name(run: Run) -> None:
    assert run.latest_checkpoint() == (None, [])
    for step in (9, 100):
        run.save_checkpoint(step, {"state": holds(b"x")})
    latest, warnings = run.latest_checkpoint()
    assert latest is not None
    assert (latest.step, warnings) == (100, [])


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: (folder / "state").write_bytes(b"y"), "its hash differs"),
        (lambda folder: (folder / "state").write_bytes(b""), "0 bytes instead of 1"),
        (lambda folder: (folder / "state").unlink(), "state is missing"),
        (lambda folder: (folder / "manifest.json").write_bytes(b"{"), "manifest.json cannot be read"),
    ],
)
def test_a_damaged_checkpoint_is_skipped_by_name(run: Run, harm: Callable[[Path], object], said: str) -> None:
    for step in (1, 2):
        run.save_checkpoint(step, {"state": holds(b"x")})
    harm(run.folder / "checkpoints" / "step-2")
    latest, (warning,) = run.latest_checkpoint()
    assert latest == run.checkpoint(1)
    assert "step-2" in warning
    assert said in warning
    with pytest.raises(UserError, match="damaged"):
        run.checkpoint(2)


def test_a_step_without_a_checkpoint_names_those_with_one(run: Run) -> None:
    run.save_checkpoint(5, {"state": holds(b"x")})
    with pytest.raises(UserError) as error:
        run.checkpoint(6)
    assert error.value.mistakes[0].remedy == "the steps with a checkpoint: 5"


def test_the_last_ones_and_the_best_are_kept(run: Run) -> None:
    for step in (1, 2, 3, 4, 5):
        run.save_checkpoint(step, {"state": holds(b"x")})
    assert run.prune_checkpoints(step=5, keep=2, best=2) == [1, 3]
    assert run.checkpoint_steps() == [2, 4, 5]


def test_a_writer_that_fails_leaves_the_old_checkpoint_and_weights(run: Run) -> None:
    def fails(path: Path) -> None:
        raise RuntimeError("out of memory")

    run.save_checkpoint(1, {"state": holds(b"old")})
    run.save_weights(lambda folder: holds(b"old")(folder / "adapter"))
    with pytest.raises(RuntimeError):
        run.save_checkpoint(1, {"other": holds(b"new"), "state": fails})
    with pytest.raises(RuntimeError):
        run.save_weights(fails)
    assert (run.checkpoint(1).folder / "state").read_bytes() == b"old"
    assert (run.weights / "adapter").read_bytes() == b"old"
    assert sorted(path.name for path in run.folder.iterdir()) == ["checkpoints", "run.json", "weights"]


def test_what_a_kill_between_the_renames_left_is_put_back(run: Run) -> None:
    run.save_checkpoint(1, {"state": holds(b"old")})
    run.save_weights(lambda folder: holds(b"old")(folder / "adapter"))
    run.weights.rename(run.folder / ".weights.old")
    (run.folder / ".weights.writing").mkdir()
    (run.folder / ".run.json.writing").write_bytes(b"{")
    (run.folder / "checkpoints" / ".step-2.writing").mkdir()
    with run.lock():
        assert (run.weights / "adapter").read_bytes() == b"old"
    assert {path.name for path in run.folder.iterdir()} == {"checkpoints", "run.json", "weights", ".lock"}
    assert run.checkpoint_steps() == [1]
    assert [path.name for path in (run.folder / "checkpoints").iterdir()] == ["step-1"]


def test_a_full_disk_is_said_and_the_last_checkpoint_stays_whole(tiny_disk: Path) -> None:
    run = Run.create(tiny_disk, "first")
    run.save_checkpoint(1, {"state": holds(b"x" * 100_000)})
    with pytest.raises(UserError) as error:
        run.save_checkpoint(2, {"state": holds(b"x" * 400_000)})
    (found,) = error.value.mistakes
    assert found.message == "the disk is full"
    assert found.where == str(run.folder / "checkpoints" / "step-2")
    assert "--resume" in found.remedy
    latest, warnings = run.latest_checkpoint()
    assert latest is not None
    assert (latest.step, warnings) == (1, [])
    run.update(state="failed")
    assert run.status().state == "failed"


def test_a_run_that_finds_the_disk_full_leaves_no_folder(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(UserError, match="the disk is full"):
            Run.create(tmp_path, "first")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_written_is_said() -> None:
    with pytest.raises(UserError, match="may not be written") as error:
        Run.create(Path("/sys"), "first")
    assert error.value.mistakes[0].where == "/sys/first"
