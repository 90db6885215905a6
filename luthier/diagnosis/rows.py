"""Rows compared with themselves at two evaluations: what became of their losses, and how likely by chance.

n rows. A loss is (nats summed over the row's trained tokens, those tokens), as the log has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from luthier.flow import EvaluationLog, Measure
from luthier.statistics.bootstrap import resampled_totals

Losses = Sequence[tuple[float, int]]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Change:
    """What something became: `value` in nats a token (after minus before), its 95% interval, the rows, and the
    one-sided probabilities of a change at least so far up, or down, if there were none."""

    value: float
    low: float
    high: float
    n: int
    up: float
    down: float

    @property
    def measure(self) -> Measure:
        return Measure(self.value, self.low, self.high, self.n)


def mean(losses: Losses) -> float:
    """Nats a token over all rows; NaN without any."""
    columns = _columns(losses)
    return float(columns[:, 0].sum() / columns[:, 1].sum()) if len(columns) else float("nan")


def each(losses: Losses) -> Floats:
    """(n) nats a token of each row."""
    columns = _columns(losses)
    found: Floats = columns[:, 0] / columns[:, 1]
    return found


def validation(evaluation: EvaluationLog) -> float:
    return mean(evaluation.row_losses)


def sample(evaluation: EvaluationLog) -> float:
    """The training rows' sample, likewise."""
    return mean(evaluation.train_losses)


def change(before: Losses, after: Losses) -> Change | None:
    """The same rows before and after; None under two of them.

    Rows are the units, long or short: the mean's error comes from the rows' distances from it (the delta method's, for
    a ratio of totals), held against Student's t. Of three rows of one token that rise by 1, 2 and 3 the change is 2
    with an error of 1 / sqrt(3), so t is 3.46 with 2 degrees of freedom: `up` is 0.037.
    """
    both = [
        (one[0], other[0], one[1])
        for one, other in zip(before, after, strict=True)
        if one[1] and np.isfinite(one[0]) and np.isfinite(other[0])
    ]
    if len(both) < 2:
        return None
    first, second, tokens = np.array(both, np.float64).T
    return _tested(second - first, tokens)


def risen(evaluations: Sequence[EvaluationLog], resamples: int = 4000) -> float | None:
    """The probability that validation at the last evaluation stands so clearly above an earlier one by chance, wherever
    that one is: the best evaluation was looked for, and it was looked for on these very rows.

    Rows are drawn again together at all evaluations, with each evaluation's own mean change taken away; how often the
    clearest of all changes then is at least as clear as the one seen is the probability (maximum of t, which counts
    evaluations that say the same once). None under two rows. At least 1 / (resamples + 1).

    Source: Westfall and Young 1993, Resampling-Based Multiple Testing, chapter 2.
    """
    usable = np.array([[pair[0] for pair in one.row_losses] for one in evaluations], np.float64)
    tokens = np.array([pair[1] for pair in evaluations[-1].row_losses], np.float64)
    kept = np.isfinite(usable).all(axis=0) & (tokens > 0)
    usable, tokens = usable[:, kept], tokens[kept]
    n = len(tokens)
    if n < 2 or len(usable) < 2:
        return None
    changes = usable[-1] - usable[:-1]
    value = changes.sum(axis=1) / tokens.sum()
    distances = changes - value[:, None] * tokens
    moments = np.concatenate([distances, distances**2]).T
    error = np.sqrt(np.maximum(n / (n - 1) * moments[:, len(value) :].sum(axis=0), 1e-30)) / tokens.sum()
    seen = float((value / error).max())
    drawn = resampled_totals(np.column_stack([moments, tokens]), np.random.default_rng(0), resamples)
    sums, squares, total = drawn[:, : len(value)], drawn[:, len(value) : -1], drawn[:, -1:]
    errors = np.sqrt(np.maximum(n / (n - 1) * (squares - sums**2 / n), 1e-30)) / total
    clearest = (sums / total / errors).max(axis=1)
    return (int(np.count_nonzero(clearest >= seen)) + 1) / (resamples + 1)


def gap(one: Losses, other: Losses) -> Change | None:
    """Other rows than the first: `other` minus `one`. None where one of them has under two rows."""
    sides = [_columns(losses) for losses in (one, other)]
    if min(len(side) for side in sides) < 2:
        return None
    (first, first_error), (second, second_error) = (_ratio(side[:, 0], side[:, 1]) for side in sides)
    freedom = min(len(side) for side in sides) - 1
    return _change(second - first, float(np.hypot(first_error, second_error)), freedom, len(sides[1]))


def _tested(changes: Floats, tokens: Floats) -> Change:
    value, error = _ratio(changes, tokens)
    return _change(value, error, len(changes) - 1, len(changes))


def _ratio(numerators: Floats, denominators: Floats) -> tuple[float, float]:
    """A ratio of totals over rows and its standard error."""
    n, total = len(numerators), float(denominators.sum())
    value = float(numerators.sum()) / total
    distances = numerators - value * denominators
    return value, float(np.sqrt(n / (n - 1) * np.sum(distances**2))) / total


def _change(value: float, error: float, freedom: int, n: int) -> Change:
    if error == 0.0:
        return Change(value, value, value, n, 0.0 if value > 0 else 1.0, 0.0 if value < 0 else 1.0)
    reach = float(stdtrit(freedom, 0.975)) * error
    up = float(stdtr(freedom, -value / error))
    return Change(value, value - reach, value + reach, n, up, 1 - up)


def _columns(losses: Losses) -> Floats:
    return np.array([pair for pair in losses if pair[1] and np.isfinite(pair[0])], np.float64).reshape(-1, 2)
