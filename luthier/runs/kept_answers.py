"""Answers kept line by line as they are found, so that who was stopped half-way goes on and asks no row twice."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from luthier.errors import mistake
from luthier.runs import whole

_WHAT_CHANGED = {
    "data_sha256": "the rows changed",
    "weights_sha256": "the run's weights changed",
    "settings_sha256": "the run's settings changed",
    "max_tokens": "the most tokens of an answer changed",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What answers depend on: the rows, the weights and settings of the run, and the longest answer. `out` is the file
    that they are for, and `rows` how many they will be."""

    out: str
    data: str
    rows: int
    data_sha256: str
    weights_sha256: str
    settings_sha256: str
    max_tokens: int


@dataclass(frozen=True, slots=True)
class KeptAnswers:
    """answers/generated-<name>.jsonl of a run, a line an answer in the order in which they were found, and beside it a
    .json that says what they depend on."""

    path: Path
    asked: Asked

    @classmethod
    def find(cls, folder: Path, asked: Asked) -> KeptAnswers:
        """Those that were begun for the same file, or new ones.

        Raises `UserError` where some were begun and what they depend on is another now. Whole ones that depend on
        something else are left as they are; new ones get the next number.
        """
        whole.make_folder(folder)
        stem = Path(asked.out).stem or "answers"
        number = 1
        while True:
            kept = cls(folder / f"generated-{stem}{'' if number == 1 else f'-{number}'}.jsonl", asked)
            if not kept._record.is_file():
                whole.write_json(kept._record, asdict(asked))
                return kept
            before = Asked(**orjson.loads(kept._record.read_bytes()))
            if before.out == asked.out:
                changed = [
                    words for name, words in _WHAT_CHANGED.items() if getattr(before, name) != getattr(asked, name)
                ]
                if not changed:
                    return kept
                done = len(kept.lines())
                if done < before.rows:
                    raise mistake(
                        f"{' and '.join(changed)} since {done:,} of {before.rows:,} rows were answered for this file",
                        asked.out,
                        f"to go on, put back what it was (rows: {before.data}); to begin anew, name another file with "
                        f"--out, or delete {kept._record}",
                    )
            number += 1

    def lines(self) -> list[dict[str, Any]]:
        """The answers found so far; half a line at the end, which a killed process left, is no answer."""
        if not self.path.is_file():
            return []
        try:
            return [orjson.loads(line) for line in self.path.read_bytes().split(b"\n")[:-1]]
        except ValueError as error:
            remedy = f"delete {self._record} to answer all rows anew"
            raise mistake(f"a line of the kept answers cannot be read: {error}", str(self.path), remedy) from error

    def add(self, line: Mapping[str, Any]) -> None:
        """Keeps one more answer at once."""
        whole.append(self.path, orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def lock(self) -> AbstractContextManager[None]:
        """Only one process adds to them: a second one gets a `UserError`. A killed process holds nothing."""
        remedy = "wait until it ends, or stop it with Ctrl-C there"
        busy = mistake("another process is writing these answers", self.asked.out, remedy)
        return whole.locked(self.path.with_suffix(".lock"), self.path, lambda: busy)

    @property
    def _record(self) -> Path:
        return self.path.with_suffix(".json")
