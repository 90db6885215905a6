"""Noisy rows: a minority of rows goes against what all others teach."""

from __future__ import annotations

import dataclasses
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc

from luthier.diagnosis import course, remedies, rows
from luthier.diagnosis.made import made
from luthier.diagnosis.seen import Missing, Seen
from luthier.flow import EvaluationLog, Finding, Measure

Flags = NDArray[np.bool_]

title: Final = "Noisy rows"
what: Final = (
    "At the best evaluation a minority of the rows, of training as of validation, is expected far less than the others "
    "and less than at an evaluation before: what all others teach speaks against them."
)
causes: Final = {
    "wrong_answers": "Their answers are wrong or of another kind: the more the model learns, the less it expects them.",
}
watches: Final = False
stops: Final = False
mild: Final = False
explains: Final = ("overfitting", "generalization", "wasted_compute")

SHARE: Final = 0.06
"""Of the rows: as many are hard in clean data too."""
MOST: Final = 0.45
FAR: Final = 6.0
"""Times the median row's loss."""
LEAST: Final = 0.25
"""Nats a token above the row's own lowest loss."""
OWN_PLACE: Final = 0.5
"""Nats a token at least: a row expected so little is not learned."""


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
    return Finding(
        symptom="noisy_rows",
        certainty=1 - chance,
        cause="wrong_answers",
        says=f"{odd} of the {n} rows that were looked at while training are expected less and less, at "
        f"{FAR:g} times the loss of the others or more. {causes['wrong_answers']}",
        evidence={
            "noisy_share": Measure(share, n=n),
            "noisy_share_of_validation": Measure(float(held.mean()), n=len(held)),
            "noisy_share_of_training": Measure(float(own.mean()), n=len(own)),
            "median_row_loss": course.measure(float(np.median(_each(best, "row_losses"))), len(held)),
        },
        remedies=remedies.those(
            remedies.fewer_epochs(seen, _epochs(seen, best)),
            remedies.regularization(seen),
            remedies.larger_batch(seen, 2),
        ),
        step=best.step,
        curves=_curves(until, held),
    )


def _epochs(seen: Seen, best: EvaluationLog) -> float:
    return next((step.epoch for step in reversed(seen.steps) if step.step <= best.step), 1.0)


def _each(one: EvaluationLog, side: str) -> rows.Floats:
    pairs = np.array(getattr(one, side), np.float64).reshape(-1, 2)
    each: rows.Floats = pairs[:, 0] / np.maximum(pairs[:, 1], 1)
    return each


def _against(course_of_rows: list[rows.Floats]) -> Flags | None:
    """(n, bool) the rows that are far above the others at the end, and above their own lowest loss by a good part."""
    if len({len(one) for one in course_of_rows}) != 1 or not len(course_of_rows[0]):
        return None
    losses = np.array(course_of_rows)
    if not np.isfinite(losses).all():
        return None
    last, lowest = losses[-1], losses.min(axis=0)
    far = (last > FAR * np.median(last)) & (last > OWN_PLACE)
    found: Flags = far & (last - lowest > np.maximum(LEAST, 0.15 * lowest))
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
