"""The interval of a share whose trials come in clusters: several votes on one item say less than as many items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from luthier.statistics.interval import CONFIDENCE, Interval
from luthier.statistics.shares import clopper_pearson


@dataclass(frozen=True, slots=True)
class ClusteredShare:
    """A share over `n` trials in `clusters`. They say as much as `effective_n` independent trials would."""

    value: float
    interval: Interval
    n: float
    clusters: int
    effective_n: float


def clustered_share(successes: ArrayLike, trials: ArrayLike, confidence: float = CONFIDENCE) -> ClusteredShare | None:
    """The share sum(successes) / sum(trials) of C clusters, each (C,); clusters without trials are left out, and None
    is given where no trial is left.

    It is Clopper and Pearson's interval of `effective_n` trials: n over the design effect, which is how much more the
    share varies from cluster to cluster than it would from trial to trial, times (t of n - 1 degrees of freedom / t of
    C - 1) squared, and never over n. Where each cluster has one trial that is n: the exact interval. Where all trials
    are alike nothing shows how they hang together, and a cluster counts as one trial.

    Two items with 3 of 3 and 1 of 3: the share is 2/3, its squared error 2 * (1 + 1) / 36 = 1/9 where independent
    trials have (2/9) / 5, a design effect of 2.5, and 6 / 2.5 * (2.5706 / 12.7062)**2 = 0.098 effective trials.

    `successes` need not be whole, as where a tie is half of one. Raises `ValueError` for more of them than trials.

    Source: Korn and Graubard 1998, "Confidence intervals for proportions with small expected number of positive counts
    estimated from survey data".
    """
    mine, of = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    if mine.shape != of.shape or mine.ndim != 1 or (mine < 0).any() or (mine > of).any():
        raise ValueError(f"successes {mine.tolist()} in clusters of {of.tolist()} trials")
    mine, of = mine[of > 0], of[of > 0]
    clusters, n = len(of), float(of.sum())
    if not clusters:
        return None
    share = min(1.0, float(mine.sum()) / n)
    effective = _effective(mine, of, share, confidence)
    return ClusteredShare(share, clopper_pearson(share * effective, effective, confidence), n, clusters, effective)


def _effective(successes: np.ndarray, trials: np.ndarray, share: float, confidence: float) -> float:
    clusters, n = len(trials), float(trials.sum())
    if clusters == n:
        return n
    if clusters == 1 or share in (0.0, 1.0):
        return float(clusters)
    varies = clusters / (clusters - 1) * float(np.sum((successes - share * trials) ** 2)) / n**2
    if varies == 0.0:
        return n
    tail = (1 + confidence) / 2
    quantiles = float(stdtrit(n - 1, tail) / stdtrit(clusters - 1, tail))
    return min(n, n * share * (1 - share) / (n - 1) / varies * quantiles**2)
