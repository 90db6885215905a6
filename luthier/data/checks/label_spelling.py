"""Labels that differ from a much commoner one by case, spaces or punctuation alone: `Sports`, `sports.`"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from luthier.data.checks import Hit, Judged, Rows, Threshold, Whole, same

LETTERS: Final = 60
RECURS: Final = 5
LABELS: Final = 0.5
RARER: Final = 0.25

criterion = "consistent_formatting"
what = "Short answers that are spelled in several ways, which differ by case, spaces or punctuation."
why = "To the model they are different labels: it splits its certainty between them, and accuracy is lost to spelling."
remedy = "write the label as the other rows do: luthier check FILE --write KEPT does"
thresholds = (
    Threshold(LABELS, "of the answers at least are short and recur, which makes them labels",
              "in free text a short answer may be written in several ways"),
    Threshold(RECURS, "rows at least use the common spelling", "below that nothing says which spelling is meant"),
    Threshold(RARER, "of the common spelling's rows at most have another one",
              "where both are common they may be two labels, as `us` and `US`"),
)  # fmt: skip


def gather(rows: Rows) -> tuple[dict[str, list[int]], int]:
    """For each short answer the rows in the block that give it, and how many rows could have."""
    found: dict[str, list[int]] = {}
    rows_of_answers = 0
    for number, row in enumerate(rows):
        if row.is_text or rows.held_out:
            continue
        rows_of_answers += 1
        if len(row.answer) <= LETTERS:
            found.setdefault(row.answer, []).append(number)
    return found, rows_of_answers


def judge(parts: Sequence[tuple[dict[str, list[int]], int]], whole: Whole) -> Judged:
    counts: Counter[str] = Counter()
    for found, _ in parts:
        for answer, rows in found.items():
            counts[answer] += len(rows)
    total = sum(answers for _, answers in parts)
    spellings: dict[str, list[str]] = {}
    for answer, _ in counts.most_common():
        spellings.setdefault(same(answer), []).append(answer)
    labels = {key: known for key, known in spellings.items() if sum(counts[one] for one in known) >= RECURS}
    covered = sum(counts[one] for known in labels.values() for one in known)
    if not total or covered < LABELS * total:
        return Judged(numbers={"labels": 0})
    meant = {
        other: known[0]
        for known in labels.values()
        for other in known[1:]
        if counts[known[0]] >= RECURS and counts[other] <= RARER * counts[known[0]]
    }
    wrong: dict[int, str] = {}
    for start, (found, _) in zip(whole.starts, parts, strict=True):
        for answer in found.keys() & meant.keys():
            wrong.update({start + row: answer for row in found[answer]})

    def describe(row: int) -> Hit:
        label = meant[wrong[row]]
        return Hit(f"the label `{wrong[row]}` is spelled `{label}` in {counts[label]:,} rows")

    numbers = {"labels": len(labels), "spellings": len(meant)}
    return Judged(np.array(sorted(wrong), np.int64), describe, numbers=numbers, answers=meant)


def _rows(labels: Sequence[str]) -> list[dict[str, Any]]:
    return [{"instruction": f"Message {n} about thing {n * n}", "response": label} for n, label in enumerate(labels)]


def faulty() -> list[dict[str, Any]]:
    return _rows([*["billing", "delivery"] * 8, "Billing", "delivery."])


def clean() -> list[dict[str, Any]]:
    return _rows([*["billing", "delivery"] * 8, "C", "C++", "c#"])
