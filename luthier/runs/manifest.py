"""manifest.json: the size and the hash of every file of a folder, by which damage is found later."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import orjson

from luthier.runs import whole

MANIFEST = "manifest.json"


def seal(folder: Path, names: Iterable[str] | None = None, **facts: int) -> None:
    """Write the manifest of the files of these names, or of all that stand in the folder and below it."""
    there = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    files = {name: _facts(folder / name) for name in sorted(there if names is None else names)}
    whole.write_json(folder / MANIFEST, {"version": 1, **facts, "files": files})


def damage(folder: Path) -> str:
    """What is wrong with a sealed folder, empty where it is whole: `state.json is not what was written: ...`."""
    try:
        files = orjson.loads((folder / MANIFEST).read_bytes())["files"]
        for name, facts in files.items():
            path = folder / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != facts["bytes"]:
                return f"{name} has {path.stat().st_size} bytes instead of {facts['bytes']}"
            if _facts(path) != facts:
                return f"{name} is not what was written: its hash differs"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"its {MANIFEST} cannot be read ({error})"
    return ""


def _facts(path: Path) -> dict[str, int | str]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
