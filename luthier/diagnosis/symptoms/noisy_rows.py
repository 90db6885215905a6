"""Noisy rows: a minority of rows goes against what all others teach."""

from __future__ import annotations

import dataclasses
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc, ndtr
from scipy.stats import combine_pvalues

from luthier.diagnosis import remedies, rows
from luthier.diagnosis.made import made
from luthier.diagnosis.measured import error_of_both
from luthier.diagnosis.seen import Missing, Seen
from luthier.flow import EvaluationLog, Finding, Measure

Flags = NDArray[np.bool_]

title: Final = "Noisy rows"
what: Final = (
    "A minority of the rows, of training as of validation, is expected less and less while validation as a whole gets "
    "better; and validation rows, which are of one kind with training rows, are expected less than test rows."
)
causes: Final = {
    "wrong_answers": "Their answers are wrong or of another kind: the more the model learns, the less it expects them.",
}
watches: Final = False
stops: Final = False
mild: Final = False
explains: Final = ("overfitting", "generalization", "wasted_compute")

SHARE: Final = 0.1
"""Of the rows: as many are so hard in clean data too (docs/log.md)."""
MOST: Final = 0.45
RISE: Final = 0.3
"""Nats a row above its own lowest loss, or a tenth of that."""
UNEXPECTED: Final = 2.0
"""Nats a row: an answer that the model gives a probability of 13% at most."""
NO_CLEANER: Final = 0.25
"""The probability over which test rows are taken to be no easier than validation rows."""
ABOVE: Final = 1.5
"""Times the median row."""


def look(seen: Seen) -> Finding | None:
    evaluations = seen.evaluations_from(4)
    best = min(evaluations, key=rows.validation)
    until = [one for one in evaluations if one.step <= best.step]
    if len(until) < 3:
        raise Missing("validation was best at one of its first evaluations: rows have no course to go by")
    held = _against([_each(one, "row_losses") for one in until])
    own = _against([_each(one, "train_losses") for one in until])
    if held is None or own is None:
        raise Missing("the losses of the rows are not whole")
    odd, n = int(held.sum() + own.sum()), len(held) + len(own)
    share = odd / n
    if not SHARE < share < MOST or min(held.mean(), own.mean()) < SHARE / 2:
        return None
    chance = float(bdtrc(odd - 1, n, SHARE))
    cleaner = _cleaner(seen)
    if cleaner is not None and cleaner[0] > NO_CLEANER:
        return None  # test rows are as hard: then it is the task, not these rows
    if cleaner is not None:
        chance = float(combine_pvalues([max(chance, 1e-12), max(cleaner[0], 1e-12)]).pvalue)
    return Finding(
        symptom="noisy_rows",
        certainty=1 - chance,
        cause="wrong_answers",
        says=f"{odd} of the {n} rows that were looked at while training are expected less and less, while validation "
        f"as a whole got better. {causes['wrong_answers']}",
        evidence={
            "noisy_share": Measure(share, n=n),
            "noisy_share_of_validation": Measure(float(held.mean()), n=len(held)),
            "noisy_share_of_training": Measure(float(own.mean()), n=len(own)),
            **(cleaner[1] if cleaner else {}),
        },
        remedies=remedies.those(
            remedies.fewer_epochs(seen, _epochs(seen, best) / 2, "noisy rows are learned by heart after all others"),
            remedies.regularization(seen),
            remedies.larger_batch(seen, 2),
        ),
        step=best.step,
        curves=_curves(until, held),
    )


def _cleaner(seen: Seen) -> tuple[float, dict[str, Measure]] | None:
    """How likely test rows are no easier than validation rows, where there are test rows of their own."""
    gaps = seen.report.gaps if seen.report else {}
    test, held = gaps.get("test"), gaps.get("validation")
    if not test or not held or test.value is None or held.value is None:
        return None
    error = error_of_both(test, held)
    if error is None:
        return None
    return float(ndtr((test.value - held.value) / error)), {"test_loss": test, "validation_loss": held}


def _epochs(seen: Seen, best: EvaluationLog) -> float:
    return next((step.epoch for step in reversed(seen.steps) if step.step <= best.step), 1.0)


def _each(one: EvaluationLog, side: str) -> rows.Floats:
    """The summed loss of each row."""
    each: rows.Floats = np.array(getattr(one, side), np.float64).reshape(-1, 2)[:, 0]
    return each


def _against(course_of_rows: list[rows.Floats]) -> Flags | None:
    """(n) the rows that are far above the others at the end, and above their own lowest loss by a good part."""
    if len({len(one) for one in course_of_rows}) != 1 or not len(course_of_rows[0]):
        return None
    losses = np.array(course_of_rows)
    if not np.isfinite(losses).all():
        return None
    last, lowest = losses[-1], losses.min(axis=0)
    far = (last > ABOVE * np.median(last)) & (last > UNEXPECTED)
    found: Flags = far & (last - lowest > np.maximum(RISE, 0.1 * lowest))
    return found


def _curves(evaluations: list[EvaluationLog], odd: Flags) -> dict[str, list[tuple[float, float]]]:
    each = [(one.step, _each(one, "row_losses")) for one in evaluations]
    return {
        "noisy validation rows": [(step, float(losses[odd].mean())) for step, losses in each],
        "other validation rows": [(step, float(losses[~odd].mean())) for step, losses in each],
    }


def sick() -> Seen:
    seen = made(lambda done: 0.1 + 1.4 * (1 - done) ** 4, lambda done: 0.1 + 1.4 * (1 - done) ** 4)
    noisy = {0: 2.0, 4: 2.5, 9: 2.2, 14: 3.0, 19: 2.4, 23: 2.0, 29: 2.6, 31: 2.2}

    def put(losses: list[tuple[float, int]], done: float) -> list[tuple[float, int]]:
        return [
            (noisy[at] * (0.6 + 0.6 * done) * tokens, tokens) if at in noisy else (loss, tokens)
            for at, (loss, tokens) in enumerate(losses)
        ]

    last = seen.evaluations[-1].step
    changed = [
        dataclasses.replace(
            one,
            row_losses=put(one.row_losses, one.step / last),
            train_losses=put(one.train_losses, one.step / last),
        )
        for one in seen.evaluations
    ]
    return dataclasses.replace(seen, evaluations=changed)
