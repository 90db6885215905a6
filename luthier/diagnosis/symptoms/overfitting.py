"""Overfitting: validation gets worse while the training rows go on getting better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import ndtr

from luthier.diagnosis import remedies, rows
from luthier.diagnosis.made import falling, made
from luthier.diagnosis.seen import Seen
from luthier.flow import EvaluationLog, Finding, Measure
from luthier.settings import mission

title: Final = mission.TROUBLES["overfitting"].issue
what: Final = (
    "The validation rows' losses are higher at the last evaluation than at the best one, each row compared with itself,"
    " and the training rows' are not; or validation stood still while the training rows were learned by heart."
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
MORE_BY_HEART: Final = 0.5
"""Of the rows: so many more training rows than validation rows are known by heart."""
STILL: Final = 2 / 3
"""Of the steps: where validation was best later, it did not stand still."""
SIGNS: Final = ("risen", "by_heart")
"""Of two ways to be found each counts for a half."""


@dataclass(frozen=True, slots=True)
class _Sign:
    """One way in which overfitting shows, with the probability that it is chance."""

    chance: float
    shown: str


def look(seen: Seen) -> Finding | None:
    evaluations = seen.evaluations_from(3)
    best, last = min(evaluations, key=rows.validation), evaluations[-1]
    rise = rows.change(best.row_losses, last.row_losses)
    own = rows.change(best.train_losses, last.train_losses)
    if best is last or rise is None or own is None or rise.value <= 0 or own.value > 0:
        return None  # both got better, or both got worse: that is no learning by heart
    signs = [sign for sign in (_risen(evaluations, best, rise), _by_heart(best, last, own)) if sign is not None]
    if not signs:
        return None
    sign = min(signs, key=lambda one: one.chance)
    return Finding(
        symptom="overfitting",
        certainty=1 - min(1.0, sign.chance * len(SIGNS)),
        cause=(cause := _cause(seen, best)),
        says=f"{sign.shown}. {causes[cause]}",
        evidence={
            "validation_rise": rise.measure,
            "training_change": own.measure,
            "gap_growth": Measure(rise.value - own.value, n=rise.n),
            "known_by_heart": _known(last.train_losses),
            "validation_by_heart": _known(last.row_losses),
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


def _risen(evaluations: Sequence[EvaluationLog], best: EvaluationLog, rise: rows.Change) -> _Sign | None:
    """Validation turned up beyond noise."""
    last, at_best = evaluations[-1], rows.validation(best)
    chance = rows.risen(evaluations)
    if chance is None or rise.value < max(RISE * at_best, LEAST):
        return None
    shown = (
        f"Validation was best at step {best.step}, at {at_best:.3g} nats a token, and has risen to "
        f"{rows.validation(last):.3g} since, while the training rows went from {rows.sample(best):.3g} to "
        f"{rows.sample(last):.3g}"
    )
    return _Sign(chance, shown)


def _by_heart(best: EvaluationLog, last: EvaluationLog, own: rows.Change) -> _Sign | None:
    """Validation got no better since its best evaluation, and the training rows did until they were known by heart."""
    sides = [rows.each(losses) < BY_HEART for losses in (last.train_losses, last.row_losses)]
    if best.step > STILL * last.step or own.down > 0.05 or not all(len(side) for side in sides):
        return None
    (known, held), sizes = [float(side.mean()) for side in sides], [len(side) for side in sides]
    if known - held < MORE_BY_HEART:
        return None
    # How likely a difference of half that size is to look like this one; shares as Agresti and Caffo 2000 have them.
    shares = [(side.sum() + 1) / (size + 2) for side, size in zip(sides, sizes, strict=True)]
    error = float(np.sqrt(sum(one * (1 - one) / (size + 2) for one, size in zip(shares, sizes, strict=True))))
    chance = float(ndtr((MORE_BY_HEART / 2 - (shares[0] - shares[1])) / error))
    shown = (
        f"Validation is no better since step {best.step} ({rows.validation(best):.3g} nats a token, "
        f"{rows.validation(last):.3g} at the end), while the training rows went from {rows.sample(best):.3g} to "
        f"{rows.sample(last):.3g}: {known:.0%} of them are known by heart, and {held:.0%} of the validation rows"
    )
    return _Sign(chance, shown)


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


def _known(losses: rows.Losses) -> Measure:
    """The share of the rows that the model knows by heart."""
    each = rows.each(losses)
    return Measure(float(np.mean(each < BY_HEART)) if len(each) else None, n=len(each))
