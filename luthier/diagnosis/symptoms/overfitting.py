"""Overfitting: validation gets worse while the training rows go on getting better."""

from __future__ import annotations

from typing import Final

import numpy as np

from luthier.diagnosis import remedies, rows
from luthier.diagnosis.made import falling, made
from luthier.diagnosis.seen import Seen
from luthier.flow import EvaluationLog, Finding, Measure
from luthier.settings import mission

title: Final = mission.TROUBLES["overfitting"].issue
what: Final = (
    "The validation rows' losses are higher at the last evaluation than at the best one, each row compared with itself,"
    " and the training rows' are not."
)
causes: Final = {
    "small_dataset": "Few rows were gone through so often that the model learned them by heart.",
    "too_many_epochs": "The rows were gone through more often than they have something new to teach.",
    "too_fast": "Within the first epoch the model had already turned to single rows: so many weights at so high a rate "
    "fit them one by one.",
}
watches: Final = True
stops: Final = True
mild: Final = False
explains: Final = ("generalization", "wasted_compute")

RISE: Final = 0.1
"""Of validation's best loss: a smaller rise is not worth a change."""
LEAST: Final = 0.02
"""Nats a token: likewise, where validation is nearly without loss."""
BY_HEART: Final = 0.1
"""Nats a token: the model expects 90% of such a row's tokens, on average, as they are."""


def look(seen: Seen) -> Finding | None:
    evaluations = seen.evaluations_from(3)
    best, last = min(evaluations, key=rows.validation), evaluations[-1]
    rise = rows.change(best.row_losses, last.row_losses)
    if best is last or rise is None or rise.value <= 0:
        return None
    own = rows.change(best.train_losses, last.train_losses)
    if own is None or own.value > 0:
        return None  # both got worse: that is no learning by heart
    at_best = rows.validation(best)
    chance = rows.risen(evaluations)
    if chance is None or rise.value < max(RISE * at_best, LEAST):
        return None
    return Finding(
        symptom="overfitting",
        certainty=1 - chance,
        cause=(cause := _cause(seen, best)),
        says=f"Validation was best at step {best.step}, at {at_best:.3g} nats a token, and has risen to "
        f"{rows.validation(last):.3g} since, while the training rows went from {rows.sample(best):.3g} to "
        f"{rows.sample(last):.3g}. {causes[cause]}",
        evidence={
            "validation_rise": rise.measure,
            "training_change": own.measure,
            "gap_growth": Measure(rise.value - own.value, n=rise.n),
            "known_by_heart": _by_heart(last),
            "best_step": Measure(best.step),
            "epochs_at_best": Measure(_epochs(seen, best)),
        },
        remedies=remedies.those(
            remedies.fewer_epochs(seen, _epochs(seen, best)),
            remedies.regularization(seen),
            remedies.smaller(seen),
            remedies.rate(seen, 1 / 3, "smaller steps fit single rows later than what they share"),
            remedies.diversify(seen),
        ),
        step=best.step,
        curves={
            "validation": [(one.step, rows.validation(one)) for one in evaluations],
            "training sample": [(one.step, rows.sample(one)) for one in evaluations],
        },
    )


def sick() -> Seen:
    return made(
        falling(2.4, 0.02, 9),
        lambda done: 0.9 + 1.5 * (1 - 2.5 * done if done < 0.3 else 0.25 + 0.8 * (done - 0.3)),
        rows=120,
        epochs=8,
    )


def _cause(seen: Seen, best: EvaluationLog) -> str:
    if _epochs(seen, best) < 1:
        return "too_fast"
    few = seen.training_rows is not None and mission.dataset_size(seen.training_rows) == "small"
    return "small_dataset" if few else "too_many_epochs"


def _epochs(seen: Seen, evaluation: EvaluationLog) -> float:
    """How often the rows had been gone through at an evaluation."""
    epoch = next((step.epoch for step in reversed(seen.steps) if step.step <= evaluation.step), None)
    return float("nan") if epoch is None else epoch


def _by_heart(evaluation: EvaluationLog) -> Measure:
    """The share of the sample of training rows that the model knows by heart."""
    each = rows.each(evaluation.train_losses)
    return Measure(float(np.mean(each < BY_HEART)) if len(each) else None, n=len(each))
