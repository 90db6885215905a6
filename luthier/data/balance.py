"""Weights that let each class count alike: `data.balance`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Balanced:
    """`factors` (N) of N rows; `classes` are name, rows and factor, the rarest first; `without` counts rows of no
    class, which keep their weight."""

    factors: NDArray[np.float32]
    classes: tuple[tuple[str, int, float], ...]
    without: int


def balanced(categories: NDArray[np.integer], names: Sequence[str]) -> Balanced:
    """A factor for each row, so that each class has the same total and all of them together the one they had.

    Of K classes and N rows a row of a class of n rows gets N / (K n): 6 rows of a and 2 of b get 8/12 and 8/4 each,
    which are 4 and 4 in all. `categories` (N) are places in `names`, "" is none.

    Source: King and Zeng 2001, "Logistic regression in rare events data", with even shares.
    """
    counts = np.bincount(categories, minlength=len(names))
    known = np.array([name != "" for name in names], np.bool_) & (counts > 0)
    weights = np.ones(len(names))
    weights[known] = counts[known].sum() / (max(1, known.sum()) * counts[known])
    rarest = sorted(np.flatnonzero(known).tolist(), key=lambda at: (counts[at], names[at]))
    classes = tuple((names[at], int(counts[at]), float(weights[at])) for at in rarest)
    return Balanced(weights[categories].astype(np.float32), classes, int(counts.sum() - counts[known].sum()))
