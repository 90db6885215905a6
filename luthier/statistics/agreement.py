"""How far raters agree beyond chance: Krippendorff's alpha of any number of raters, Cohen's kappa of two."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from luthier.statistics.bootstrap import totals_interval
from luthier.statistics.interval import CONFIDENCE, Interval

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Agreement:
    """1 is full agreement, 0 what chance would give, under 0 less. `interval` is None where there is too little."""

    value: float
    interval: Interval | None
    items: int


def krippendorff_alpha(
    counts: ArrayLike, generator: np.random.Generator, confidence: float = CONFIDENCE
) -> Agreement | None:
    """Nominal alpha. `counts` (U, C) says how many raters put item u into category c; items with fewer than two raters
    are left out. None where no item is left, or all votes fall into one category: then there is no chance to be beaten.

    alpha = 1 - observed / expected disagreement. Observed: over the items, the pairs of different categories among an
    item's m raters, divided by m - 1. Expected: the pairs of different categories among all n votes, divided by n - 1.
    Items [2, 0], [0, 2], [1, 1]: observed 0 + 0 + 2, expected 2 * 3 * 3 / 5 = 3.6, so 1 - 2 / 3.6 = 0.4444.

    The interval resamples whole items, and is kept within -1 and 1.

    Source: Krippendorff 2018, "Content analysis", chapter 12; Hayes and Krippendorff 2007, "Answering the call for a
    standard reliability measure for coding data".
    """
    table = np.asarray(counts, dtype=np.float64)
    table = table[table.sum(axis=1) >= 2]
    if not len(table) or np.count_nonzero(table.sum(axis=0)) < 2:
        return None
    raters = table.sum(axis=1)
    disagreeing = (raters**2 - (table**2).sum(axis=1)) / (raters - 1)
    columns = np.column_stack([disagreeing, table])
    ends = totals_interval(columns, _alpha, generator, confidence)
    within = ends and Interval(max(-1.0, ends.low), min(1.0, ends.high))
    return Agreement(float(_alpha(columns.sum(axis=0))), within, len(table))


def cohen_kappa(table: ArrayLike, confidence: float = CONFIDENCE) -> Agreement | None:
    """Kappa of two raters. `table` (C, C) counts the items that the one put into the row's category and the other into
    the column's. None without items, or where both only ever used the same one category.

    kappa = (agreed - by chance) / (1 - by chance), both as shares of the items. [[20, 5], [10, 15]]: agreed 0.7, by
    chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5, so 0.4. The interval is the large-sample one, kept within -1 and 1.

    Source: Cohen 1960, "A coefficient of agreement for nominal scales"; Fleiss, Cohen and Everitt 1969, "Large sample
    standard errors of kappa and weighted kappa".
    """
    counted = np.asarray(table, dtype=np.float64)
    n = float(counted.sum())
    if not n:
        return None
    shares = counted / n
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    agreed, by_chance = float(np.trace(shares)), float(rows @ columns)
    if by_chance >= 1.0:
        return None
    value = (agreed - by_chance) / (1 - by_chance)
    on = float(np.diag(shares) @ (1 - (rows + columns) * (1 - value)) ** 2)
    sums = (columns[:, None] + rows[None, :]) ** 2
    off = (1 - value) ** 2 * float((shares * sums).sum() - np.diag(shares) @ np.diag(sums))
    variance = (on + off - (value - by_chance * (1 - value)) ** 2) / ((1 - by_chance) ** 2 * n)
    reach = float(ndtri((1 + confidence) / 2)) * sqrt(max(variance, 0.0))
    ends = Interval(max(-1.0, value - reach), min(1.0, value + reach))
    return Agreement(value, ends, round(n))


def _alpha(totals: Floats) -> Floats:
    """`totals` (..., 1 + C): the disagreement summed over items, then the votes in each category. Resamples in which
    all votes fall into one category agree fully."""
    observed, votes = totals[..., 0], totals[..., 1:]
    n = votes.sum(axis=-1)
    different = n**2 - (votes**2).sum(axis=-1)
    alpha: Floats = 1 - observed * (n - 1) / np.where(different > 0, different, 1.0)
    return alpha
