"""Whether a large share of the rows is about the same; and a map of what rows are about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from luthier.data.checks import Judged, Threshold, Whole, same
from luthier.data.checks._clusters import clustered
from luthier.flow import Problem

FEWEST: Final = 100
LOOKED_AT: Final = 4_000
ALIKE: Final = 0.3
SHARE: Final = 0.5

criterion = "diverse_examples"
what = "One kind of row that makes up half of the data or more, by the words that rows share."
why = "A model learns what it sees most: the other half of its tasks is drowned out."
remedy = "add rows about other things, or leave some of these out"
leaves_out = False
thresholds = (
    Threshold(SHARE, "of the rows are like one another", "no kind should be commoner than all others together"),
    Threshold(ALIKE, "of the words and pairs of words are shared by rows that are alike (Jaccard index)",
              "rows about one thing in free words share 0.05 to 0.2"),
    Threshold(FEWEST, "rows at least, of which 4,000 are looked at", "of fewer rows a chance neighbourhood is half"),
)  # fmt: skip
needs = ("signature", "content")


def judge(parts: Sequence[None], whole: Whole) -> Judged:
    own = np.flatnonzero(~whole.held_out)
    if len(own) < FEWEST:
        return Judged(reason=f"{len(own)} rows are fewer than {FEWEST}")
    looked_at = np.sort(own[np.argsort(whole.columns["content"][own], kind="stable")[:LOOKED_AT]])
    rows = list(whole.read_again(looked_at))
    found = clustered([row.text for row in rows], max(2, min(12, round(len(rows) ** 0.5 / 2))))
    order = np.argsort(-found.sizes)
    signature = whole.columns["signature"][looked_at]
    # The row that most of a few others are like stands for its kind; the same answer to all is no kind of its own.
    some = np.random.default_rng(0).permutation(len(rows))[:200]
    alike = np.array([np.mean(signature == signature[row], axis=1) >= ALIKE for row in some])
    largest = int(np.argmax(alike.sum(axis=1)))
    share = float(alike[largest].mean())
    examples = [" ".join(rows[row].question.split())[:80] for row in np.flatnonzero(alike[largest])[:3].tolist()]
    numbers: dict[str, Any] = {
        "looked_at": len(rows),
        "share_of_the_commonest": round(share, 4),
        "groups": [
            {"name": found.names[group], "share": round(float(found.sizes[group]) / len(rows), 4)}
            for group in order.tolist()
        ],
        "distinct_answers": round(len({same(row.answer) for row in rows}) / len(rows), 4),
        "map": [
            {"row": int(row), "x": round(float(x), 3), "y": round(float(y), 3), "group": int(group)}
            for row, (x, y), group in zip(looked_at[:2_000], found.map[:2_000], found.label[:2_000], strict=True)
        ],
    }
    problems = []
    if share >= SHARE:
        message = f"{share:.0%} of the rows are alike, such as: {'; '.join(f'`{text}`' for text in examples)}"
        place = whole.place(int(looked_at[some[largest]]))
        problems.append(Problem("dominant_subject", "warning", place, message, remedy))
    return Judged(problems=problems, numbers=numbers)


_SUBJECTS = ["river", "lamp", "bread", "violin", "harbour", "comet", "sweater", "engine", "garden", "letter"]
_VERBS = ["mend", "sell", "paint", "carry", "lose", "borrow", "clean", "weigh", "draw", "hide"]


def faulty() -> list[dict[str, Any]]:
    told = "The violin is tuned in fifths, from the lowest string to the highest one, number"
    rows = [{"instruction": f"How is the violin tuned, string {n}?", "response": f"{told} {n}."} for n in range(90)]
    return [*rows, *clean()[:30]]


def clean() -> list[dict[str, Any]]:
    return [
        {
            "instruction": f"How do I {verb} a {subject}?",
            "response": f"{_SUBJECTS[(number * 7 + 3) % 10]} men {_VERBS[(place * 3 + number) % 10]} {subject}wards.",
        }
        for number, verb in enumerate(_VERBS)
        for place, subject in enumerate(_SUBJECTS)
    ]
