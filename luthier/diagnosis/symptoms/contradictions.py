"""Contradictions: rows that ask the same and have different short answers."""

from __future__ import annotations

from typing import Final

from luthier.diagnosis import remedies
from luthier.diagnosis.made import falling, made
from luthier.diagnosis.repeated import places, repeated
from luthier.diagnosis.seen import Seen
from luthier.flow import Finding, Measure, Remedy

title: Final = "Contradicting rows"
what: Final = "A twentieth of the training rows or more asks what another row asks, and has another short answer."
causes: Final = {
    "labels": "The model is taught two answers to one question: it cannot learn either, and loses trust in both.",
}
watches: Final = True
stops: Final = True
mild: Final = False
explains: Final = ("noisy_rows", "underfitting", "overfitting", "generalization", "wasted_compute")

SHARE: Final = 0.05


def look(seen: Seen) -> Finding | None:
    found = repeated(seen)
    rows = seen.training_rows or 0
    share = found["contradicting"] / max(rows, 1)
    if share < SHARE:
        return None
    left_out = places(found["contradicting_rows"])
    fewer = Remedy("without_contradictions", {}, "the answer that most rows of a question have stays", without=left_out)
    return Finding(
        symptom="contradictions",
        certainty=1.0,  # counted, not estimated
        cause="labels",
        says=f"{found['contradicting']:,} of {rows:,} training rows have another short answer than a row that asks "
        f"the same. {causes['labels']}",
        evidence={
            "contradicting": Measure(found["contradicting"], n=rows),
            "share_contradicting": Measure(share, n=rows),
        },
        remedies=remedies.those(
            fewer if left_out else None,
            remedies.fewer_epochs(seen, 1.0, "contradictions can only be learned by heart, which takes epochs"),
        ),
    )


def sick() -> Seen:
    listed = [{"file": "rows.jsonl", "line": line, "row_group": None} for line in range(1, 61)]
    counted = {"copies": 0, "contradicting": 120, "leaked": 0, "copied_rows": [], "contradicting_rows": listed}
    return made(falling(2.4, 1.1, 7), falling(2.4, 1.2, 7), rows_json={"repeated": counted})
