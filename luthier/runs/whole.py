"""Files and folders that are whole or absent: written aside, forced to the disk, renamed.

Every change on the disk is one of five operations: make, write, sync, rename, remove. Each one is told to `told` first,
so that a test can end the process there and keep of the disk only what a power cut would have left.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import orjson

from luthier.errors import UserError, mistake

Operation = Literal["make", "write", "sync", "rename", "remove"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}


def told(operation: Operation, path: Path) -> None:
    """Hears of every operation just before it. A rename is told by its target, because that may be replaced."""


@contextmanager
def to_disk(path: Path) -> Iterator[None]:
    """A full disk, a folder that may not be written or that is gone becomes a `UserError` with what to do about it."""
    try:
        yield
    except Exception as error:
        number = _system_error(error)
        if number in _FULL:
            remedy = "free some space and type the same again (a run: luthier train --resume RUN); the rest is whole"
            raise mistake("the disk is full", str(path), remedy) from error
        if number in _CLOSED:
            remedy = "choose a folder that you may write, or change its owner"
            raise mistake("this folder may not be written", str(path), remedy) from error
        if number == errno.ENOENT and not path.parent.exists():
            remedy = "put it back and go on (a run: luthier train --resume RUN), or start again"
            raise mistake(
                "the folder is gone: moved or deleted while it was in use", str(path.parent), remedy
            ) from error
        raise


@contextmanager
def locked(file: Path, where: Path, refused: Callable[[], UserError]) -> Iterator[None]:
    """Only one process is inside: a second one gets the error that `refused` gives. A killed process holds nothing.
    `where` is what a disk's fault is said of."""
    from filelock import FileLock, Timeout

    with to_disk(where):
        held = FileLock(file, blocking=False)
        try:
            held.acquire()
        except Timeout:
            raise refused() from None
    try:
        yield
    finally:
        held.release()


def folder_name(stem: str, instead: str) -> str:
    """A stem as it may name a folder: `my rows!` becomes `my-rows`; `instead` where nothing of it is left."""
    return re.sub(r"[^\w.+-]+", "-", stem).strip("-_.+") or instead


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file at once: a reader, and a crash at any moment, finds the old content or the new."""
    aside = path.with_name(f".{path.name}.writing")
    with to_disk(path):
        try:
            told("write", aside)
            aside.write_bytes(content)
            sync(aside)
            told("rename", path)
            aside.replace(path)
            sync(path.parent)
        finally:
            aside.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Replace a JSON file at once. Dataclasses become objects; NaN and infinity become null."""
    write_bytes(path, orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def append(path: Path, line: bytes) -> None:
    """Add a line to a file; half a line that a killed process left is cut off first. Not forced to the disk."""
    with to_disk(path):
        told("write", path)
        with path.open("ab") as file:
            file.truncate(_complete_bytes(path))
            file.write(line)


def write_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Replace a folder by what `write(empty folder)` puts into it; when that fails, nothing has changed."""
    aside, old = _aside(folder)
    with to_disk(folder):
        try:
            _put_back(folder)
            make_folder(aside)
            told("write", aside)
            write(aside)
            for path in aside.rglob("*"):
                sync(path)
            sync(aside)
            if folder.exists():
                told("rename", old)
                folder.rename(old)
            told("rename", folder)
            aside.rename(folder)
            sync(folder.parent)
        finally:
            _put_back(folder)


def make_folder(folder: Path, *, above: bool = False) -> bool:
    """Make a folder, with `above` those above it too, their names forced to the disk; False where it was there."""
    if above and not folder.parent.exists():
        make_folder(folder.parent, above=True)
    with to_disk(folder):
        try:
            told("make", folder)
            folder.mkdir()
        except FileExistsError:
            return False
        sync(folder.parent)
        return True


def remove_folder(folder: Path) -> None:
    """Remove a folder: it is there as it was, or gone."""
    aside, _ = _aside(folder)
    with to_disk(folder):
        _remove(aside)
        told("rename", aside)
        folder.rename(aside)
        sync(folder.parent)
        _remove(aside)


def recover(parent: Path) -> None:
    """Clear what a killed process left in a folder: half-made files and folders go, and where it died between the two
    renames of `write_folder` the old content comes back. Only for who alone writes there."""
    for path in [*parent.glob(".*.old"), *parent.glob(".*.writing")]:
        _put_back(parent / path.name[1:].removesuffix(path.suffix))


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk."""
    told("sync", path)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put_back(target: Path) -> None:
    aside, old = _aside(target)
    if old.exists() and not target.exists():
        told("rename", target)
        old.rename(target)
        sync(target.parent)
    _remove(old)
    _remove(aside)


def _remove(path: Path) -> None:
    """Remove what was written aside, a file or a folder, if it is there."""
    if path.exists():
        told("remove", path)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _aside(folder: Path) -> tuple[Path, Path]:
    return folder.with_name(f".{folder.name}.writing"), folder.with_name(f".{folder.name}.old")


def _complete_bytes(path: Path) -> int:
    """The length of a file up to its last line break."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 65536)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0


def _system_error(error: Exception) -> int | None:
    """The system's number of an error; safetensors, for one, has it in its own error's text."""
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None
