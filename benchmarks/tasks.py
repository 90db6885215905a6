"""Six small tasks of different kinds from real data, each as a folder with a run file and rows for three sides.

The questions with the smallest SHA-1 are the test, the next ones validation, the next ones training. A question stands
on one side: once in test and validation, with each of its answers in training.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring import DATA

SCORED = 400
VALIDATED = 150
TRAINED = 3000
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """A task: how its rows are read (as instruction rows, with a category where that is a label), the metric that
    methods are judged by, and how many questions are for validation."""

    name: str
    what: str
    rows: Callable[[], Iterator[Row]]
    metric: str
    validated: int = VALIDATED


def write(task: Task, folder: Path, scored: int = SCORED, trained: int = TRAINED, validated: int | None = None) -> Path:
    """Writes train.jsonl, validation.jsonl, test.jsonl and run.yaml into the folder; gives the run file's path.

    Raises `SystemExit` where the data is absent or too little.
    """
    folder.mkdir(parents=True, exist_ok=True)
    by_question: dict[str, dict[str, Row]] = {}
    for row in task.rows():
        digest = hashlib.sha1(_asked(row).encode()).hexdigest()
        by_question.setdefault(digest, {}).setdefault(row["output"], row)
    ordered = [list(by_question[digest].values()) for digest in sorted(by_question)]
    learned = scored + (task.validated if validated is None else validated)
    if len(ordered) < learned + 100:
        raise SystemExit(f"{task.name} has {len(ordered)} questions, too few for {scored} scored ones")
    sides = {
        "test": [answers[0] for answers in ordered[:scored]],
        "validation": [answers[0] for answers in ordered[scored:learned]],
        "train": [row for answers in ordered[learned:] for row in answers][:trained],
    }
    for name, rows in sides.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    targets = "" if task.metric == "accuracy" else "targets: {accuracy: null}\n"
    data = (
        "data: {train: train.jsonl, validation: validation.jsonl, test: test.jsonl, max_length: 512, too_long: drop}\n"
    )
    (folder / "run.yaml").write_text(data + targets, encoding="utf-8")
    return folder / "run.yaml"


def _asked(row: Row) -> str:
    return f"{row['instruction']}\n{row.get('input', '')}"


def _labelled(instruction: str, pairs: Iterator[tuple[str, str]]) -> Iterator[Row]:
    for text, label in pairs:
        yield {"instruction": instruction, "input": text, "output": label, "category": label}


def _trec6() -> Iterator[Row]:
    lines = _there("trec6/TREC.train").read_text(encoding="latin-1").splitlines()
    pairs = ((question, labels.partition(":")[0]) for labels, _, question in (line.partition(" ") for line in lines))
    return _labelled("Classify the question. Answer with one label: ABBR, DESC, ENTY, HUM, LOC or NUM.", pairs)


def _sst2() -> Iterator[Row]:
    lines = _there("sst2/stsa.binary.train").read_text(encoding="utf-8").splitlines()
    pairs = ((text, ("negative", "positive")[int(label)]) for label, _, text in (line.partition(" ") for line in lines))
    return _labelled("Is this sentence of a film review positive or negative?", pairs)


def _banking77() -> Iterator[Row]:
    with _there("banking77/train.csv").open(encoding="utf-8", newline="") as file:
        pairs = [(row["text"], row["category"]) for row in csv.DictReader(file)]
    return _labelled("Name the topic of this message to a bank.", iter(pairs))


def _e2e() -> Iterator[Row]:
    with _there("e2e_nlg/devset.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {
                "instruction": "Describe the restaurant in a sentence or two.",
                "input": row["mr"],
                "output": row["ref"],
            }


def _gsm8k() -> Iterator[Row]:
    for line in _there("gsm8k/train.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield {"instruction": row["question"], "output": row["answer"]}


def _alpaca() -> Iterator[Row]:
    for row in json.loads(_there("llama_factory/alpaca_en_demo.json").read_text(encoding="utf-8")):
        if row["output"].strip():
            yield {name: row[name] for name in ("instruction", "input", "output") if row[name]}


def _there(name: str) -> Path:
    if not (DATA / name).is_file():
        raise SystemExit(f"the benchmark's rows are absent: {DATA / name}")
    return DATA / name


TASKS: Sequence[Task] = (
    Task("trec6", "six kinds of question", _trec6, "accuracy"),
    Task("sst2", "positive or negative sentences", _sst2, "accuracy"),
    Task("banking77", "77 topics of messages to a bank", _banking77, "accuracy"),
    Task("e2e_nlg", "descriptions of restaurants from data", _e2e, "loss", validated=40),  # it has 547 questions
    Task("gsm8k", "worked answers to word problems", _gsm8k, "loss"),
    Task("alpaca", "instructions of every kind", _alpaca, "loss"),
)
