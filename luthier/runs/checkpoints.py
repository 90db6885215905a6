"""Checkpoints: a folder a step with a manifest of hashes, complete or absent."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from luthier.errors import mistake
from luthier.runs import whole

MANIFEST = "manifest.json"


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
            writer(folder / name)
        files = {str(path.relative_to(folder)): _facts(path) for path in sorted(folder.rglob("*")) if path.is_file()}
        (folder / MANIFEST).write_bytes(orjson.dumps({"version": 1, "step": step, "files": files}))

    folder = root / f"step-{step}"
    whole.write_folder(folder, write)
    return Checkpoint(step, folder)


def damage(folder: Path) -> str:
    """What is wrong with a checkpoint's folder, empty where it is whole."""
    try:
        files = orjson.loads((folder / MANIFEST).read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"its {MANIFEST} cannot be read ({error})"
    for name, facts in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != facts["bytes"]:
            return f"{name} has {path.stat().st_size} bytes instead of {facts['bytes']}"
        if _facts(path) != facts:
            return f"{name} is not what was written: its hash differs"
    return ""


def load(root: Path, step: int) -> Checkpoint:
    """The checkpoint of a step. Raises `UserError` where it is absent or damaged."""
    folder = root / f"step-{step}"
    there = ", ".join(str(other) for other in steps(root) if other != step) or "none"
    if not folder.is_dir():
        raise mistake("no such checkpoint", str(folder), f"the steps with a checkpoint: {there}")
    if fault := damage(folder):
        raise mistake(f"the checkpoint is damaged: {fault}", str(folder), f"the other steps with one: {there}")
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


def prune(root: Path, keep: int, best: int | None) -> list[int]:
    """Delete all but the last `keep` checkpoints and the best; gives the steps that were deleted."""
    here = steps(root)
    gone = [step for step in here[: max(len(here) - keep, 0)] if step != best]
    for step in gone:
        shutil.rmtree(root / f"step-{step}")
    return gone


def _facts(path: Path) -> dict[str, int | str]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
