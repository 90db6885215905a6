"""A broken loss: no number, nothing at all, or steps that were not taken."""

from __future__ import annotations

import dataclasses
import math
from typing import Final

from luthier.diagnosis import course, remedies
from luthier.diagnosis.made import falling, made
from luthier.diagnosis.seen import Missing, Seen
from luthier.flow import Finding, Measure, Remedy, StepLog

title: Final = "Broken loss"
what: Final = "Steps were not taken: their loss is no finite number, exactly 0, or nothing in their rows is trained on."
causes: Final = {
    "not_finite": "The numbers overflowed: mostly too high a learning rate, or a precision too coarse for it.",
    "zero": "A loss of exactly 0 teaches nothing: the answers are known by heart, or are no answers.",
    "nothing_trained": "The rows hold nothing that is trained on: their answers were cut off, or are empty.",
    "spikes": "Rows unlike all others gave losses and gradients far beyond the usual, and were left out.",
}
watches: Final = True
stops: Final = True
mild: Final = False
explains: Final = ("underfitting",)

FEW: Final = 0.02
"""Of the steps: fewer that were skipped are rows to look at, no trouble of the run."""


def look(seen: Seen) -> Finding | None:
    if not seen.steps:
        seen.steps_from(1)
    kinds = {step.step: _kind(step) for step in seen.steps if step.skipped or not math.isfinite(step.train_loss)}
    broken = [step for step in seen.steps if kinds.get(step.step)]
    stopped = seen.status is not None and seen.status.state == "failed"
    if not broken or (len(broken) < max(3, FEW * len(seen.steps)) and not stopped):
        return None
    counts = {kind: list(kinds.values()).count(kind) for kind in causes}
    cause = max(counts, key=lambda kind: (kind == "not_finite" and counts[kind] > 0, counts[kind]))
    first = next(step for step in broken if kinds[step.step] == cause)
    return Finding(
        symptom="broken_loss",
        certainty=1.0,  # counted, not estimated
        cause=cause,
        says=f"{len(broken)} of {len(seen.steps)} steps were not taken, step {first.step} first: "
        f"{first.skipped.partition('; its rows')[0] or 'its loss is no number'}. {causes[cause]}",
        evidence={
            "steps_not_taken": Measure(len(broken), n=len(seen.steps)),
            "first_step": Measure(first.step),
            **{kind: Measure(count) for kind, count in counts.items() if count},
        },
        remedies=_remedies(seen, cause),
        step=first.step,
        curves={"training steps": course.step_curve(seen.steps)},
    )


def _kind(step: StepLog) -> str:
    """Which of the causes a step is, by the loop's own words for it; empty where it is another symptom's."""
    if "get no gradient" in step.skipped:
        return ""
    if not math.isfinite(step.train_loss) and "trained on" in step.skipped:
        return "nothing_trained"
    if not (math.isfinite(step.train_loss) and math.isfinite(step.grad_norm)):
        return "not_finite"
    return "zero" if step.train_loss == 0 else "spikes" if "spike" in step.skipped else ""


def _remedies(seen: Seen, cause: str) -> tuple[Remedy, ...]:
    if cause == "nothing_trained":
        return remedies.those(remedies.keep_answers(seen))
    if cause == "zero":
        return remedies.those(
            remedies.fewer_epochs(seen, _epochs(seen) / 2, "a loss of 0 has nothing more to teach"),
            remedies.regularization(seen),
        )
    return remedies.those(
        remedies.rate(seen, 0.1, "steps a tenth as large do not overflow"),
        remedies.exact_numbers(seen),
        remedies.rate_and_warmup(seen, 1 / 3, 0.1),
    )


def _epochs(seen: Seen) -> float:
    try:
        return float(seen.hyperparameter("epochs"))
    except Missing:
        return 1.0


def sick() -> Seen:
    seen = made(falling(2.4, 1.0), falling(2.4, 1.0))
    words = "its loss is nan and its gradient's norm nan; its rows: rows.jsonl:1"
    broken = dataclasses.replace(seen.steps[40], train_loss=math.nan, grad_norm=math.nan, skipped=words)
    status = dataclasses.replace(seen.status, state="failed") if seen.status else None
    return dataclasses.replace(seen, steps=[*seen.steps[:40], broken], evaluations=seen.evaluations[:2], status=status)
