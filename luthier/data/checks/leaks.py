"""Training rows that validation or test rows ask too, or nearly repeat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from luthier.data.checks import Hit, Judged, Threshold, Whole
from luthier.data.checks.near_duplicates import ALIKE, SLACK, judged
from luthier.data.minhash import pairs_alike

criterion = "no_duplicate_examples"
what = "Training rows whose prompt, or nearly all of whose text, stands in a file that is held out as well."
why = "A test row that was trained on measures memory: the figure is too good, and nobody sees it."
remedy = "leave the training row out: luthier check FILE --held-out TEST --write KEPT"
severity = "error"
needs = ("signature", "prompt")
thresholds = (
    Threshold(ALIKE, "of the words and pairs of neighbouring words stand in both rows (Jaccard index)",
              "as for near duplicates; equal prompts count whatever the answers"),
)  # fmt: skip


def judge(parts: Sequence[None], whole: Whole) -> Judged:
    """Every training row that a held-out row asks too, or is like."""
    out, own = np.flatnonzero(whole.held_out), np.flatnonzero(~whole.held_out)
    if not len(out):
        return Judged(numbers={"held_out": 0})
    prompt = whole.columns["prompt"]
    exact = own[np.isin(prompt[own], prompt[out][prompt[out] != 0])]
    first: dict[int, int] = {}
    for row in out[::-1].tolist():
        first[int(prompt[row])] = row
    pairs = pairs_alike(whole.columns["signature"], ALIKE - SLACK)
    pairs = pairs[whole.held_out[pairs[:, 0]] != whole.held_out[pairs[:, 1]]]
    pairs = pairs[~np.isin(pairs, exact).any(axis=1)]
    near = judged(pairs, whole, "shares {share:.0%} of its words with {place}, which is held out")
    # Of two rows that are alike the later has the hit; the one to mend is the training row, which comes first.
    alike = np.setdiff1d(np.unique(pairs), out)
    likely = {int(row): near.describe(int(row)) for row in alike if _told(near, int(row))}
    rows = np.union1d(exact, np.array(sorted(likely), np.int64))

    def describe(row: int) -> Hit:
        return likely.get(row) or Hit(f"{whole.place(first[int(prompt[row])])}, which is held out, asks the same")

    numbers = {"held_out": len(out), "equal_prompts": len(exact), "nearly_equal": len(rows) - len(exact)}
    return Judged(rows.astype(np.int64), describe, numbers=numbers)


def _told(near: Judged, row: int) -> bool:
    """Whether a pair with this row was verified."""
    try:
        near.describe(row)
    except KeyError:
        return False
    return True


held_out = [{"instruction": "Which planet is the largest?", "response": "Jupiter is."}]


def faulty() -> list[dict[str, Any]]:
    return [{"instruction": "which planet is the largest", "response": "It is Jupiter."}]


def clean() -> list[dict[str, Any]]:
    return [{"instruction": "Which planet is the smallest?", "response": "Mercury is."}]
