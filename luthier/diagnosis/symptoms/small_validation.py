"""Too few validation rows to say anything."""

from __future__ import annotations

from typing import Final

from luthier.diagnosis import remedies, rows
from luthier.diagnosis.made import falling, made
from luthier.diagnosis.seen import Missing, Seen
from luthier.flow import Finding, Measure
from luthier.statistics import wilson

title: Final = "Validation too small"
what: Final = "Fewer than 20 rows are held back: the best checkpoint and every warning here go by them."
causes: Final = {
    "few_rows": "Of so few rows two or three decide which checkpoint is the best, and no trouble shows beyond chance.",
    "no_rows": "Nothing is held back, so that nothing can tell learning from learning by heart.",
}
watches: Final = False
stops: Final = False
mild: Final = True
explains: Final = ()

FEWEST: Final = 20
"""With 20 rows an accuracy of 50% is known to within 20 points."""


def look(seen: Seen) -> Finding | None:
    held = seen.rows.get("validation")
    if not isinstance(held, int):
        if "rows" in seen.absent:
            raise Missing(seen.absent["rows"])
        raise Missing("the run's account of its rows does not say how many are held back")
    if held >= FEWEST:
        return None
    half = wilson(held / 2, held) if held else None
    losses = rows.each(seen.evaluations[-1].row_losses if seen.evaluations else ())
    cause = "few_rows" if held else "no_rows"
    said = f"an accuracy of 50% is only known to lie between {half.low:.0%} and {half.high:.0%}" if half else "no loss"
    return Finding(
        symptom="small_validation",
        certainty=1.0,  # counted, not estimated
        cause=cause,
        says=f"{held} rows are held back: {said if held else 'validation has no loss at all'}. {causes[cause]}",
        evidence={
            "validation_rows": Measure(held),
            **({"spread_of_row_losses": Measure(float(losses.std()), n=len(losses))} if len(losses) > 1 else {}),
        },
        remedies=remedies.those(remedies.larger_validation(seen)),
    )


def sick() -> Seen:
    return made(falling(2.4, 0.5, 7), falling(2.4, 0.6, 7), rows=60, held_back=6)
