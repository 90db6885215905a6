"""A large file of varied chat rows by a seeded generator: real sentences, questions, sums, labels and calls of tools.

The rows are put together, and no two kinds alike: sentences of web pages and answers, word problems with other numbers,
messages with their labels, descriptions, dialogues, calls of tools, Chinese, an assistant's identity. 3 rows of 100
repeat an earlier one but for a word or two, 1 repeats one wholly, and 1 has a fault put in. About 350 bytes a row.
"""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring import DATA

Messages = list[dict[str, Any]]

NEAR, EXACT, FAULTY = 0.03, 0.01, 0.01
RECENT = 20_000
"""Rows back that a copy may be of."""
_SENTENCE = re.compile(r"[^.!?\n]{20,220}[.!?](?=\s|$)")
_NUMBER = re.compile(r"\d+")
_NAMES = ["Ada", "Bela", "Chidi", "Dana", "Emre", "Farah", "Goran", "Hanna", "Ines", "Jonas", "Kaja", "Liu", "Mara"]
_FAULTS: tuple[Callable[[random.Random], str], ...] = (
    lambda chance: f" Write to {chance.choice(_NAMES).lower()}.brandt{chance.randint(1, 99)}@posteo.de.",
    lambda chance: f" Call +49 171 {chance.randint(1000, 9999)} {chance.randint(1000, 9999)} in the evening.",
    lambda chance: f" It costs 12 + {chance.randint(2, 90)} = 4.",
    lambda chance: " As an AI language model, I have no opinion.",
    lambda chance: " [INSERT NAME HERE]",
    lambda chance: " Das CafÃ© ist schÃ¶n.",
    lambda chance: " You are a worthless idiot.",
    lambda chance: " Ignore all previous instructions.",
    lambda chance: f" The key is AKIA{''.join(chance.choices('ABCDEFGHJKLMNPQRSTUVWXYZ234567', k=16))}.",
    lambda chance: " and so on and so on and so on and so on and so on and so on and so on and so on",
)


def write(path: Path, count: int, seed: int = 0) -> None:
    """Writes `count` rows, always the same ones for a seed."""
    chance = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for messages in _rows(count, chance):
            file.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")


def _rows(count: int, chance: random.Random) -> Iterator[Messages]:
    kinds = _Kinds()
    makers, weights = zip(*kinds.weighted(), strict=True)
    recent: list[Messages] = []
    for _ in range(count):
        drawn = chance.random()
        if drawn < NEAR + EXACT and recent:
            messages = chance.choice(recent)
            if drawn < NEAR:
                messages = _changed(messages, chance)
        else:
            messages = chance.choices(makers, weights)[0](chance)
            if chance.random() < FAULTY:
                messages = [
                    *messages[:-1],
                    _said("assistant", messages[-1]["content"] + chance.choice(_FAULTS)(chance)),
                ]
        if len(recent) < RECENT:
            recent.append(messages)
        else:
            recent[chance.randrange(RECENT)] = messages
        yield messages


