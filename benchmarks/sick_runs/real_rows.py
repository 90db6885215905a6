"""Rows of real data: labelled questions to tune on, and the text from which the tiny models learn their English."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.measuring import DATA

Row = Mapping[str, str]
"""An instruction row: `instruction`, `input`, `output` and `category`."""


class Absent(SystemExit):
    """A file of real data that is not there."""


@dataclass(frozen=True)
class Source:
    """Labelled rows of one data set. `by_label` maps a label to its rows, in an order drawn from the seed."""

    name: str
    instruction: str
    by_label: Mapping[str, Sequence[Row]]

    @property
    def labels(self) -> list[str]:
        return list(self.by_label)

    def rows(self, each: Mapping[str, tuple[int, int]]) -> list[Row]:
        """Of each label the rows from one place to another: `{"HUM": (0, 50)}`."""
        return [row for label, (start, end) in each.items() for row in self.by_label[label][start:end]]


def source(name: str, seed: int, labels: int | None = None) -> Source:
    """A data set by name, some of its labels drawn by the seed: those with the most rows of twice as many drawn."""
    pairs, instruction = SOURCES[name]()
    generator = np.random.default_rng([seed, 11])
    by_label: dict[str, dict[str, None]] = {}
    for text, label in pairs:
        by_label.setdefault(label, {}).setdefault(" ".join(text.split()))
    names = sorted(by_label)
    if labels is not None and labels < len(names):
        drawn = [names[at] for at in generator.permutation(len(names))[: 2 * labels]]
        names = sorted(sorted(drawn, key=lambda label: -len(by_label[label]))[:labels])
    shuffled = {}
    for label in names:
        texts = list(by_label[label])
        order = generator.permutation(len(texts))
        shuffled[label] = [_row(instruction, texts[at], label) for at in order]
    return Source(name, instruction, shuffled)


def _row(instruction: str, text: str, label: str) -> Row:
    return {"instruction": instruction, "input": text, "output": label, "category": label}


def _trec6() -> tuple[Iterator[tuple[str, str]], str]:
    kinds = {"ABBR": "abbreviation", "DESC": "description", "ENTY": "thing", "HUM": "person", "LOC": "place"}
    lines = there("trec6/TREC.train").read_text(encoding="latin-1").splitlines()
    parts = (line.partition(" ") for line in lines)
    pairs = ((text, kinds.get(label.partition(":")[0], "number")) for label, _, text in parts)
    return ((text, label) for text, label in pairs if label != "abbreviation"), "What does the question ask for?"


def _clinc150() -> tuple[Iterator[tuple[str, str]], str]:
    content = json.loads(there("clinc150/data_small_train_val.json").read_text(encoding="utf-8"))
    pairs = ((text, intent.replace("_", " ")) for side in ("train", "val") for text, intent in content[side])
    return pairs, "What does the user want?"


def _banking77() -> tuple[Iterator[tuple[str, str]], str]:
    with there("banking77/train.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["text"], row["category"].lower().replace("_", " ").rstrip("?")) for row in csv.DictReader(file)]
    return iter(rows), "Name the topic of this message to a bank."


def _restaurants(asked: str, *attributes: str) -> tuple[Iterator[tuple[str, str]], str]:
    """Sentences about a restaurant, and what they say of it."""
    with there("e2e_nlg/devset.csv").open(encoding="utf-8", newline="") as file:
        rows = [(dict(_ATTRIBUTE.findall(row["mr"])), row["ref"]) for row in csv.DictReader(file)]
    told = ((text, [found[name] for name in attributes if name in found]) for found, text in rows)
    return ((text, " ".join(names).lower()) for text, names in told if len(names) == len(attributes)), asked


_ATTRIBUTE = re.compile(r"(?:^|, )([a-zA-Z ]+)\[(.*?)\]")

SOURCES: Mapping[str, Callable[[], tuple[Iterator[tuple[str, str]], str]]] = {
    "trec6": _trec6,
    "clinc150": _clinc150,
    "banking77": _banking77,
    "kitchen": partial(_restaurants, "Which kitchen is it, and where?", "food", "area"),
}


# ------------------------------------------------------------------------------------------ what models learn from


@dataclass(frozen=True)
class Text:
    """Something to read: a question with its answer, or (without a question) a passage."""

    answer: str
    question: str = ""


def english() -> tuple[list[Text], list[Text]]:
    """What the tiny models learn from, and what is held back from them: every 16th of each file's texts."""
    learned: list[Text] = []
    held_back: list[Text] = []
    for file in (_alpaca(), _preferred(), _sums(), _reviews(), _web(), _encyclopedia()):
        for number, text in enumerate(file):
            (held_back if number % 16 == 7 else learned).append(text)
    return learned, held_back


def _alpaca() -> Iterator[Text]:
    for row in json.loads(there("llama_factory/alpaca_en_demo.json").read_text(encoding="utf-8")):
        yield Text(row["output"], f"{row['instruction']}\n\n{row['input']}".strip())


def _preferred() -> Iterator[Text]:
    for row in json.loads(there("llama_factory/dpo_en_demo.json").read_text(encoding="utf-8")):
        yield Text(row["chosen"]["value"], row["conversations"][-1]["value"])


def _sums() -> Iterator[Text]:
    with there("gsm8k/train.jsonl").open(encoding="utf-8") as file:
        for _, line in zip(range(2500), file, strict=False):
            row = json.loads(line)
            yield Text(row["answer"].rpartition("####")[2].strip(), row["question"])


def _reviews() -> Iterator[Text]:
    lines = there("sst2/stsa.binary.train").read_text(encoding="utf-8").splitlines()[:3000]
    for label, _, text in (line.partition(" ") for line in lines):
        yield Text(("negative", "positive")[int(label)], f"Is this sentence negative or positive?\n\n{text}")


def _web() -> Iterator[Text]:
    with there("llama_factory/c4_demo.jsonl").open(encoding="utf-8") as file:
        for line in file:
            yield Text(json.loads(line)["text"])


def _encyclopedia() -> Iterator[Text]:
    for line in there("llama_factory/wiki_demo.txt").read_text(encoding="utf-8").splitlines():
        if len(line) > 40:
            yield Text(line[:4000])


def there(name: str) -> Path:
    """A file of real data. Raises `Absent` where it is not there."""
    if not (DATA / name).is_file():
        raise Absent(f"no battery of sick runs without its real data: {DATA / name} is absent")
    return DATA / name
