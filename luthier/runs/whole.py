"""Files and folders that are whole or absent: written aside, forced to the disk, renamed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from luthier.errors import mistake

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def to_disk(path: Path) -> Iterator[None]:
    """A full disk or a folder that may not be written becomes a `UserError` with what to do about it."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            remedy = "free some space and type the same again (a run: luthier train --resume RUN); the rest is whole"
            raise mistake("the disk is full", str(path), remedy) from error
        if error.errno in _CLOSED:
            remedy = "choose a folder that you may write, or change its owner"
            raise mistake("this folder may not be written", str(path), remedy) from error
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file at once: a reader, and a crash at any moment, finds the old content or the new."""
    aside = path.with_name(f".{path.name}.writing")
    with to_disk(path):
        try:
            path.parent.mkdir(exist_ok=True)
            with aside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
            sync(path.parent)
        finally:
            aside.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Replace a JSON file at once. Dataclasses become objects; NaN and infinity become null."""
    write_bytes(path, orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def write_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Replace a folder by what `write(empty folder)` puts into it; when that fails, nothing has changed."""
    aside, old = _aside(folder)
    with to_disk(folder):
        try:
            _put_back(folder)
            aside.mkdir(parents=True)
            write(aside)
            for path in aside.rglob("*"):
                sync(path)
            sync(aside)
            if folder.exists():
                folder.rename(old)
            aside.rename(folder)
            sync(folder.parent)
        finally:
            _put_back(folder)


def recover(parent: Path) -> None:
    """Clear what a killed process left in a folder: half-made files and folders go, and where it died between the two
    renames of `write_folder` the old content comes back. Only for who alone writes there."""
    for path in [*parent.glob(".*.old"), *parent.glob(".*.writing")]:
        _put_back(parent / path.name[1:].removesuffix(path.suffix))


def _put_back(target: Path) -> None:
    aside, old = _aside(target)
    if old.exists() and not target.exists():
        old.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    if aside.is_file():
        aside.unlink()
    shutil.rmtree(aside, ignore_errors=True)


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _aside(folder: Path) -> tuple[Path, Path]:
    return folder.with_name(f".{folder.name}.writing"), folder.with_name(f".{folder.name}.old")
