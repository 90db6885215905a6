"""Measurements, each in a process of its own and kept at once in a file that names commit, machine and versions."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
RESULTS = ROOT / "benchmarks" / "results"
SCRATCH = ROOT / "build" / "benchmarks"
MODEL = "smollm2-135m-instruct"
PACKAGES = ("torch", "transformers", "peft", "trl", "bitsandbytes", "liger-kernel", "accelerate")
NUMERIC = ("luthier/engine", "luthier/methods", "luthier/models", "luthier/training")
"""The parts of the package that a measurement of training depends on."""


class Kept:
    """The measurements of one benchmark: the file is whole after each of them, so a killed benchmark goes on.

    A measurement counts while the code that it was made by and the machine are the same; otherwise it is made anew.
    """

    def __init__(self, path: Path, its_commit: str | None = None) -> None:
        self.path = path
        self.commit = its_commit or commit()
        self.machine = machine()
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if found and "measurements" not in found:
            print(f"{path} is of an earlier form, and is written anew", flush=True)
            found = {}
        self.measurements: dict[str, dict[str, Any]] = found.get("measurements", {})
        self.summary: dict[str, Any] = found.get("summary", {})

    def result(self, key: str, code: str) -> dict[str, Any] | None:
        """What was measured under this key, by this code on this machine."""
        entry = self.measurements.get(key)
        if entry is None:
            return None
        if entry["code"] != code or entry["machine"] != self.machine:
            print(f"{key}: kept from {entry['commit'][:8]}, other code or another machine: made anew", flush=True)
            return None
        result: dict[str, Any] = entry["result"]
        return result

    def keep(self, key: str, code: str, result: Mapping[str, Any]) -> None:
        """Keeps a measurement, in place of an older one under the same key."""
        self.measurements[key] = {
            "code": code,
            "commit": self.commit,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": self.machine,
            "result": dict(result),
        }
        self._write()

    def summarize(self, name: str, summary: Mapping[str, Any]) -> None:
        """Puts what came out of some measurements above them."""
        self.summary[name] = {"commit": self.commit, **summary}
        self._write()

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.path.with_name(f".{self.path.name}.new")
        whole = {"summary": self.summary, "measurements": self.measurements}
        aside.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        aside.replace(self.path)


def measure(module: str, task: Mapping[str, Any], limit_seconds: float, paths: Sequence[str] = ()) -> dict[str, Any]:
    """What `python -m MODULE --one TASK` prints as its last line.

    Where it takes longer than the limit it is ended, and the result is `stopped_after_seconds` alone. Raises
    `SystemExit` with the end of its messages where it fails.
    """
    command = [sys.executable, "-m", module, "--one", json.dumps(dict(task))]
    search = [*paths, str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(search)}
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    )
    try:
        printed, said = process.communicate(timeout=limit_seconds)
    except subprocess.TimeoutExpired:
        return {"stopped_after_seconds": limit_seconds}
    finally:
        process.kill()
        process.wait()
        signal.signal(signal.SIGTERM, before)
    if process.returncode:
        raise SystemExit(f"{dict(task)} failed ({process.returncode}):\n{said[-4000:]}")
    result: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return result


def machine() -> dict[str, Any]:
    """What figures are measured on: processor, memory, GPU, system and the versions of what computes."""
    from luthier.runs.environment import describe_environment

    described = describe_environment([], [])["machine"]
    return {
        "processor": described["processor"],
        "cores": described["cores"],
        "cores_used": len(os.sched_getaffinity(0)),
        "memory_bytes": described["memory_bytes"],
        "gpu": _gpu(),
        "system": platform.platform(),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
    }


def code_of(*places: str) -> str:
    """A digest of the Python files at some places of the repository, files or folders."""
    paths = [ROOT / place for place in places]
    files = sorted({file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py"))})
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(ROOT)}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median and range."""
    return {"median": median(values), "range": [min(values), max(values)]}


def shown(one: Mapping[str, Any], digits: int = 2) -> str:
    """`3.90 (3.71 to 4.02)`."""
    low, high = one["range"]
    return f"{one['median']:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def commit() -> str:
    """The commit that is checked out, and whether files of the package or the benchmarks differ from it."""
    if not shutil.which("git"):
        return "unknown"
    words = ["git", "-C", str(ROOT)]
    found = subprocess.run([*words, "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    changed = subprocess.run(
        [*words, "status", "--porcelain", "--", "luthier", "benchmarks/*.py"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return (found or "unknown") + (" with changes" if changed else "")


def _gpu() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
