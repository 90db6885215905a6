"""What metrics are made of: which rows they are for, shares of rows that are right, functions of the rows' totals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from luthier.evaluation.sample import Sample
from luthier.flow import Measure, Question
from luthier.statistics import Interval, mcnemar, rows_needed, rows_needed_for_share, share_difference, wilson
from luthier.statistics.bootstrap import Statistic, bootstrap_test, totals_interval

Floats = NDArray[np.float64]
IntervalOf = Callable[[Floats, Statistic, np.random.Generator], Interval | None]


@dataclass(frozen=True, slots=True)
class Fit:
    """Which rows a metric is for, by their questions: `Fit(is_number, "are a number")`.

    It fits a sample of which at least half the rows are such; the others are left out, and said to be.
    """

    takes: Callable[[Question], bool] = lambda question: True
    which: str = ""

    def unfit(self, sample: Sample) -> str:
        """Why the metric does not fit these rows; empty where it does."""
        count, n = len(self._rows(sample)), len(sample.questions)
        return "" if 2 * count >= n else f"{count} of {n} wanted answers {self.which}, which is under half"

    def part(self, sample: Sample) -> tuple[Sample, str]:
        """The rows that count, and a note where that is not all of them."""
        rows, n = self._rows(sample), len(sample.questions)
        if len(rows) == n:
            return sample, ""
        return sample.part(rows), f"only the {len(rows)} of {n} rows count whose wanted answers {self.which}"

    def _rows(self, sample: Sample) -> list[int]:
        return [row for row, question in enumerate(sample.questions) if self.takes(question)]


EVERY_ROW: Final = Fit()


def nothing(sample: Sample) -> Mapping[str, Any]:
    """No details."""
    return {}


@dataclass(frozen=True, slots=True)
class ShareOfRows:
    """The share of rows that are right, with Wilson's interval; two models are compared by Newcombe's and McNemar's.

    `right` says it of each row. Where `unfinished` is wrong, an answer that the limit cut counts as wrong.
    """

    right: Callable[[Sample], Sequence[bool]]
    fit: Fit = EVERY_ROW
    unfinished: bool = True
    details: Callable[[Sample], Mapping[str, Any]] = nothing

    def unfit(self, sample: Sample) -> str:
        return self.fit.unfit(sample)

    def measure(self, sample: Sample, generator: np.random.Generator) -> Measure:
        """The share with its interval. 9 right of 10: 0.9, from 0.5958 to 0.9821."""
        if reason := self.fit.unfit(sample):
            return Measure(None, n=len(sample.questions), reason=reason)
        part, note = self.fit.part(sample)
        right = self._right(part)
        n, count = len(right), sum(right)
        ends = wilson(count, n)
        cut = sum(not answer.stopped for answer in part.answers) if self.unfinished else 0
        said = f"{cut} of {n} answers were cut at the limit of tokens and count as wrong" if cut else ""
        reason = "; ".join(filter(None, [said, note]))
        return Measure(count / n, ends.low, ends.high, n, reason, self.details(part))

    def difference(self, tuned: Sample, base: Sample, generator: np.random.Generator) -> Measure:
        """Tuned minus base with Newcombe's paired interval; the exact McNemar test stands in `reason`."""
        if reason := self.fit.unfit(tuned):
            return Measure(None, n=len(tuned.questions), reason=reason)
        pairs = list(zip(*(self._right(self.fit.part(sample)[0]) for sample in (tuned, base)), strict=True))
        both, only_tuned, only_base, neither = (
            pairs.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False))
        )
        ends, probability = share_difference(both, only_tuned, only_base, neither), mcnemar(only_tuned, only_base)
        return Measure(
            (only_tuned - only_base) / len(pairs),
            ends.low,
            ends.high,
            len(pairs),
            f"only the tuned model is right on {only_tuned} rows, only base on {only_base} "
            f"(exact McNemar test: p = {probability:.2g})",
            {"probability": probability, "test": "exact McNemar", "only_one": only_tuned, "only_other": only_base},
        )

    def rows_needed(self, n: int, value: float, near_end: float, target: float) -> int | None:
        """At which number of rows Wilson's interval around the same share excludes the target."""
        return rows_needed_for_share(value, target)

    def _right(self, sample: Sample) -> list[bool]:
        right = [bool(one) for one in self.right(sample)]
        if not self.unfinished:
            return right
        return [one and answer.stopped for one, answer in zip(right, sample.answers, strict=True)]


