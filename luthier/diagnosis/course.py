"""How the loss of the steps went: where it began, and whether it came up again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ttest_ind

from luthier.diagnosis import rows
from luthier.diagnosis.seen import Missing, Seen
from luthier.flow import EvaluationLog, Measure, StepLog

FEWEST_STEPS: Final = 20
THROWN: Final = 0.1
"""Of the loss: what an evaluation must have above the one before it."""
_WINDOWS: Final = 20
_SMALLEST: Final = 5


@dataclass(frozen=True, slots=True)
class Window:
    """Some steps in a row: their losses and the first and the last of them."""

    first: int
    last: int
    losses: NDArray[np.float64]

    @property
    def mean(self) -> float:
        return float(self.losses.mean())


@dataclass(frozen=True, slots=True)
class Climb:
    """The loss came up from one window of steps to a later one: by `rise` nats a token, `ratio` times as high. `chance`
    is the probability of so clear a rise somewhere in a run that only falls."""

    low: Window
    high: Window
    chance: float

    @property
    def rise(self) -> float:
        return self.high.mean - self.low.mean

    @property
    def ratio(self) -> float:
        return self.high.mean / max(self.low.mean, 1e-9)


def start(seen: Seen) -> float:
    """The loss before anything was learned: the first step's, taken with base's weights. Raises `Missing`."""
    return seen.steps_from(1)[0].train_loss


def windows(steps: Sequence[StepLog]) -> list[Window]:
    """The steps in twenty windows or fewer, of five steps at least."""
    size = max(_SMALLEST, math.ceil(len(steps) / _WINDOWS))
    parts = [steps[begin : begin + size] for begin in range(0, len(steps) - size + 1, size)]
    return [
        Window(part[0].step, part[-1].step, np.array([one.train_loss for one in part if math.isfinite(one.train_loss)]))
        for part in parts
        if sum(math.isfinite(one.train_loss) for one in part) >= _SMALLEST
    ]


def climb(steps: Sequence[StepLog]) -> Climb | None:
    """The clearest rise from a window to a later one by Welch's test; None where no later window is higher.

    `chance` is corrected for every pair of windows that was looked at (Bonferroni).
    """
    parts = windows(steps)
    pairs = [(low, high) for at, low in enumerate(parts) for high in parts[at + 1 :] if high.mean > low.mean]
    if not pairs:
        return None
    looked = len(parts) * (len(parts) - 1) / 2
    found = [
        (float(ttest_ind(high.losses, low.losses, equal_var=False, alternative="greater").pvalue), low, high)
        for low, high in pairs
        if low.losses.std() + high.losses.std() > 0
    ]
    if not found:
        return None
    chance, low, high = min(found, key=lambda one: one[0])
    return Climb(low, high, min(1.0, chance * looked))


@dataclass(frozen=True, slots=True)
class Thrown:
    """The loss rose by `rise` nats a token from an evaluation to the next one, at `step`, on validation and on training
    rows alike. `chance` is the probability of such a rise anywhere in a run that only gets better."""

    step: int
    rise: float
    chance: float


def thrown(seen: Seen) -> Thrown | None:
    """The clearest rise from an evaluation to the next; None where none is a tenth of the loss on both kinds of rows,
    or too few evaluations tell. `chance` is corrected for all pairs (Bonferroni), each row compared with itself."""
    try:
        evaluations = seen.evaluations_from(3)
    except Missing:
        return None
    found = []
    for before, after in pairwise(evaluations):
        held = rows.change(before.row_losses, after.row_losses)
        own = rows.change(before.train_losses, after.train_losses)
        if held and own and min(held.value, own.value) > THROWN * rows.validation(before):
            chance = min(1.0, max(held.up, own.up) * (len(evaluations) - 1))
            found.append(Thrown(after.step, held.value, chance))
    return min(found, key=lambda one: one.chance, default=None)


def rates_summed(seen: Seen, evaluations: Sequence[EvaluationLog]) -> list[float]:
    """How far the weights could go up to each evaluation, as a share of the whole: the sum of the learning rates.

    AdamW moves a weight by about the rate a step, so this is the run's own time, whatever its schedule.
    """
    taken = seen.taken
    whole = sum(step.learning_rate for step in taken)
    return [sum(step.learning_rate for step in taken if step.step <= one.step) / whole for one in evaluations]


def both_curves(evaluations: Sequence[EvaluationLog]) -> dict[str, list[tuple[float, float]]]:
    """The losses of validation and of the sample of training rows, as a finding shows them."""
    return {
        "validation": [(one.step, rows.validation(one)) for one in evaluations],
        "training sample": [(one.step, rows.sample(one)) for one in evaluations if one.train_losses],
    }


def step_curve(steps: Sequence[StepLog]) -> list[tuple[float, float]]:
    """The loss of the steps, of at most some hundred of them."""
    every = max(1, len(steps) // 200)
    return [(one.step, one.train_loss) for one in steps[::every] if math.isfinite(one.train_loss)]


def measure(value: float, n: int = 0) -> Measure:
    return Measure(value, n=n)
