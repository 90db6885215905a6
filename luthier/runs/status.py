"""run.json: how a run stands, and the heartbeat by which a reader tells a running one from a dead one."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

import orjson

from luthier.errors import UserError, mistake
from luthier.runs import whole

State = Literal["running", "done", "stopped", "failed", "dead"]
VERSION = 1
BEAT_SECONDS = 5
DEAD_SECONDS = 30
_WRITING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Status:
    """run.json: `heartbeat` is when it was last written, in seconds since 1970; `best_step` is None before the first
    evaluation. `stopped_because` says why training ended before its last step, where it did.

    The state `dead` never stands in the file: it is what a reader sees of a run that says `running` and was not written
    for half a minute. The clock decides nothing else.
    """

    state: State
    pid: int
    heartbeat: float
    last_step: int = 0
    best_step: int | None = None
    stopped_because: str = ""


def begin(path: Path) -> None:
    """Write the status of a run that begins here and now."""
    _write(path, Status("running", os.getpid(), time.time()))


def read(path: Path) -> Status:
    """The status as it is seen now. Raises `UserError` where it is broken or of a later version."""
    status = _read(path)
    silent = abs(time.time() - status.heartbeat)  # a heartbeat from later than now: the clock was set back
    return replace(status, state="dead") if status.state == "running" and silent > DEAD_SECONDS else status


def update(path: Path, **changes: Any) -> None:
    """Write the status anew: what is given changes; pid and heartbeat become those of now."""
    assert changes.get("state", "running") in set(get_args(State)) - {"dead"}, changes
    with _WRITING:
        _write(path, replace(_read(path), pid=os.getpid(), heartbeat=time.time(), **changes))


@contextmanager
def beating(path: Path) -> Iterator[None]:
    """Inside, the status is written anew every few seconds."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_SECONDS):
            with suppress(UserError, OSError):  # whoever works here meets the same, and says it
                update(path)

    heart = threading.Thread(target=beat, daemon=True)
    heart.start()
    try:
        yield
    finally:
        ended.set()
        heart.join()


def mend(path: Path) -> list[str]:
    """Write a broken status anew; gives a line for that. It decides nothing, so nothing is lost."""
    try:
        _read(path)
    except UserError as error:
        if _of_later_version(path):
            raise
        _write(path, Status("stopped", os.getpid(), time.time()))
        return [f"{path} {error.mistakes[0].message}: it was written anew"]
    return []


def _read(path: Path) -> Status:
    remedy = f"luthier train --resume {path.parent} writes it anew"
    try:
        content = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise mistake("this file of the run is missing", str(path), "copy the run's folder again") from None
    except (OSError, ValueError) as error:
        raise mistake(f"cannot be read: {error}", str(path), remedy) from error
    if not isinstance(content, dict) or content.get("version") != VERSION:
        later = "take the Luthier that wrote it: pip install -U luthier"
        raise mistake(f"is of another version than {VERSION}", str(path), later)
    content.setdefault("stopped_because", "")  # which runs of before have not
    try:
        status = Status(**{field.name: content[field.name] for field in fields(Status)})
    except KeyError as error:
        raise mistake(f"holds no {error}", str(path), remedy) from error
    if status.state not in get_args(State):
        raise mistake(f"holds no state of a run: {status.state!r}", str(path), remedy)
    return status


def _of_later_version(path: Path) -> bool:
    with suppress(ValueError, AttributeError):
        version = orjson.loads(path.read_bytes()).get("version")
        return isinstance(version, int) and version > VERSION
    return False


def _write(path: Path, status: Status) -> None:
    whole.write_json(path, {"version": VERSION} | asdict(status))
