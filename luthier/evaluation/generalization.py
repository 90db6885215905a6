"""Generalization: gaps between training, validation and test, harmless changes, and distance from training."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from luthier.flow import EvaluationLog, Measure
from luthier.statistics import mcnemar, ratio_interval, share_difference, wilson
from luthier.statistics.bootstrap import resampled_totals

Losses = Sequence[tuple[float, int]]
"""(Summed loss in nats, trained tokens) a row."""

BANDS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Ends of the bands of likeness to the nearest training row."""


def gaps(history: Sequence[EvaluationLog], test: Losses, seed: int = 0) -> dict[str, Measure]:
    """The losses, in nats a token, of the sample of `training` rows and of the `validation` rows at the best
    evaluation, of the `test` rows (where there are other ones), and what validation and test have more than training.

    Rows of the sides differ, so each is resampled by itself. Under 0 there is no gap.
    """
    best = next((entry for entry in reversed(history) if entry.best), None)
    sides = {
        "training": best.train_losses if best else (),
        "validation": best.row_losses if best else (),
        "test": test,
    }
    columns = {name: _columns(losses) for name, losses in sides.items()}
    found = {name: _mean(column, seed) for name, column in columns.items()}
    for name in ("validation", "test"):
        found[f"{name}_minus_training"] = _gap(columns[name], columns["training"], seed)
    return {name: measure for name, measure in found.items() if measure.value is not None}


def change(before: Sequence[bool], after: Sequence[bool]) -> dict[str, Measure]:
    """What a change does to the accuracy: the same rows right `before` and `after`, and the paired `difference`.

    Of 10 rows 9 right before and 7 of these after: 0.9, 0.7, and -0.2 with Newcombe's interval.
    """
    n = len(before)
    if not n:
        return {}
    pairs = list(zip(before, after, strict=True))
    both, lost, won, neither = (
        pairs.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False))
    )
    ends = share_difference(both, won, lost, neither)
    p = mcnemar(won, lost)
    said = f"{lost} of {n} rows are right only unchanged, {won} only changed (exact McNemar test: p = {p:.2g})"
    return {
        "before": _share(sum(before), n),
        "after": _share(sum(after), n),
        "difference": Measure((won - lost) / n, ends.low, ends.high, n, said),
    }


def by_distance(likeness: NDArray[np.float64], right: Sequence[bool]) -> dict[str, Measure]:
    """The accuracy of rows (n) in bands of their likeness to the nearest training row; empty bands are left out.

    A model that learned is right in all bands, one that memorized in the nearest.
    """
    hit, found = np.asarray(right, np.bool_), {}
    for low, high in pairwise(BANDS):
        inside = (likeness >= low) & ((likeness < high) if high < 1 else (likeness <= 1))
        if inside.any():
            found[f"{low:g} to {high:g}"] = _share(int(hit[inside].sum()), int(inside.sum()))
    return found


def _share(count: int, n: int) -> Measure:
    ends = wilson(count, n)
    return Measure(count / n, ends.low, ends.high, n)


def _columns(losses: Losses) -> NDArray[np.float64]:
    return np.array([pair for pair in losses if pair[1] and np.isfinite(pair[0])], np.float64).reshape(-1, 2)


def _mean(columns: NDArray[np.float64], seed: int) -> Measure:
    if not len(columns):
        return Measure(None)
    value = float(columns[:, 0].sum() / columns[:, 1].sum())
    ends = ratio_interval(columns[:, 0], columns[:, 1], np.random.default_rng(seed))
    return Measure(value, ends.low, ends.high, len(columns)) if ends else Measure(value, n=len(columns))


def _gap(side: NDArray[np.float64], training: NDArray[np.float64], seed: int) -> Measure:
    if len(side) < 2 or len(training) < 2:
        return Measure(None)
    draws = []
    for number, columns in enumerate((side, training)):
        totals = resampled_totals(columns, np.random.default_rng([seed, number]))
        draws.append(totals[:, 0] / totals[:, 1])
    low, high = np.quantile(draws[0] - draws[1], [0.025, 0.975])
    value = side[:, 0].sum() / side[:, 1].sum() - training[:, 0].sum() / training[:, 1].sum()
    return Measure(float(value), float(low), float(high), len(side))
