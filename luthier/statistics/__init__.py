"""Intervals, tests, agreement, rank models, trends, sample sizes: pure functions, with the generator handed in."""

from __future__ import annotations

from luthier.statistics.agreement import Agreement, cohen_kappa, krippendorff_alpha
from luthier.statistics.betting import Evidence, Sequence, enough, evidence, sequence
from luthier.statistics.bootstrap import (
    bootstrap_test,
    mean_interval,
    ratio_interval,
    studentized_interval,
    totals_interval,
)
from luthier.statistics.bradley_terry import Strengths, bradley_terry, strengths
from luthier.statistics.clustered import ClusteredShare, clustered_share
from luthier.statistics.interval import Interval
from luthier.statistics.paired import mcnemar, share_difference
from luthier.statistics.rows_needed import rows_needed, rows_needed_for_share, votes_needed
from luthier.statistics.several import holm
from luthier.statistics.shares import clopper_pearson, wilson
from luthier.statistics.trend import Trend, trend

__all__ = [
    "Agreement",
    "ClusteredShare",
    "Evidence",
    "Interval",
    "Sequence",
    "Strengths",
    "Trend",
    "bootstrap_test",
    "bradley_terry",
    "clopper_pearson",
    "clustered_share",
    "cohen_kappa",
    "enough",
    "evidence",
    "holm",
    "krippendorff_alpha",
    "mcnemar",
    "mean_interval",
    "ratio_interval",
    "rows_needed",
    "rows_needed_for_share",
    "sequence",
    "share_difference",
    "strengths",
    "studentized_interval",
    "totals_interval",
    "trend",
    "votes_needed",
    "wilson",
]
