"""Comparisons that earlier runs keep among their reports, read as they are: a file that is damaged is passed over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from luthier.runs.run import Run


@dataclass(frozen=True, slots=True)
class KeptComparison:
    """A reports/comparison.json and the run in whose folder it stands. `content` is an object, of whatever shape."""

    run: Run
    path: Path
    content: Mapping[str, Any]


def comparisons(root: Path) -> Iterator[KeptComparison]:
    """Every comparison under a folder of runs, the newest first."""
    found = [(path.stat().st_mtime, path) for path in root.glob("*/reports/comparison.json")]
    for _, path in sorted(found, reverse=True):
        try:
            content = orjson.loads(path.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            continue
        if isinstance(content, dict):
            yield KeptComparison(Run(path.parent.parent), path, content)
