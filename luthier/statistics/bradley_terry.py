"""How strong each of several systems is, from which of two was preferred, pair by pair: Bradley and Terry's model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, stdtrit

from luthier.statistics.interval import CONFIDENCE, Interval

Floats = NDArray[np.float64]

ROUNDS: Final = 100
_NEAR: Final = 1e-13
_ROUNDED: Final = 1e-8  # under it steps that no longer shrink are rounding


@dataclass(frozen=True, slots=True)
class Strengths:
    """The log-odds of each system against the average one (S,), summing to 0, with the interval of each.

    System i is preferred over j with a chance of 1 / (1 + exp(strength j - strength i)). `errors` (S,) are the standard
    errors of the strengths.
    """

    strengths: Floats
    errors: Floats
    intervals: tuple[Interval, ...]


def prior_wins(systems: int) -> float:
    """The wins either way that every pair is given beforehand: 1 / systems, so that no system is given more than one
    win and one loss in all. Two systems get half a win each, which takes off the first-order bias (Firth 1993)."""
    return 1 / systems


def bradley_terry(wins: ArrayLike, prior: float | None = None) -> Floats:
    """The strengths (S,) that make the wins likeliest. `wins` (S, S) holds how often the row's system was preferred
    over the column's; a tie is half a win either way.

    `prior` is added to every pair both ways (`prior_wins` if None), so that a system that never lost, or that never
    met the others, has a finite strength. 3 wins against 1 without a prior: log(3) / 2 = 0.5493 and -0.5493.

    Raises `ValueError` without two systems, and where with a prior of 0 the strengths are not finite.

    Source: Bradley and Terry 1952, "Rank analysis of incomplete block designs"; the likelihood is concave, so Newton's
    steps find its top (Hunter 2004, "MM algorithms for generalized Bradley-Terry models", for when it has one).
    """
    counted = _with_prior(wins, prior)
    systems = len(counted)
    met = counted + counted.T
    strengths, last = np.zeros(systems), np.inf
    for _ in range(ROUNDS):
        slope = counted.sum(axis=1) - (met * _chances(strengths)).sum(axis=1)
        bend = _information(met, strengths) + 1 / systems
        if np.linalg.matrix_rank(bend, hermitian=True) < systems:
            break
        step = np.linalg.solve(bend, slope)
        size = float(np.abs(step).max())
        strengths = strengths + step / max(1.0, size)
        if size < _NEAR or (size < _ROUNDED and size >= last / 2):
            return np.asarray(strengths - strengths.mean())
        last = size
    raise ValueError("the strengths are not finite: a system never lost, or some never met the others")


def strengths(
    wins: ArrayLike, items: ArrayLike, prior: float | None = None, confidence: float = CONFIDENCE
) -> Strengths:
    """The strengths with intervals clustered by item: `wins` (N, S, S) are those of one comparison (or a part) each,
    `items` (N,) names the item of each.

    The error is the sandwich one over items, or the model's own where that is larger (few items show too little
    spread), with Student's t of items - 1 degrees of freedom. Raises `ValueError` as `bradley_terry` does, and without
    comparisons.

    Source: Liang and Zeger 1986, "Longitudinal data analysis using generalized linear models" (the sandwich).
    """
    each = np.asarray(wins, dtype=np.float64)
    names, item = np.unique(np.asarray(items), return_inverse=True)
    if not len(names):
        raise ValueError("there are no comparisons")
    by_item = np.zeros((len(names), *each.shape[1:]))
    np.add.at(by_item, item, each)
    total = by_item.sum(axis=0)
    found = bradley_terry(total, prior)
    counted = _with_prior(total, prior)
    systems = len(found)
    bend = _information(counted + counted.T, found)
    inverse = np.asarray(np.linalg.inv(bend + 1 / systems) - 1 / systems, dtype=np.float64)
    slopes = by_item.sum(axis=2) - ((by_item + by_item.swapaxes(1, 2)) * _chances(found)).sum(axis=2)
    spread = len(names) / max(1, len(names) - 1) * slopes.T @ slopes
    sandwich = inverse @ spread @ inverse
    errors: Floats = np.sqrt(np.maximum(np.diag(inverse), np.diag(sandwich)))
    reach = float(stdtrit(max(1, len(names) - 1), (1 + confidence) / 2)) * errors
    ends = tuple(Interval(float(at - far), float(at + far)) for at, far in zip(found, reach, strict=True))
    return Strengths(found, errors, ends)


def _with_prior(wins: ArrayLike, prior: float | None) -> Floats:
    counted = np.asarray(wins, dtype=np.float64)
    if counted.ndim != 2 or counted.shape[0] != counted.shape[1] or len(counted) < 2 or (counted < 0).any():
        raise ValueError(f"{counted.tolist()} are no wins of two systems or more over each other")
    counted = counted + (prior_wins(len(counted)) if prior is None else prior)
    np.fill_diagonal(counted, 0.0)
    return counted


def _chances(strengths: Floats) -> Floats:
    """How likely the row's system is preferred over the column's."""
    chances: Floats = expit(strengths[:, None] - strengths[None, :])
    return chances


def _information(met: Floats, strengths: Floats) -> Floats:
    """Fisher's information (S, S): how sharply the log-likelihood bends. Its rows sum to 0: differences count."""
    chances = _chances(strengths)
    pairs = met * chances * chances.T
    information: Floats = np.diag(pairs.sum(axis=1)) - pairs
    return information
