"""Remedies tried on a run, on disk: a folder beside it with the runs that were made, and what came of them.

runs/<run>-remedy/
  plan.json      which run it is about: typed again, it is found by this and goes on
  rounds.json    what was found, what is tried for it and how long, decided once
  rows/          rows kept, where a remedy leaves some out
  <n>-<remedy>/  a run like any other; with -short behind it a short one
  reports/       remedy.json, remedy.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from luthier.runs import whole
from luthier.runs.planned import PlannedFolder, read_object
from luthier.runs.run import Run


@dataclass(frozen=True, slots=True)
class RemedyFolder(PlannedFolder):
    """The folder. Made or found again by `find`."""

    WHAT: ClassVar[str] = "remedy"
    WHOLE: ClassVar[str] = "folder of remedies"

    @classmethod
    def find(cls, run: Run) -> RemedyFolder:
        """What was begun for this run as it is, or a new folder beside it."""
        plan = {"run": run.name, "fingerprint": run.fingerprint()}
        return cls.planned(run.folder.parent, f"{whole.folder_name(run.name, 'run')}-remedy", plan)

    def rounds(self) -> list[dict[str, Any]]:
        """What was decided so far, a round an entry."""
        found: list[dict[str, Any]] = (read_object(self.folder / "rounds.json") or {}).get("rounds", [])
        return found

    def keep_rounds(self, rounds: Sequence[Mapping[str, Any]]) -> None:
        whole.write_json(self.folder / "rounds.json", {"version": 1, "rounds": list(rounds)})

    def rows(self) -> Path:
        """The folder of kept rows."""
        path = self.folder / "rows"
        whole.make_folder(path)
        return path

    def write(self, found: Mapping[str, Any], html: str) -> tuple[Path, Path]:
        """reports/remedy.json and remedy.html. Gives their paths."""
        data = Run(self.folder).write_other_report("remedy", found)
        page = data.with_name("remedy.html")
        whole.write_bytes(page, html.encode("utf-8", "backslashreplace"))
        return data, page