@dataclass(frozen=True, slots=True)
class OfTotals:
    """A function of the rows' totals, with a bootstrap interval that draws whole rows; of two models, drawn together.

    `columns` gives a sample's numbers (n, K), `statistic` takes their totals (..., K) to the value (...).
    """

    columns: Callable[[Sample], Floats]
    statistic: Statistic
    limits: tuple[float, float]
    fit: Fit = EVERY_ROW
    interval_of: IntervalOf = totals_interval
    details: Callable[[Sample], Mapping[str, Any]] = nothing

    def unfit(self, sample: Sample) -> str:
        return self.fit.unfit(sample)

    def measure(self, sample: Sample, generator: np.random.Generator) -> Measure:
        """The value with its interval, ends kept within the limits."""
        if reason := self.fit.unfit(sample):
            return Measure(None, n=len(sample.questions), reason=reason)
        part, note = self.fit.part(sample)
        details = self.details(part)
        return of_totals(self.columns(part), self.statistic, self.limits, generator, self.interval_of, note, details)

    def difference(self, tuned: Sample, base: Sample, generator: np.random.Generator) -> Measure:
        """Tuned minus base; a row's numbers of both are drawn together."""
        if reason := self.fit.unfit(tuned):
            return Measure(None, n=len(tuned.questions), reason=reason)
        both = [self.columns(self.fit.part(sample)[0]) for sample in (tuned, base)]
        width, span = both[0].shape[1], self.limits[1] - self.limits[0]

        def apart(totals: Floats) -> Floats:
            return np.asarray(self.statistic(totals[..., :width]) - self.statistic(totals[..., width:]))

        return of_totals(np.hstack(both), apart, (-span, span), generator, self.interval_of, paired=True)

    def rows_needed(self, n: int, value: float, near_end: float, target: float) -> int | None:
        """As the interval narrows with the root of the rows."""
        return rows_needed(n, value, near_end, target)


def mean_of_rows(
    number: Callable[[Sample], Sequence[float]],
    limits: tuple[float, float],
    fit: Fit = EVERY_ROW,
    details: Callable[[Sample], Mapping[str, Any]] = nothing,
) -> OfTotals:
    """The mean of one number a row."""

    def columns(sample: Sample) -> Floats:
        values = np.asarray(number(sample), dtype=np.float64)
        return np.column_stack([values, np.ones(len(values))])

    return OfTotals(columns, lambda sums: sums[..., 0] / sums[..., 1], limits, fit, details=details)


def of_totals(
    columns: Floats,
    statistic: Statistic,
    limits: tuple[float, float],
    generator: np.random.Generator,
    interval_of: IntervalOf = totals_interval,
    note: str = "",
    details: Mapping[str, Any] | None = None,
    paired: bool = False,
) -> Measure:
    """`statistic` of the columns' totals. At an end of finite limits, where all rows agree and resampling sees no
    spread, the interval is Wilson's with the rows as trials; not so for a `paired` difference, which is tested too."""
    n = len(columns)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        value = float(statistic(columns.sum(axis=0)))
        interval = interval_of(columns, statistic, generator) if np.isfinite(value) else None
    if not np.isfinite(value) or (interval and not np.isfinite([interval.low, interval.high]).all()):
        return Measure(None, n=n, reason="it is too large for a number")
    least, greatest = limits
    value = min(max(value, least), greatest)  # rounding may carry it over an end
    if not paired and np.isfinite(limits).all() and value in limits:
        ends = wilson(n * (value == greatest), n)
        interval = Interval(*(least + end * (greatest - least) for end in (ends.low, ends.high)))
    if interval is None:
        reason = "; ".join(filter(None, ["one row gives no interval", note]))
        return Measure(value, n=n, reason=reason, details=details or {})
    if paired:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            probability = bootstrap_test(columns, statistic, generator)
        details = {"probability": probability, "test": "paired bootstrap", **(details or {})}
    if paired and interval.low == interval.high:
        note = "; ".join(filter(None, ["no row tells the two apart, so the interval says little", note]))
    low, high = max(least, interval.low), min(greatest, interval.high)
    return Measure(value, min(low, value), max(high, value), n, note, details or {})
