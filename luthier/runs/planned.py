"""A folder of several runs that were planned together: found again by its plan, so that work goes on where it ended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import orjson

from luthier.errors import mistake
from luthier.runs import whole
from luthier.runs.run import Run

VERSION = 1


@dataclass(frozen=True, slots=True)
class PlannedFolder:
    """The folder. Made or found again by `planned`. `WHAT` is a word for what is planned, `WHOLE` for all of it."""

    folder: Path
    WHAT: ClassVar[str] = "work"
    WHOLE: ClassVar[str] = "planned work"

    @classmethod
    def planned(cls, root: Path, plain: str, plan: Mapping[str, Any], name: str | None = None) -> Self:
        """What was begun with the same plan, or something new: `root/<name>`, or `root/<plain>` with a number behind it
        where that one was begun with another plan.

        Raises `UserError` where `name` is that of another plan, or of something else.
        """
        whole_plan = orjson.loads(orjson.dumps({"version": VERSION, **plan}))
        plain = name or plain
        if not re.fullmatch(r"[^\W_][\w.+-]*", plain):
            raise mistake(
                f"{plain!r} cannot name a {cls.WHAT}", "--name", "letters, digits, and . _ + - after the first"
            )
        number = 1
        while True:
            found = cls(root / (plain if number == 1 else f"{plain}-{number}"))
            if whole.make_folder(found.folder, above=True):
                whole.write_json(found._plan, whole_plan)
                return found
            before = read_object(found._plan)
            if before == whole_plan:
                return found
            if before is None and found.folder.is_dir() and not any(found.folder.iterdir()):
                whole.write_json(found._plan, whole_plan)  # killed between making the folder and writing the plan
                return found
            if name:
                changed = cls._changed(before, whole_plan) if before else f"it is no {cls.WHOLE}"
                remedy = f"take another name: --name {name}-2; or type what it began with"
                raise mistake(f"a folder of this name is there: {changed}", str(found.folder), remedy)
            number += 1

    def run(self, name: str) -> Run | None:
        """The run of that name in the folder, if it was begun."""
        run = Run(self.folder / name)
        return run if (run.folder / "run.json").is_file() else None

    def lock(self) -> AbstractContextManager[None]:
        """Only one process works here: a second one gets a `UserError`. A killed process holds nothing."""
        remedy = "wait until it ends, or stop it with Ctrl-C there"
        busy = mistake(f"another process is at this {self.WHAT}", str(self.folder), remedy)
        return whole.locked(self.folder / ".lock", self.folder, lambda: busy)

    @property
    def _plan(self) -> Path:
        return self.folder / "plan.json"

    @classmethod
    def _changed(cls, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
        """Which parts of the plan are others now."""
        names = [name.replace("_", " ") for name in now if before.get(name) != now[name]]
        return f"a {cls.WHAT} that was begun with other {' and '.join(names)}"


def read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, None where there is none."""
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
