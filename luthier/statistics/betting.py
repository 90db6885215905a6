"""A share held at all times: intervals and tests that stay right however often one looks and whenever one stops.

A gambler who may not know better than chance bets on each item as it comes, before it is seen. If the true share is at
most m, a fair game at m cannot make the capital grow: that it ever reaches 40 times the start has a chance of at most
1/40, by Ville's inequality. The shares m that no gambler has so ruled out, from above or below, are the interval.

Source: Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting"; Ville 1939, "Étude
critique de la notion de collectif". The bets are a mixture over all constant ones, as in Robbins 1970, "Statistical
methods related to the law of the iterated logarithm".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from luthier.statistics.interval import CONFIDENCE

Floats = NDArray[np.float64]

_NODES, _DOUBLE = np.polynomial.legendre.leggauss(64)
FRACTIONS: Final[Floats] = (1 + _NODES) / 2
"""The bets (F,): each stakes that part of the capital that the worst item would take. Any set of them is right."""
_WEIGHTS: Final[Floats] = _DOUBLE / 2
_LEAST: Final = 1e-12
_STEPS: Final = (0.001, 0.02, 1.0)  # most items move an end by little


@dataclass(frozen=True, slots=True)
class Evidence:
    """After each of T items, the most that the capital has been so far (T,), in multiples of the start.

    `above` was won by betting that the share is over the bound, `below` that it is under it.
    """

    above: Floats
    below: Floats


@dataclass(frozen=True, slots=True)
class Sequence:
    """After each of T items, the ends of the interval (T,). It only narrows."""

    low: Floats
    high: Floats


def enough(confidence: float = CONFIDENCE) -> float:
    """The capital that settles it: half the chance of an error goes to either side, so 2 / 0.05 = 40."""
    return round(2 / (1 - confidence), 9)


def evidence(successes: ArrayLike, trials: ArrayLike, bound: float, most: int = 1) -> Evidence:
    """The capital of bets on the share sum(successes) / sum(trials) against `bound`, 0 < bound < 1.

    `successes` (T,) and `trials` (T,) are those of each item, in the order in which they were complete, `trials` at
    most `most`. Items are taken to come in an order that does not depend on what is chosen; the trials of one item may
    depend on each other. A stake of all, a fraction of 1, would win 1/m - 1 times itself by an item of only successes
    and lose all by one of `most` failures: the capital is multiplied by 1 + f (w / m - d) / most, for w of d. With
    one trial an item, three successes and a bound of 0.5 it is the mean over f of (1 + f)**3: 3.75.
    """
    wins, of = _checked(successes, trials, most)
    if not 0 < bound < 1:
        raise ValueError(f"a share cannot be tested against {bound}")
    return Evidence(_most_so_far(wins, of, bound, most), _most_so_far(of - wins, of, 1 - bound, most))


def sequence(successes: ArrayLike, trials: ArrayLike, most: int = 1, confidence: float = CONFIDENCE) -> Sequence:
    """The interval that holds the share after every item at once, with a chance of `confidence`: all bounds against
    which `evidence` never reached `enough`."""
    wins, of = _checked(successes, trials, most)
    needed = float(np.log(enough(confidence)))
    return Sequence(_low_ends(wins, of, most, needed), 1 - _low_ends(of - wins, of, most, needed))


def _checked(successes: ArrayLike, trials: ArrayLike, most: int) -> tuple[Floats, Floats]:
    wins, of = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    if wins.shape != of.shape or wins.ndim != 1 or (wins < 0).any() or (wins > of).any() or (of > most).any():
        raise ValueError(f"successes {wins.tolist()} in items of {of.tolist()} trials, {most} at most")
    return wins, of


def _most_so_far(wins: Floats, of: Floats, bound: float, most: int) -> Floats:
    if not len(wins):
        return np.empty(0)
    grown = np.cumsum(np.log1p(FRACTIONS * ((wins / bound - of) / most)[:, None]), axis=0)
    peak = grown.max(axis=1)
    capital: Floats = np.exp(peak + np.log(np.exp(grown - peak[:, None]) @ _WEIGHTS))
    return np.maximum.accumulate(capital)


def _low_ends(wins: Floats, of: Floats, most: int, needed: float) -> Floats:
    """The least share not ruled out after each item. The capital does not depend on the order of the items so far, so
    they are counted by their kind."""
    kinds, kind = np.unique(np.column_stack([wins, of]), axis=0, return_inverse=True)
    counts = np.zeros(len(kinds))

    def beyond(bound: float) -> float:
        logs = np.log1p(FRACTIONS * ((kinds[:, 0] / bound - kinds[:, 1]) / most)[:, None])
        grown = counts @ logs
        peak = grown.max()
        return float(peak + np.log(np.exp(grown - peak) @ _WEIGHTS)) - needed

    low, ends = _LEAST, np.empty(len(wins))
    for place, one in enumerate(kind):
        counts[one] += 1
        if wins[place] and beyond(low) > 0:
            high = next(high for step in _STEPS if beyond(high := min(1.0, low + step)) <= 0)
            low = float(brentq(beyond, low, high, xtol=_LEAST))
        ends[place] = low if low > _LEAST else 0.0
    return ends
