"""Intervals, paired tests, trends and sample sizes: pure functions of numbers, with the generator handed in."""

from __future__ import annotations

from luthier.statistics.bootstrap import (
    bootstrap_test,
    mean_interval,
    ratio_interval,
    studentized_interval,
    totals_interval,
)
from luthier.statistics.interval import Interval
from luthier.statistics.paired import mcnemar, share_difference
from luthier.statistics.rows_needed import rows_needed, rows_needed_for_share
from luthier.statistics.several import holm
from luthier.statistics.shares import clopper_pearson, wilson
from luthier.statistics.trend import Trend, trend

__all__ = [
    "Interval",
    "Trend",
    "bootstrap_test",
    "clopper_pearson",
    "holm",
    "mcnemar",
    "mean_interval",
    "ratio_interval",
    "rows_needed",
    "rows_needed_for_share",
    "share_difference",
    "studentized_interval",
    "totals_interval",
    "trend",
    "wilson",
]
