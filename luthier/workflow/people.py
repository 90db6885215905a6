"""People's preference in the evaluation of a run: what its reviews against base came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from luthier.evaluation.review import BASE, TARGET
from luthier.flow import Measure, Report, TargetResult
from luthier.report.numbers import count
from luthier.runs.reviews import KeptReview
from luthier.runs.run import Run


def with_people(report: Report, run: Run) -> Report:
    """The evaluation with people's preference for the run over base in it, by the newest review that has votes.

    Votes of a script are nobody's preference: where there are no others there is no value, and the reason says so.
    """
    counted = [
        (found["kind"] == "person", found)
        for review in reversed(KeptReview.all(run))
        if (found := review.result()) and found["votes"] and review.terms().against == BASE
    ]
    if not counted:
        return report
    of_people, found = max(counted, key=lambda one: one[0])  # the first of equals, so the newest
    measure, target = Measure(**found["measure"]), found["target"]
    if not of_people:
        measure = Measure(None, reason=f"{count(found['votes'], 'vote')} made by a script, none by a person")
        target = None
    targets = [_judged(one.target, measure, target) if one.metric == TARGET else one for one in report.targets]
    return replace(report, metrics={**report.metrics, TARGET: measure}, targets=tuple(targets))


def _judged(text: str, measure: Measure, found: Mapping[str, Any] | None) -> TargetResult:
    """The verdict that the review came to; not measured where it has none that counts."""
    if found is None or found["target"] != text:
        reason = measure.reason or "the target is another than when people voted: luthier review sums up anew"
        return TargetResult(TARGET, text, None, None, None, 0, "not_measured", reason)
    return TargetResult(**found)
