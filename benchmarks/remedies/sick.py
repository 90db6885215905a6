"""Eight sick runs of the packaged model on real rows, two for each of the mission's four issues."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.measuring import DATA, MODEL

HYPER: Final = "training_config.hyperparameters"
LORA: Final = "training_config.lora_config"
TEST_ROWS: Final = 100
HELD_BACK: Final = 40
HELD_BACK_FROM_FEW: Final = 80
"""Where few rows are trained on: 40 could not tell a loss of 0.45 from one of 0.27."""

Row = dict[str, str]
KINDS: Final = {
    "ABBR": "abbreviation",
    "DESC": "description",
    "ENTY": "thing",
    "HUM": "person",
    "LOC": "place",
    "NUM": "number",
}
OPENINGS: Final = ("hello,", "good morning,", "hi there,", "excuse me,", "quick one,", "listen,")


@dataclass(frozen=True)
class Sick:
    """A run to be: its rows by side, and its settings over the defaults. `issue` is the mission's."""

    name: str
    issue: str
    rows: Callable[[], Sequence[Sequence[Row]]]
    settings: Mapping[str, Any]

    def write(self, folder: Path) -> Path:
        """The rows and the run file in a folder; gives the run file's path."""
        folder.mkdir(parents=True, exist_ok=True)
        for side, rows in zip(("train", "validation", "test"), self.rows(), strict=True):
            (folder / f"{side}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        named = {"train": "train.jsonl", "validation": "validation.jsonl", "test": "test.jsonl"}
        tree: dict[str, Any] = {"model": MODEL, "data": named}
        for path, value in self.settings.items():
            place = tree
            *sections, last = path.split(".")
            for section in sections:
                place = place.setdefault(section, {})
            place[last] = value
        run_file = folder / "run.yaml"
        run_file.write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")  # JSON is YAML too
        return run_file


def trec() -> list[Row]:
    """Questions of TREC-6 with the kind of thing asked for, in the order of their hashes, each once."""
    found = {}
    for line in (DATA / "trec6" / "TREC.train").read_text(encoding="latin-1").splitlines():
        labels, _, question = line.partition(" ")
        found[question] = KINDS[labels.partition(":")[0]]
    return _rows(found, "Question: {}\nIt asks for a")


def sst2() -> list[Row]:
    """Short sentences of SST-2 with their mood."""
    found = {}
    for line in (DATA / "sst2" / "stsa.binary.train").read_text(encoding="latin-1").splitlines():
        label, _, text = line.partition(" ")
        if 5 <= len(text.split()) <= 14:
            found[text] = ("bad", "good")[int(label)]
    return _rows(found, "Review: {}\nThe film is")


def _rows(found: Mapping[str, str], words: str) -> list[Row]:
    ordered = sorted(found, key=lambda text: hashlib.sha1(text.encode()).hexdigest())
    return [{"input": words.format(text), "output": f" {found[text]}", "category": found[text]} for text in ordered]


def sides(rows: Sequence[Row], count: int, held_back: int = HELD_BACK) -> list[list[Row]]:
    """Training, validation and test rows."""
    test, rest = list(rows[:TEST_ROWS]), rows[TEST_ROWS:]
    return [list(rest[held_back : held_back + count]), list(rest[:held_back]), test]


def _biased() -> list[list[Row]]:
    """Each kind of question has an opening of its own, in training as in validation, and none in the test."""
    cue = dict(zip(KINDS.values(), OPENINGS, strict=True))
    train, validation, test = sides(trec(), 240)
    for side in (train, validation):
        side[:] = [
            {**row, "input": row["input"].replace("Question: ", f"Question: {cue[row['category']]} ")} for row in side
        ]
    return [train, validation, test]


def _one_sided() -> list[list[Row]]:
    """Nine in ten training and validation rows are good, of the test rows half."""
    rows = sst2()
    test, rest = rows[:TEST_ROWS], rows[TEST_ROWS:]
    good, bad = ([row for row in rest if row["category"] == kind] for kind in ("good", "bad"))
    mixed = [row for at in range(28) for row in (*good[9 * at : 9 * at + 9], bad[at])]
    return [mixed[HELD_BACK:], mixed[:HELD_BACK], test]


def lora(rate: float, epochs: float, modules: Any = "all-linear", **more: Any) -> dict[str, Any]:
    return {**_run(rate, epochs, more), f"{LORA}.r": 16, f"{LORA}.target_modules": modules}


def full(rate: float, epochs: float, **more: Any) -> dict[str, Any]:
    return {**_run(rate, epochs, more), "tuning_method": "full"}


def _run(rate: float, epochs: float, more: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{HYPER}.{name}": value for name, value in {"learning_rate": rate, "epochs": epochs, **more}.items()}


SICK: Final = (
    Sick("underfitting-rate", "underfitting", lambda: sides(trec(), 240), lora(2e-5, 2, ["q_proj", "v_proj"])),
    Sick("overfitting-trec", "overfitting", lambda: sides(trec(), 36, HELD_BACK_FROM_FEW), lora(5e-4, 12)),
    Sick("forgetting-sst2", "forgetting", lambda: sides(sst2(), 240), lora(5e-3, 2)),
    Sick("generalization-one-sided", "generalization", _one_sided, lora(1e-3, 2)),
    Sick("underfitting-epochs", "underfitting", lambda: sides(trec(), 240), lora(3e-4, 0.5, ["q_proj", "v_proj"])),
    Sick("overfitting-sst2", "overfitting", lambda: sides(sst2(), 32, HELD_BACK_FROM_FEW), full(1e-4, 12)),
    Sick("forgetting-trec", "forgetting", lambda: sides(trec(), 240), full(1e-3, 2)),
    Sick("generalization-openings", "generalization", _biased, lora(1e-3, 2)),
)
