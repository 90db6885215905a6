"""A comparison of methods on disk: a folder with the runs of every method and seed in it, and what came out of them.

runs/<name>/
  plan.json          what the comparison was asked for: typed again, it is found by this and goes on
  searches.json      by method, the learning rates tried and what came of them
  search/            the short runs of a search, gone when it is done
  <method>-seed-N/   a run like any other
  reports/           comparison.json, comparison.html
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from luthier.errors import mistake
from luthier.runs import whole
from luthier.runs.run import Run

VERSION = 1


@dataclass(frozen=True, slots=True)
class ComparisonFolder:
    """The folder of a comparison. Made or found again by `find`."""

    folder: Path

    @classmethod
    def find(cls, root: Path, stem: str, plan: Mapping[str, Any], name: str | None = None) -> ComparisonFolder:
        """The comparison that was begun with the same plan, or a new one: `root/<name>`, or `root/<stem>-methods`, with
        a number behind it where that one was begun with another plan.

        Raises `UserError` where `name` is that of a comparison with another plan, or of something else.
        """
        whole_plan = orjson.loads(orjson.dumps({"version": VERSION, **plan}))
        plain_stem = re.sub(r"[^\w.+-]+", "-", stem).strip("-_.+") or "rows"
        plain = name or f"{plain_stem}-methods"
        if not re.fullmatch(r"[^\W_][\w.+-]*", plain):
            raise mistake(
                f"{plain!r} cannot name a comparison", "--name", "letters, digits, and . _ + - after the first"
            )
        number = 1
        while True:
            found = cls(root / (plain if number == 1 else f"{plain}-{number}"))
            if whole.make_folder(found.folder, above=True):
                whole.write_json(found._plan, whole_plan)
                return found
            before = _read(found._plan)
            if before == whole_plan:
                return found
            if before is None and found.folder.is_dir() and not any(found.folder.iterdir()):
                whole.write_json(found._plan, whole_plan)  # killed between making the folder and writing the plan
                return found
            if name:
                changed = _changed(before, whole_plan) if before else "it is no comparison of methods"
                remedy = f"take another name: --name {name}-2; or type what it began with"
                raise mistake(f"a folder of this name is there: {changed}", str(found.folder), remedy)
            number += 1

    @property
    def search(self) -> Path:
        """The folder of the short runs of a search."""
        return self.folder / "search"

    def run(self, name: str) -> Run | None:
        """The run of that name in the comparison, if it was begun."""
        run = Run(self.folder / name)
        return run if (run.folder / "run.json").is_file() else None

    def searches(self) -> dict[str, Any]:
        """What each search came to so far, by method."""
        return _read(self.folder / "searches.json") or {}

    def keep_search(self, method: str, found: Mapping[str, Any]) -> None:
        """Keeps what a method's search came to, and deletes its runs."""
        whole.write_json(self.folder / "searches.json", {**self.searches(), method: found})
        shutil.rmtree(self.search, ignore_errors=True)

    def write(self, comparison: Mapping[str, Any], html: str) -> tuple[Path, Path]:
        """reports/comparison.json and comparison.html. Gives their paths."""
        return Run(self.folder).write_comparison(comparison, html)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Only one process works on a comparison: a second one gets a `UserError`. A killed process holds nothing."""
        from filelock import FileLock, Timeout

        with whole.to_disk(self.folder):
            held = FileLock(self.folder / ".lock", blocking=False)
            try:
                held.acquire()
            except Timeout:
                remedy = "wait until it ends, or stop it with Ctrl-C there"
                raise mistake("another process is at this comparison", str(self.folder), remedy) from None
        try:
            yield
        finally:
            held.release()

    @property
    def _plan(self) -> Path:
        return self.folder / "plan.json"


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
        content = _read(path)
        if content is not None:
            yield KeptComparison(Run(path.parents[1]), path, content)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Which parts of the plan are others now."""
    names = [name.replace("_", " ") for name in now if before.get(name) != now[name]]
    return f"a comparison that was begun with other {' and '.join(names)}"
