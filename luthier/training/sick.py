"""Sick steps: by which signs a step is not taken or a run is stopped, and why a healthy run shows none of them.

| sign | what is done |
|---|---|
| the loss or the gradient is no finite number | the run stops |
| a trained adapter gets no gradient in the first step | the run stops |
| no token of the step's rows is trained on | the step is skipped |
| the loss is exactly 0 | the step is skipped |
| a spike | the step is skipped |
| the third step skipped in a row | the run stops |

A skipped step leaves weights and optimizer as they were. A step is a spike where all three hold:

- the gradient's norm is more than 6 robust deviations above the median of the last 64 steps taken, in logarithms, and
  more than twice that median. A robust deviation is 1.4826 times the median distance from the median (Rousseeuw and
  Croux 1993): it equals the standard deviation of normal numbers, and a few spikes do not move it;
- the loss is more than 1.5 times the highest of all steps taken: what the model still has to learn is no spike, nor is
  a kind of rows that it has not learned. A step skipped alone was its rows' and not the model's, so it counts here from
  then on, and the next one like it is taken;
- 20 steps were taken before: a warm-up is never judged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

WINDOW = 64
FEWEST = 20
DEVIATIONS = 6
ABOVE_MEDIAN = 2.0
ABOVE_HIGHEST = 1.5
IN_A_ROW = 3


class SickStep(Exception):
    """A run stops at a step that is not taken: `message` says why, `rows` which rows the step has, `remedy` what may
    help. The state before it is whole."""

    def __init__(self, message: str, rows: str, remedy: str) -> None:
        self.message, self.rows, self.remedy = message, rows, remedy
        super().__init__(f"{rows}: {message}\n  {remedy}")


@dataclass(slots=True)
class Health:
    """What a run keeps of its steps to tell a sick one.

    `norms` are those of the last steps taken, `taken` counts all of them and `highest` is their highest loss (nats a
    trained token); `in_a_row` steps were skipped last, and the highest loss of these was `spiked`.
    """

    norms: list[float] = field(default_factory=list)
    taken: int = 0
    highest: float = 0.0
    in_a_row: int = 0
    spiked: float = 0.0

    def why_skip(self, loss: float, norm: float) -> str:
        """Why a step of this loss and gradient should not be taken; empty for a healthy one."""
        if loss == 0:
            return "the loss is exactly 0: nothing is learned from it"
        if self.taken < FEWEST or loss <= ABOVE_HIGHEST * self.highest:
            return ""
        most = usual_limit(self.norms)
        if norm <= most:
            return ""
        return (
            f"a spike: the loss of {loss:.3g} is beyond {ABOVE_HIGHEST * self.highest:.3g}, and the gradient's norm of "
            f"{norm:.3g} beyond {most:.3g}"
        )

    def take(self, loss: float, norm: float) -> None:
        """The step is taken."""
        self.highest = max(self.highest, loss, self.spiked)
        self.norms = [*self.norms, norm][-WINDOW:]
        self.taken, self.in_a_row, self.spiked = self.taken + 1, 0, 0.0

    def skip(self, loss: float) -> bool:
        """The step is skipped; gives whether that was once too often."""
        self.in_a_row += 1
        self.spiked = max(self.spiked, loss)
        return self.in_a_row >= IN_A_ROW


def usual_limit(values: Sequence[float]) -> float:
    """What lies beyond this is unusual beside these values: 952 beside 1, 1, 2, 4 and 4, and 4 beside 1.95, 2 and 2.05.

    Of the first, the logarithms have the median log 2 and the median distance log 2 from it: 2 * exp(6 * 1.4826 *
    log 2) = 952. Of the second that would be 2.5, and twice the median is more.
    """
    logarithms = [math.log(max(value, 1e-30)) for value in values]
    middle = median(logarithms)
    deviation = 1.4826 * median(abs(value - middle) for value in logarithms)
    return math.exp(middle + max(DEVIATIONS * deviation, math.log(ABOVE_MEDIAN)))
