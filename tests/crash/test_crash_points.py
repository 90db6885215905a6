"""Wherever a process or the power ends, a run goes on bit by bit; and each safeguard is needed for that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from luthier.runs import checkpoints, whole
from tests.crash.survival import survive
from tests.workflow.test_methods import METHODS


@pytest.mark.parametrize("method", METHODS)
def test_a_run_survives_every_ending_at_every_operation(
    method: str, run_file: Path, memory_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survived = survive(run_file, method, memory_folder, monkeypatch)
    print(f"{method}: {survived}")
    assert not survived.lost, survived.lost
    assert survived.operations > 80
    assert survived.endings == 4 * survived.operations
    assert survived.states >= 4  # not begun, no checkpoint yet, and each checkpoint


def no_sync(path: Path) -> None:
    pass


def sync_of_folders_alone(path: Path, sync: Callable[[Path], None] = whole.sync) -> None:
    if path.is_dir():
        sync(path)


def sync_of_files_alone(path: Path, sync: Callable[[Path], None] = whole.sync) -> None:
    if path.is_file():
        sync(path)


def sync_of_all_but_the_log(path: Path, sync: Callable[[Path], None] = whole.sync) -> None:
    if path.name != "log.jsonl":
        sync(path)


def folder_in_place(folder: Path, write: Callable[[Path], None]) -> None:
    whole.make_folder(folder)
    write(folder)
    for path in (*folder.rglob("*"), folder, folder.parent):
        whole.sync(path)


def file_in_place(path: Path, content: bytes) -> None:
    whole.told("write", path)
    path.write_bytes(content)
    whole.sync(path)
    whole.sync(path.parent)


def removed_in_place(folder: Path) -> None:
    for path in (*folder.iterdir(), folder):
        whole._remove(path)


def after_removing_the_old_ones(root: Path, step: int, writers: Any, save: Any = checkpoints.save) -> Any:
    for old in checkpoints.steps(root):
        whole.remove_folder(root / f"step-{old}")
    return save(root, step, writers)


def no_recovery(parent: Path) -> None:
    pass


SABOTAGE: dict[str, tuple[Any, str, Any]] = {
    "no sync": (whole, "sync", no_sync),
    "no sync of files": (whole, "sync", sync_of_folders_alone),
    "no sync of names": (whole, "sync", sync_of_files_alone),
    "no sync of the log": (whole, "sync", sync_of_all_but_the_log),
    "no rename of folders": (whole, "write_folder", folder_in_place),
    "no rename of files": (whole, "write_bytes", file_in_place),
    "no rename before removing": (whole, "remove_folder", removed_in_place),
    "no clearing up": (whole, "recover", no_recovery),
    "the old checkpoint removed first": (checkpoints, "save", after_removing_the_old_ones),
}


@pytest.mark.parametrize("safeguard", SABOTAGE)
def test_each_safeguard_on_the_disk_is_needed(
    safeguard: str, run_file: Path, memory_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*SABOTAGE[safeguard])
    survived = survive(run_file, "lora", memory_folder, monkeypatch, until_lost=True)
    print(f"{safeguard}: {survived.lost}")
    assert survived.lost
