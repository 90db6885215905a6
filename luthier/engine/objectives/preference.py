"""Preference: that the better of two answers to a prompt gains more over the model before tuning than the worse one.

Direct preference optimization. With log p(y) the sum over an answer's trained tokens, and p0 the model before tuning,

    reward(y) = beta * (log p(y) - log p0(y))        margin = reward(better) - reward(worse)
    loss = -log sigmoid(margin) = log(1 + exp(-margin))

At the start of a run whose output is the base model's the margin is 0 and the loss log 2 = 0.693.
Source: Rafailov et al., Direct Preference Optimization: Your Language Model is Secretly a Reward Model (2023), eq. 7.

p0 does not change while training, so its log-probabilities are computed once, before the first step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

from luthier.flow import Example, Form, Measure, Pair, RowScore, Tokenized
from luthier.statistics import mean_interval, wilson

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.engine.forward import Engine
    from luthier.engine.hold import Hold
    from luthier.engine.loss import Computed

FORMS: tuple[Form, ...] = ("preference",)
CHOSEN_FOR: tuple[Form, ...] = FORMS
REASON = "the rows have a better and a worse answer"
PAIRS = True
MEASURED = ("preference_accuracy", "preference_margin")
"""What is measured of pairs beside their loss."""

LEARNING_RATE = (
    0.05,
    "preferences take a twentieth of what answers take",
    "TRL's defaults, 1e-6 for pairs and 2e-5 for answers",
)
"""The share of a method's own rate, with reason and source."""


def refused(form: Form) -> tuple[str, str]:
    """Rows with one answer, or none."""
    remedy = "write `objective: text`" if form == "text" else "write `objective: supervised`"
    return f"{form} rows, which have no worse answer beside the better one", remedy


def divisor(pairs: Sequence[Pair]) -> int:
    """What a step's summed loss is divided by: how many pairs it has, 0 where none has anything to learn."""
    return len(pairs) if any(pair.trained_tokens for pair in pairs) else 0


def backward(
    engine: Engine,
    pairs: Sequence[Pair],
    divisor: float,
    tokens_a_pass: int,
    beta: float = 0.1,
    hold: Hold | None = None,
) -> Computed:
    """Adds the gradients of the pairs' summed loss over `divisor`, and of what a `hold` adds, to those of the trained
    parameters.

    Both answers are held, the worse one too: what it loses may go to answers that base never gave. A token counts its
    share of its pair's weight, and the mean is over tokens, so that a hold weighs the same under every objective.
    `sums` of what comes back holds `preference_accuracy` and `preference_margin`, summed over the pairs.
    """
    import torch
    from torch.nn.functional import softplus

    from luthier.engine.pairs import backward_pairs

    reference = np.array([pair.reference for pair in pairs], dtype=np.float64)
    known = torch.from_numpy(reference).to(engine.device)
    weights = torch.tensor([pair.weight for pair in pairs], device=engine.device)

    def loss(log_probabilities: Tensor, which: NDArray[np.int64]) -> Tensor:
        at = torch.from_numpy(which).to(engine.device)
        gained = log_probabilities - known[at].to(log_probabilities.dtype)
        return weights[at] * softplus(-beta * (gained[:, 0] - gained[:, 1]))

    rows = [row for pair in pairs for row in pair.rows]
    times = [pair.weight for pair in pairs]
    computed, found = backward_pairs(engine, rows, loss, divisor, tokens_a_pass, hold, times)
    margin = beta * ((found - reference) @ [1.0, -1.0])
    sums = {"preference_accuracy": float((margin > 0).sum()), "preference_margin": float(margin.sum())}
    return replace(computed, sums=sums)


class PairsOf(Sequence[Pair]):
    """The pairs of some rows: 0 and 1, 2 and 3, and so on, the better one first. `reference` (P, 2) is what each pair's
    is, where it is known."""

    def __init__(self, rows: Sequence[Tokenized], reference: NDArray[np.float64] | None = None) -> None:
        self.flat, self.reference = rows, reference

    def __len__(self) -> int:
        return len(self.flat) // 2

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Pair]: ...
    def __getitem__(self, index: int | slice) -> Pair | Sequence[Pair]:
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        sides = self.flat[2 * index], self.flat[2 * index + 1]
        weight = float(max(side.weights.max(initial=0.0) for side in sides))
        better, worse = (replace(side, weights=side.weights / (weight or 1.0)) for side in sides)
        known = None if self.reference is None else self.reference[index]
        return Pair(better, worse, weight, None if known is None else (float(known[0]), float(known[1])))


class RowsOf(Sequence[Tokenized]):
    """The rows of the examples of these numbers, one after another, each taken from them when it is asked for; every
    example has `each` rows."""

    def __init__(self, examples: Sequence[Example], numbers: Sequence[int], each: int) -> None:
        self.examples, self.numbers, self.each = examples, numbers, each

    def __len__(self) -> int:
        return self.each * len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> Tokenized: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Tokenized]: ...
    def __getitem__(self, index: int | slice) -> Tokenized | Sequence[Tokenized]:
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        return self.examples[self.numbers[index // self.each]].rows[index % self.each]


def margins(scores: Sequence[RowScore], reference: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """The margin (P) of each pair, from the scores of its rows (2 P) and their reference (P, 2).

    Losses of 12 and 20 nats where the base model's were 13 and 18, with a beta of 0.1: 0.1 * ((13 - 12) - (18 - 20))
    = 0.3.
    """
    now = -np.array([score.loss for score in scores]).reshape(-1, 2)
    found: NDArray[np.float64] = beta * ((now - reference) @ np.array([1.0, -1.0]))
    return found


def losses(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """log(1 + exp(-margin)) of each margin, nats."""
    found: NDArray[np.float64] = np.logaddexp(0.0, -margins)
    return found


def measured(margins: NDArray[np.float64]) -> Mapping[str, Measure]:
    """`preference_accuracy` (Wilson's interval) and `preference_margin` (a bootstrap over pairs) of at least one."""
    n, right = len(margins), int((margins > 0).sum())
    share = wilson(right, n)
    spread = mean_interval(margins, np.random.default_rng(0)) if np.isfinite(margins).all() else None
    low, high = (spread.low, spread.high) if spread else (None, None)
    return {
        "preference_accuracy": Measure(right / n, share.low, share.high, n),
        "preference_margin": Measure(float(margins.mean()), low, high, n),
    }
