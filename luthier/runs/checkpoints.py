"""Checkpoints: a folder a step with a manifest of hashes, complete or absent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from luthier.errors import mistake
from luthier.runs import whole
from luthier.runs.manifest import damage, seal


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint whose every file has the size and the hash of when it was written."""

    step: int
    folder: Path


def steps(root: Path) -> list[int]:
    """The steps with a checkpoint, whole or not, in rising order."""
    names = (path.name.removeprefix("step-") for path in root.glob("step-*") if path.is_dir())
    return sorted(int(name) for name in names if name.isdigit())


def save(root: Path, step: int, writers: Mapping[str, Callable[[Path], None]]) -> Checkpoint:
    """Write a checkpoint: each writer gets the path of its name, and makes a file or a folder there."""

    def write(folder: Path) -> None:
        for name, writer in writers.items():
            whole.told("write", folder / name)
            writer(folder / name)
        seal(folder, step=step)

    folder = root / f"step-{step}"
    whole.make_folder(root)
    whole.write_folder(folder, write)
    return Checkpoint(step, folder)


def load(root: Path, step: int) -> Checkpoint:
    """The checkpoint of a step. Raises `UserError` where it is absent or damaged."""
    folder = root / f"step-{step}"
    there = ", ".join(str(other) for other in steps(root) if other != step) or "none"
    if not folder.is_dir():
        raise mistake("no such checkpoint", str(folder), f"the steps with a checkpoint: {there}")
    if fault := damage(folder):
        remedy = f"luthier train --resume {root.parent} goes on without it; the other steps with one: {there}"
        raise mistake(f"the checkpoint is damaged: {fault}", str(folder), remedy)
    return Checkpoint(step, folder)


def latest(root: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint, and a line for each newer one that is damaged."""
    skipped: list[str] = []
    for step in reversed(steps(root)):
        folder = root / f"step-{step}"
        if not (fault := damage(folder)):
            return Checkpoint(step, folder), skipped
        skipped.append(f"checkpoint {folder.name} is damaged and was skipped: {fault}")
    return None, skipped


def prune(root: Path, step: int, keep: int, best: int | None) -> list[int]:
    """Delete all but the last `keep` checkpoints up to `step`, the newest, and the best; gives the steps deleted.

    A checkpoint after the newest is a damaged one, which was skipped when the run went on before it.
    """
    here = [other for other in steps(root) if other <= step]
    kept = {*here[-keep:], best}
    gone = [other for other in steps(root) if other not in kept]
    for other in gone:
        whole.remove_folder(root / f"step-{other}")
    return gone