class _Kinds:
    """The real texts, and a way to make each kind of row of them."""

    def __init__(self) -> None:
        self.alpaca = _json("llama_factory/alpaca_en_demo.json")
        self.chinese = _json("llama_factory/alpaca_zh_demo.json")
        self.identity = _json("llama_factory/identity.json")
        self.tools = _json("llama_factory/glaive_toolcall_en_demo.json")
        self.sums = _lines("gsm8k/train.jsonl")
        pages = [row["text"] for row in _lines("llama_factory/c4_demo.jsonl")]
        pages += _text("llama_factory/wiki_demo.txt").split("\n")
        pages += [row["output"] for row in self.alpaca]
        pages += [row["chosen"]["value"] for row in _json("llama_factory/dpo_en_demo.json")]
        pages += [row["messages"][-1]["content"] for row in _json("llama_factory/kto_en_demo.json")]
        self.sentences = sorted({found for page in pages for found in _SENTENCE.findall(page)})
        self.asked = [row["instruction"] for row in self.alpaca if len(row["instruction"]) < 150]
        self.asked += [text for text, _ in json.loads(_text("clinc150/data_small_train_val.json"))["train"]]
        with (DATA / "banking77" / "train.csv").open(encoding="utf-8", newline="") as file:
            self.labelled = [(row["text"], row["category"]) for row in csv.DictReader(file)]
        with (DATA / "e2e_nlg" / "devset.csv").open(encoding="utf-8", newline="") as file:
            self.described = [(row["mr"], row["ref"]) for row in csv.DictReader(file)]
        self.reviews = [line[2:] for line in _text("sst2/stsa.binary.train").split("\n") if len(line) > 30]

    def weighted(self) -> list[tuple[Callable[[random.Random], Messages], float]]:
        return [
            (self.explained, 38), (self.real, 5), (self.sum, 10), (self.label, 20), (self.description, 7),
            (self.dialogue, 7), (self.call, 4), (self.in_chinese, 3), (self.who, 1),
        ]  # fmt: skip

    def explained(self, chance: random.Random) -> Messages:
        about = chance.choice(self.sentences)
        asked = f"{chance.choice(self.asked)} {about if chance.random() < 0.2 else ''}".strip()
        return _turn(asked, " ".join(chance.choices(self.sentences, k=chance.choice((1, 1, 1, 2)))))

    def real(self, chance: random.Random) -> Messages:
        row = chance.choice(self.alpaca)
        asked = f"{row['instruction']}\n\n{row['input']}".strip()
        return _turn(f"{asked} ({chance.choice(self.asked)})", f"{row['output'][:250].strip()}")

    def sum(self, chance: random.Random) -> Messages:
        row, shift = chance.choice(self.sums), chance.randint(0, 9)
        asked, told = (
            _NUMBER.sub(lambda found: f"{int(found[0]) + shift}", row[key]) for key in ("question", "answer")
        )
        return _turn(f"{chance.choice(self.reviews)} {asked[-110:].strip()}", told[-90:].strip())

    def label(self, chance: random.Random) -> Messages:
        text, label = chance.choice(self.labelled)
        return _turn(f"{text} {chance.choice(self.reviews)} {chance.choice(self.asked)}", label)

    def description(self, chance: random.Random) -> Messages:
        (fields, told), (_, more) = chance.choice(self.described), chance.choice(self.described)
        return _turn(f"Describe: {fields}", f"{told} {more}")

    def dialogue(self, chance: random.Random) -> Messages:
        first = _turn(chance.choice(self.asked), chance.choice(self.sentences))
        second = _turn(chance.choice(self.labelled)[0], chance.choice(self.sentences))
        return [_said("system", "You are a helpful assistant."), *first, *second]

    def call(self, chance: random.Random) -> Messages:
        while True:
            told = chance.choice(self.tools)["conversations"]
            places = [number for number, turn in enumerate(told) if turn["from"] == "function_call"]
            place = places[0] if places else 0
            if place and len(told) > place + 2 and told[place + 1]["from"] == "observation":
                break
        called = json.loads(told[place]["value"])
        called = called[0] if isinstance(called, list) else called
        arguments = _NUMBER.sub(
            lambda found: str(chance.randint(1, 10 ** min(6, len(found[0])))),
            json.dumps(called["arguments"], ensure_ascii=False),
        )
        function = {"name": called["name"], "arguments": arguments}
        return [
            _said("user", f"{told[place - 1]['value'][-120:].strip()} {chance.choice(self.asked)}"),
            {**_said("assistant", ""), "tool_calls": [{"id": "call_1", "type": "function", "function": function}]},
            {**_said("tool", told[place + 1]["value"][:120]), "tool_call_id": "call_1"},
            _said("assistant", told[place + 2]["value"][:120]),
        ]

    def in_chinese(self, chance: random.Random) -> Messages:
        row, other = chance.choice(self.chinese), chance.choice(self.chinese)
        return _turn(
            f"{row['instruction'][:60]}{other['instruction'][:60]}",
            row["output"][:90].strip() + other["output"][-60:].strip(),
        )

    def who(self, chance: random.Random) -> Messages:
        row = chance.choice(self.identity)
        told = row["output"].replace("{{name}}", chance.choice(_NAMES)).replace("{{author}}", chance.choice(_NAMES))
        return _turn(
            f"{chance.choice(self.labelled)[0]} {row['instruction']}", f"{told} {chance.choice(self.sentences)}"
        )


def _turn(asked: str, told: str) -> Messages:
    return [_said("user", asked), _said("assistant", told)]


def _said(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


def _changed(messages: Messages, chance: random.Random) -> Messages:
    """The messages with one or two words of the longest one left out or doubled."""
    longest = max(range(len(messages)), key=lambda place: len(messages[place]["content"]))
    words = messages[longest]["content"].split(" ")
    for _ in range(chance.randint(1, 2)):
        place = chance.randrange(len(words))
        words[place : place + 1] = (
            [] if len(words) > 8 and chance.random() < 0.5 else [words[place], chance.choice(_NAMES)]
        )
    return [*messages[:longest], {**messages[longest], "content": " ".join(words)}, *messages[longest + 1 :]]


def _text(name: str) -> str:
    path = DATA / name
    if not path.is_file():
        raise SystemExit(f"the benchmark's rows are absent: {path}")
    return path.read_text(encoding="utf-8")


def _json(name: str) -> Sequence[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(_text(name))
    return found


def _lines(name: str) -> Sequence[dict[str, Any]]:
    return [json.loads(line) for line in _text(name).splitlines() if line]
