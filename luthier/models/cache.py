"""The folder where Luthier keeps what it made once: each entry is whole, with a manifest, or it is not there."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from luthier.errors import UserError, mistake

MANIFEST = "manifest.json"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}


def home() -> Path:
    """`$LUTHIER_HOME`, or the user's cache folder (`~/.cache/luthier` on Linux)."""
    chosen = os.environ.get("LUTHIER_HOME")
    if chosen:
        return Path(chosen).expanduser().resolve()
    from platformdirs import user_cache_path

    return user_cache_path("luthier")


def entry(name: str) -> Path | None:
    """The folder of a cached model, or None where it is absent or a file in it has not its size of when it was made."""
    folder = home() / "models" / name
    return folder if _whole(folder) else None


def keep(name: str, make: Callable[[Path], None]) -> Path:
    """The folder of a cached model, made by `make(empty folder)` unless it is there already.

    It is made aside under a lock and renamed when complete, so a second process waits and finds it, and a killed one
    leaves nothing that counts. Raises `UserError` where the cache cannot be written.
    """
    if found := entry(name):
        return found
    from filelock import FileLock

    root = home() / "models"
    folder, aside = root / name, root / f".{name}.making"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{name}.lock"):
            if found := entry(name):
                return found
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            make(aside)
            _seal(aside)
            shutil.rmtree(folder, ignore_errors=True)
            aside.rename(folder)
    except OSError as error:
        if error.errno in _FULL | _CLOSED:
            raise _cannot_write(root, error) from error
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seal(folder: Path) -> None:
    """Write the manifest (size and SHA-256 of every file) and force everything to the disk."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    content = {path.name: {"bytes": path.stat().st_size, "sha256": file_sha256(path)} for path in files}
    manifest = folder / MANIFEST
    manifest.write_text(json.dumps({"version": 1, "files": content}, indent=1), encoding="utf-8")
    for path in (*files, manifest, folder):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def _whole(folder: Path) -> bool:
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        return all((folder / name).stat().st_size == facts["bytes"] for name, facts in files.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _cannot_write(root: Path, error: OSError) -> UserError:
    if error.errno in _FULL:
        reason, remedy = "the disk is full", "free some space, or export LUTHIER_HOME=/a/folder/with/space"
    else:
        reason, remedy = "it may not be written", "export LUTHIER_HOME=/a/folder/you/may/write"
    return mistake(f"the model cannot be kept: {reason}", str(root), remedy)
