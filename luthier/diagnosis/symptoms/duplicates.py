"""Duplicates: a large part of the training rows says what others say, and drives the loss."""

from __future__ import annotations

from typing import Final

from luthier.diagnosis import remedies
from luthier.diagnosis.made import falling, made
from luthier.diagnosis.repeated import places, repeated
from luthier.diagnosis.seen import Seen
from luthier.flow import Finding, Measure, Remedy

title: Final = "Duplicates drive the loss"
what: Final = "A fifth of the training rows or more says, letter by letter, what another training row says."
causes: Final = {
    "copies": "Rows that stand there many times are learned many times over, and count for more than all others.",
}
watches: Final = True
stops: Final = False
mild: Final = False
explains: Final = ("overfitting", "generalization", "wasted_compute")

SHARE: Final = 0.2


def look(seen: Seen) -> Finding | None:
    found = repeated(seen)
    rows = seen.training_rows or 0
    share = found["copies"] / max(rows, 1)
    if share < SHARE:
        return None
    again = Remedy("without_copies", {}, "each row then counts once", without=places(found["copied_rows"]))
    return Finding(
        symptom="duplicates",
        certainty=1.0,  # counted, not estimated
        cause="copies",
        says=f"{found['copies']:,} of {rows:,} training rows are copies of other ones. {causes['copies']}",
        evidence={"copies": Measure(found["copies"], n=rows), "share_of_copies": Measure(share, n=rows)},
        remedies=remedies.those(
            again if again.without else None, remedies.fewer_epochs(seen, 1.0, "copies are gone through less often")
        ),
    )


def sick() -> Seen:
    listed = [{"file": "rows.jsonl", "line": line, "row_group": None} for line in range(201, 401)]
    counted = {"copies": 200, "contradicting": 0, "leaked": 0, "copied_rows": listed, "contradicting_rows": []}
    return made(falling(2.4, 0.5, 7), falling(2.4, 0.6, 7), rows_json={"repeated": counted})
