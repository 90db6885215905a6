"""Makes chat rows of TREC-6: questions, and which of six kinds of thing each asks for.

`python benchmarks/trec6/prepare.py TREC.train FOLDER` writes FOLDER/train.jsonl, test.jsonl and run.yaml. The 500 rows
with the smallest SHA-1 of their question are held back as the test; equal questions stay on one side.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

SYSTEM = "Classify the question. Answer with one label: ABBR, DESC, ENTY, HUM, LOC or NUM."
HELD_BACK = 500


def main() -> None:
    """Both from the command line, and how many rows each side has."""
    for path, count in prepare(Path(sys.argv[1]), Path(sys.argv[2])).items():
        print(f"{path}: {count:,} rows")


def prepare(source: Path, folder: Path) -> dict[Path, int]:
    """Reads the corpus (`COARSE:fine question`, latin-1), writes both sides and the run file; each side's rows."""
    counts: dict[Path, int] = {}
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for line in source.read_text(encoding="latin-1").splitlines():
        labels, _, question = line.partition(" ")
        rows.append((hashlib.sha1(question.encode()).hexdigest(), question, labels.partition(":")[0]))
    last = sorted(rows)[HELD_BACK - 1][0]
    for name, side in (
        ("test.jsonl", [row for row in rows if row[0] <= last]),
        ("train.jsonl", [row for row in rows if row[0] > last]),
    ):
        with (folder / name).open("w", encoding="utf-8") as file:
            for _, question, label in side:
                messages = [
                    {"role": "system", "content": SYSTEM},
                    {"role": "user", "content": question},
                    {"role": "assistant", "content": label},
                ]
                file.write(json.dumps({"messages": messages, "category": label}) + "\n")
        counts[folder / name] = len(side)
    shutil.copyfile(Path(__file__).with_name("run.yaml"), folder / "run.yaml")
    return counts


if __name__ == "__main__":
    main()
