"""What a run ran on: versions, the machine, the data's hashes, and the command without its secrets."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("luthier", "torch", "transformers", "peft", "safetensors", "tokenizers", "numpy")
_HIDDEN = "***"
_SECRET_FLAG = re.compile(r"(?i)^--?[\w-]*(token|key|secret|password)$")
_SECRET_PAIR = re.compile(r"(?i)^([\w.-]*(?:token|key|secret|password))=(.*)$", re.DOTALL)
_SECRET_TEXT = re.compile(
    r"\b(?:sk-|hf_|ghp_|gho_|github_pat_|glpat-|xox[abp]-|AKIA|AIza)[\w-]{8,}|(?<=://)[^/\s@]+(?=@)"
)


def without_secrets(command: Sequence[str]) -> list[str]:
    """The command with `***` for what follows `--token`, `--api-key` and the like, for the value in `HF_TOKEN=...`,
    for what looks like a key (`sk-...`, `hf_...`) and for a user and password in an address.

    >>> without_secrets(["luthier", "train", "a.yaml", "--token", "abc"])
    ['luthier', 'train', 'a.yaml', '--token', '***']
    """
    shown, hide = [], False
    for word in command:
        if hide:
            shown.append(_HIDDEN)
        elif pair := _SECRET_PAIR.match(word):
            shown.append(f"{pair[1]}={_HIDDEN}")
        else:
            shown.append(_SECRET_TEXT.sub(_HIDDEN, word))
        hide = not hide and bool(_SECRET_FLAG.match(word))
    return shown


def describe_environment(command: Sequence[str], data_files: Iterable[Path]) -> dict[str, Any]:
    """What environment.json holds. `memory_bytes` is the machine's; a package that is not installed has null."""
    return {
        "version": 1,
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES},
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        },
        "data": [_data(path) for path in data_files],
        "command": without_secrets(command),
        "executable": sys.executable,
    }


def _version(package: str) -> str | None:
    if package == "luthier":
        from luthier import __version__

        return __version__
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n")
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _data(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {
            "path": str(path),
            "bytes": path.stat().st_size,
            "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
        }
