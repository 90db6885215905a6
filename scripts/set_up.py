"""Makes `.venv` ready for every make target, with Python 3.11 to 3.13 alone; where nothing changed it is done at once.

`python3.11 scripts/set_up.py [--bench] [--this-python]`

Each stage leaves a stamp in `.venv/stamps` with the digest of what it was made from, so an edited lock repeats its
stage and the ones after it. A set-up that was killed half-way leaves its mark there and the next one starts afresh.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
STAMPS = VENV / "stamps"
STARTED = STAMPS / "started"
LOG = VENV / "set-up.log"
VENV_PYTHON = VENV / "bin" / "python"
PIP = (str(VENV_PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input")
CHECK = (*PIP, "check")
"""Left out where the benchmarks' packages are there: lm-eval names two that are left out on purpose."""
HEARTBEAT_SECONDS = 15.0
# These would send pip's files, or Python's imports, somewhere else than into .venv.
MISLEADING = ("PYTHONHOME", "PYTHONPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")


@dataclass(frozen=True)
class Stage:
    """One step of the set-up: `made_from` are the files that repeat it when they change."""

    name: str
    what: str
    usually: str
    made_from: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]


STAGES = (
    Stage(
        name="environment",
        what="a virtual environment in .venv",
        usually="5 seconds",
        made_from=(),
        commands=((sys.executable, "-m", "venv", str(VENV)),),
    ),
    Stage(
        name="torch",
        what="torch, in the build that pip finds for this machine",
        usually="1 minute, several where it is the CUDA build",
        made_from=("requirements-torch.txt",),
        commands=((*PIP, "install", "-r", "requirements-torch.txt"),),
    ),
    Stage(
        name="locked",
        what="the locked packages, each with its hash checked",
        usually="1 to 2 minutes",
        made_from=("requirements.lock",),
        commands=(
            (*PIP, "install", "--no-deps", "--require-hashes", "--only-binary=:all:", "-r", "requirements.lock"),
            CHECK,
        ),
    ),
    Stage(
        name="luthier",
        what="luthier itself, editable",
        usually="5 seconds",
        made_from=("pyproject.toml",),
        commands=((*PIP, "install", "--no-deps", "--no-build-isolation", "-e", "."),),
    ),
)
BENCH = Stage(
    name="bench",
    what="what the benchmarks compare with, locked as well",
    usually="30 seconds",
    made_from=("requirements-bench.lock",),
    commands=(
        (*PIP, "install", "--no-deps", "--require-hashes", "--only-binary=:all:", "-r", "requirements-bench.lock"),
    ),
)


class SetUpError(Exception):
    """What stopped the set-up and what to do next, for the user."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", action="store_true", help="also what the benchmarks compare with")
    parser.add_argument("--this-python", action="store_true", help="make .venv anew where it has another Python")
    options = parser.parse_args(arguments)
    with Path(__file__).open() as held:
        _wait_for_the_lock(held.fileno())
        try:
            _discard_what_cannot_be_used(options.this_python)
            _run_what_is_not_done((*STAGES, BENCH) if options.bench else STAGES, held.fileno())
        except SetUpError as error:
            say(f"set-up stopped: {error}")
            return 2
        except KeyboardInterrupt:
            say("set-up stopped by Ctrl-C: the next make starts it afresh")
            return 130
    return 0


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _wait_for_the_lock(handle: int) -> None:
    """Two makes at once in one folder: the second waits for the first."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another make is setting up this folder: waiting for it")
        fcntl.flock(handle, fcntl.LOCK_EX)


def _discard_what_cannot_be_used(this_python: bool) -> None:
    if not VENV.exists() and not VENV.is_symlink():
        return
    if not STAMPS.is_dir():
        raise SetUpError(
            ".venv is there and was not made by this set-up; move it away or delete it, then run make again"
        )
    reason = ""
    if STARTED.exists():
        reason = f"the last set-up was cut short ({STARTED.read_text().strip()})"
    elif _stamp(STAGES[0]).is_file() and not VENV_PYTHON.exists():
        reason = "the Python that .venv was made with is gone"
    elif _stamp(STAGES[0]).is_file() and _stamp(STAGES[0]).read_text() != _digest(STAGES[0], ""):
        reason = "the folder has moved since .venv was made"
    elif this_python and _python_of_venv() != sys.version_info[:2]:
        reason = "another Python was asked for"
    if reason:
        say(f"{reason}: .venv is made anew")
        shutil.rmtree(VENV)


def _run_what_is_not_done(stages: Sequence[Stage], lock: int) -> None:
    began = time.monotonic()
    digest, repeated = "", False
    for number, stage in enumerate(stages, start=1):
        digest = _digest(stage, digest)
        stamp = _stamp(stage)
        if not repeated and stamp.is_file() and stamp.read_text() == digest:
            continue
        repeated = True
        say(f"set-up {number}/{len(stages)}: {stage.what} (usually {stage.usually})")
        _run(stage, lock)
        stamp.write_text(digest)
        STARTED.unlink()
    if repeated:
        say(f"set-up done in {time.monotonic() - began:.0f} s")


def _run(stage: Stage, lock: int) -> None:
    """Runs a stage's commands; whoever kills them leaves `started` behind, a command that fails by itself does not.

    A command holds the lock too: where this process alone is killed, the next set-up waits for what it left running.
    """
    STAMPS.mkdir(parents=True, exist_ok=True)
    STARTED.write_text(stage.name)
    environment = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    began = time.monotonic()
    for command in stage.commands:
        if command == CHECK and _stamp(BENCH).is_file():
            continue
        with LOG.open("w") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(lock,),
            )
            while True:
                try:
                    code = process.wait(HEARTBEAT_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    say(f"  {time.monotonic() - began:.0f} s: {_last_line()}")
        if code < 0:
            raise SetUpError(f"the {stage.name} stage was killed by signal {-code}; run make again, it starts afresh")
        if code:
            STARTED.unlink()
            tail = "\n".join(f"  | {line}" for line in LOG.read_text(errors="replace").splitlines()[-15:])
            raise SetUpError(
                f"the {stage.name} stage failed (exit code {code}):\n{tail}\n"
                f"  the whole log: {LOG}\n  once that is mended, run make again: it goes on with this stage"
            )


def _last_line() -> str:
    lines = [line.strip() for line in LOG.read_text(errors="replace").splitlines()]
    news = [line for line in lines if line and not line.startswith(("WARNING", "DEPRECATION"))]
    return news[-1].partition(": ")[0][:100] if news else "starting"


def _stamp(stage: Stage) -> Path:
    return STAMPS / stage.name


def _digest(stage: Stage, before: str) -> str:
    """What a stage was made from, the stages before it and the folder included."""
    digest = hashlib.sha256(f"{ROOT}\n{before}\n".encode())
    for name in stage.made_from:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def _python_of_venv() -> tuple[int, int] | None:
    """The version that .venv/pyvenv.cfg names."""
    for line in (VENV / "pyvenv.cfg").read_text().splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "version":
            major, minor = value.strip().split(".")[:2]
            return int(major), int(minor)
    return None


if __name__ == "__main__":
    sys.exit(main())
