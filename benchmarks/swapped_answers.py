"""Answers swapped between rows, and answers garbled: how many `luthier check --deep` names, and how many good ones.

A seeded tenth of the rows of a file exchange their answers with each other, and in a fiftieth the answer's words are
shuffled. All others are taken to be as they should.

    python -m benchmarks.swapped_answers ../shared/data/llama_factory/alpaca_en_demo.json
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring import commit, machine
from luthier.data import checks
from luthier.data.check import Gathered, load_rows, look
from luthier.data.quality import measure
from luthier.flow import Event, Progress, result_of
from luthier.workflow.answer_losses import MODEL, answer_losses

SWAPPED = 0.1
GARBLED = 0.02


@dataclass(frozen=True)
class Planted:
    """Rows of the file with what was done to each: `swapped`, `garbled` or nothing."""

    rows: list[dict[str, str]]
    kinds: list[str]


def planted(rows: list[dict[str, str]], seed: int) -> Planted:
    """The rows, some with an answer of another row that differs from their own, some with their words shuffled."""
    chance = random.Random(seed)
    changed = [dict(row) for row in rows]
    kinds = [""] * len(rows)
    chosen = chance.sample(range(len(rows)), round((SWAPPED + GARBLED) * len(rows)))
    swapped = chosen[: round(SWAPPED * len(rows))]
    for place, row in enumerate(swapped):
        other = swapped[place - 1]
        if rows[other]["response"] != rows[row]["response"]:
            changed[row]["response"] = rows[other]["response"]
            kinds[row] = "swapped"
    for row in chosen[len(swapped) :]:
        words = rows[row]["response"].split()
        if len(words) > 5:
            chance.shuffle(words)
            changed[row]["response"] = " ".join(words)
            kinds[row] = "garbled"
    return Planted(changed, kinds)


def as_pairs(path: Path) -> list[dict[str, str]]:
    """The file's rows as one question and one answer each, those that have more or less left out."""
    found = []
    for row in load_rows([(path, 1.0)], bad_rows="drop").conversations:
        if [message.role for message in row.messages] == ["user", "assistant"]:
            question, answer = (message.content for message in row.messages)
            found.append({"instruction": question, "response": answer})
    return found


def found_in(given: Planted, model: str) -> dict[str, Any]:
    """How many of each kind the check names, of those that it judged."""

    def listen(event: Event) -> None:
        if isinstance(event, Progress):
            print(f"\r{event.what} {event.done} of {event.total}", end="", file=sys.stderr)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_text("".join(f"{json.dumps(row)}\n" for row in given.rows), encoding="utf-8")
        gathered = Gathered(*look([(path, 1.0)]))
        work = measure(gathered, [checks.load("hard_answers")], fill=lambda whole: answer_losses(whole, model, never))
        quality = result_of(work, listen)
    [result] = quality.results
    tokens, losses = (quality.whole.columns[name] for name in ("answer_tokens", "answer_loss"))
    of: Counter[str] = Counter()
    named: Counter[str] = Counter()
    for kind, count, loss, hit in zip(given.kinds, tokens, losses, result.rows, strict=True):
        if count and loss == loss:
            of[kind or "as they were"] += 1
            named[kind or "as they were"] += bool(hit)
    return {"numbers": dict(result.numbers), **{kind: {"named": named[kind], "of": of[kind]} for kind in of}}


def never() -> bool:
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rows = planted(as_pairs(given.file)[: given.rows], given.seed)
    started = time.perf_counter()
    found = found_in(rows, given.model)
    seconds = round(time.perf_counter() - started, 1)
    told = {"file": given.file.name, "model": given.model, "rows": len(rows.rows), "seed": given.seed}
    print(json.dumps({**told, **found, "seconds": seconds, "commit": commit(), "machine": machine()}, indent=1))


if __name__ == "__main__":
    main()
