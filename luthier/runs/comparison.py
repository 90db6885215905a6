"""A comparison of methods on disk: a folder with the runs of every method and seed in it, and what came out of them.

runs/<name>/
  plan.json          what the comparison was asked for: typed again, it is found by this and goes on
  searches.json      by method, the learning rates tried and what came of them
  search/            the short runs of a search, gone when it is done
  <method>-seed-N/   a run like any other
  reports/           comparison.json, comparison.html
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from luthier.runs import whole
from luthier.runs.planned import PlannedFolder, read_object
from luthier.runs.run import Run


@dataclass(frozen=True, slots=True)
class ComparisonFolder(PlannedFolder):
    """The folder of a comparison. Made or found again by `find`."""

    WHAT: ClassVar[str] = "comparison"
    WHOLE: ClassVar[str] = "comparison of methods"

    @classmethod
    def find(cls, root: Path, stem: str, plan: Mapping[str, Any], name: str | None = None) -> ComparisonFolder:
        """The comparison that was begun with the same plan, or a new one: `root/<name>`, or `root/<stem>-methods`."""
        return cls.planned(root, f"{whole.folder_name(stem, 'rows')}-methods", plan, name)

    @property
    def search(self) -> Path:
        """The folder of the short runs of a search."""
        return self.folder / "search"

    def searches(self) -> dict[str, Any]:
        """What each search came to so far, by method."""
        return read_object(self.folder / "searches.json") or {}

    def keep_search(self, method: str, found: Mapping[str, Any]) -> None:
        """Keeps what a method's search came to, and deletes its runs."""
        whole.write_json(self.folder / "searches.json", {**self.searches(), method: found})
        shutil.rmtree(self.search, ignore_errors=True)

    def write(self, comparison: Mapping[str, Any], html: str) -> tuple[Path, Path]:
        """reports/comparison.json and comparison.html. Gives their paths."""
        return Run(self.folder).write_comparison(comparison, html)


@dataclass(frozen=True, slots=True)
class KeptComparison:
    """A reports/comparison.json and the run, or the folder of a comparison, in which it stands. `content` is an object,
    of whatever shape."""

    run: Run
    path: Path
    content: Mapping[str, Any]

    def runs(self) -> Iterator[Run]:
        """The run that keeps it, or the runs in the comparison's folder."""
        yield self.run
        for path in sorted(self.run.folder.glob("*/run.json")):
            yield Run(path.parent)


def comparisons(root: Path) -> Iterator[KeptComparison]:
    """Every comparison under a folder of runs, the newest first. What cannot be read is left out."""
    found = [(path.stat().st_mtime, path) for path in root.glob("*/reports/comparison.json")]
    for _, path in sorted(found, reverse=True):
        content = read_object(path)
        if content is not None:
            yield KeptComparison(Run(path.parents[1]), path, content)
