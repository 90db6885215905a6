"""Holds a metric against its target: a verdict, and the reason for it in plain words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Final

from luthier.evaluation import metrics
from luthier.flow import EvaluationLog, Measure, TargetResult, Verdict
from luthier.settings.targets import Comparison, Target
from luthier.statistics import rows_needed, trend

CHANCE: Final = 0.05
HISTORIES: Final = ("loss", "perplexity")  # what rises and falls with the validation loss

_WORDS: Final = {">": "over", ">=": "at least", "<": "under", "<=": "at most"}


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a target comes down to: `measure` compares with `bound`."""

    subject: str
    measure: Measure
    comparison: Comparison
    bound: float
    rows_needed: Callable[[int, float, float, float], int | None]
    unit: str


@dataclass(frozen=True, slots=True)
class _Course:
    """What the validation losses did, and the verdict that they give where nothing else does."""

    words: str
    rises: bool = False
    alone: Verdict = "not_measured"


def judge(
    target: Target, name: str, measure: Measure, difference: Measure, history: Sequence[EvaluationLog] = ()
) -> TargetResult:
    """The verdict on the metric `name`: `measure` is its value, `difference` what it is more than base's.

    `met` where the near end of the 95% interval clears the target, `likely` where only the value does, else `missed`;
    `not_measured` without a value. A target that speaks of base is judged by `difference`. `decreasing` asks for a
    value under base's; it is at most `likely` while the validation losses in `history` rise.
    """

    def result(verdict: Verdict, reasons: Sequence[str], needed: int | None = None) -> TargetResult:
        said = "; ".join(reason for reason in reasons if reason)
        return TargetResult(
            name, target.text, measure.value, measure.low, measure.high, measure.n, verdict, said, needed
        )

    if measure.value is None:
        return result("not_measured", [measure.reason])
    claim = _claim(target, name, measure, difference)
    course = _course(history) if target.kind == "trend" and name in HISTORIES else _Course("")
    if claim.measure.value is None:
        return result(course.alone, [f"there is no difference from base: {claim.measure.reason}", course.words])
    verdict, reason, needed = _verdict(claim, share=metrics.load(name).range == (0.0, 1.0))
    if course.rises and verdict == "met":
        verdict = "likely"
    return result(verdict, [reason, claim.measure.reason, course.words], needed)


def _claim(target: Target, name: str, measure: Measure, difference: Measure) -> _Claim:
    metric = metrics.load(name)
    unit = getattr(metric, "unit", "rows")
    if target.kind == "value":
        assert target.comparison is not None
        assert target.bound is not None
        return _Claim("it", measure, target.comparison, target.bound, metric.rows_needed, unit)
    against_base = _Claim("the difference from base", difference, target.comparison or "<", 0.0, rows_needed, unit)
    if target.kind == "tolerance":
        assert target.bound is not None
        if metric.direction == "neither":
            return replace(against_base, measure=Measure(None, reason="neither more nor less of it is better"))
        higher = metric.direction == "higher"
        return replace(
            against_base, comparison=">=" if higher else "<=", bound=-target.bound if higher else target.bound
        )
    return against_base


def _verdict(claim: _Claim, share: bool) -> tuple[Verdict, str, int | None]:
    value, low, high, bound = claim.measure.value, claim.measure.low, claim.measure.high, claim.bound
    assert value is not None

    def shown(number: float) -> str:
        return f"{100 * number:.4g}%" if share else f"{number:.4g}"

    wanted = f"{_WORDS[claim.comparison]} {shown(bound)}"
    seen = f"{claim.subject} is {shown(value)}"
    if not _clears(value, claim.comparison, bound):
        return "missed", f"{seen}, not {wanted}", None
    if low is None or high is None:
        return "likely", f"{seen}, {wanted}, but without an interval", None
    near = low if claim.comparison in (">", ">=") else high
    if _clears(near, claim.comparison, bound):
        return "met", f"{seen}, and all of its interval ({shown(low)} to {shown(high)}) is {wanted}", None
    needed = claim.rows_needed(claim.measure.n, value, near, bound)
    settle = (
        f"no number of {claim.unit} settles a value that is the target itself"
        if needed is None
        else f"about {needed} {claim.unit} would settle it"
    )
    return "likely", f"{seen}, {wanted}, but its interval ({shown(low)} to {shown(high)}) is not: {settle}", needed


def _clears(number: float, comparison: Comparison, bound: float) -> bool:
    return {">": number > bound, ">=": number >= bound, "<": number < bound, "<=": number <= bound}[comparison]


def _course(history: Sequence[EvaluationLog]) -> _Course:
    """Mann and Kendall's test of the validation losses. The last entry of a step counts."""
    losses = {entry.step: entry.validation_loss for entry in history}
    if broken := sum(not isfinite(loss) for loss in losses.values()):
        return _Course(
            f"{broken} of {len(losses)} validation losses are not finite numbers", rises=True, alone="missed"
        )
    if len(losses) < 2:
        return _Course("no trend: fewer than two evaluations while training")
    found = trend(list(losses), list(losses.values()))
    first, last = (losses[step] for step in (min(losses), max(losses)))
    way = f"{first:.4g} to {last:.4g} over {found.points} evaluations while training"
    if found.rising < CHANCE:
        return _Course(f"but the validation loss rose, {way} (p = {found.rising:.2g})", rises=True, alone="missed")
    if found.falling < CHANCE:
        return _Course(f"the validation loss fell, {way} (p = {found.falling:.2g})", alone="met")
    return _Course(f"the validation loss shows no clear trend, {way}", alone="likely" if found.change < 0 else "missed")
