"""Metrics that are a function of the rows' scores: a number a row, summed, over the trained tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from luthier.evaluation.metrics import Sample
from luthier.evaluation.metrics._rows import IntervalOf, of_totals
from luthier.flow import Measure, Question, RowScore
from luthier.statistics.bootstrap import Statistic, studentized_interval


def from_totals(
    samples: Sequence[Sample],
    number: Callable[[RowScore], float],
    statistic: Statistic,
    limits: tuple[float, float],
    generator: np.random.Generator,
    interval_of: IntervalOf = studentized_interval,
    over: Callable[[Question], float] | None = None,
) -> Measure:
    """`statistic` of the totals (each sample's `number` in order, then the trained tokens), ends kept within `limits`.

    `over` gives another number than a row's trained tokens to divide by. The samples are of the same rows. Raises
    `ValueError` where they differ in a row's tokens.
    """
    tokens = [score.tokens for score in samples[0].row_scores]
    if any([score.tokens for score in sample.row_scores] != tokens for sample in samples):
        raise ValueError("two models were scored on rows of other lengths")
    kept = [row for row, count in enumerate(tokens) if count]
    left_out = len(tokens) - len(kept)
    note = f"{left_out} of {len(tokens)} rows have no trained token and are left out" if left_out else ""
    if not kept:
        return Measure(None, reason="no row has a trained token")
    questions = samples[0].questions
    below = [over(questions[row]) if over else tokens[row] for row in kept]
    numbers = [[number(sample.row_scores[row]) for row in kept] for sample in samples]
    columns = np.array([*numbers, below], float).T
    broken = [kept[row] for row in np.flatnonzero(~np.isfinite(columns).all(axis=1))]
    if broken:
        first = questions[broken[0]].place
        return Measure(
            None, n=len(kept), reason=f"the loss of {len(broken)} rows is not a finite number, first at {first}"
        )
    found = of_totals(columns, statistic, limits, generator, interval_of, paired=len(samples) > 1)
    return replace(found, reason="; ".join(filter(None, [found.reason, note])))
