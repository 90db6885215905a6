"""From the answers and scores of two models, tuned and base, to a report: metrics, by category too, and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from luthier.evaluation import metrics
from luthier.evaluation.metrics import Sample
from luthier.evaluation.targets import judge
from luthier.flow import Answer, EvaluationLog, LabelScores, Measure, Question, Report, RowScore, TargetResult
from luthier.settings.targets import parse_target

NO_CATEGORY: Final = "(no category)"
INSTALL: Final = "python -m pip install 'luthier[evaluate]'"

_MISSING: Final = {
    "answers": "no answers were generated",
    "row_scores": "the rows were not scored",
    "label_scores": "the labels were not scored",
    "preferences": "the rows hold no worse answers, or it is base that the others are measured against",
}


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model did with the questions, in their order. Each is empty where it was not asked for; None stands for a
    row of which it was not asked, as answers may be for a part of the rows only."""

    answers: Sequence[Answer | None] = ()
    row_scores: Sequence[RowScore] = ()
    label_scores: Sequence[LabelScores | None] = ()
    preferences: Sequence[float | None] = ()


def evaluate(
    questions: Sequence[Question],
    tuned: Scored,
    base: Scored,
    targets: Mapping[str, str | None],
    history: Sequence[EvaluationLog] = (),
    seed: int = 0,
    *,
    run: str,
    data: str,
    seconds: float = 0.0,
    on_other_rows: Mapping[str, Measure] | None = None,
    own_metrics: Sequence[str] = (),
    schema: Mapping[str, Any] | None = None,
) -> Report:
    """The report of one run on one set of rows. `targets` are the run file's, `history` its evaluations while training.

    `on_other_rows` are metrics of the tuned model that were measured on other rows, such as `forgetting`; `own_metrics`
    are functions (`module:function`) beside those that targets name; `schema` is what JSON answers must keep. The same
    seed gives the same report. Raises `ValueError` where answers or scores are not one a question.
    """
    of_tuned, of_base = _Model(questions, tuned, schema), _Model(questions, base, schema)
    names = [*metrics.names(), *dict.fromkeys([*own_metrics, *(name for name in targets if ":" in name)])]
    tuned_measures, base_measures = of_tuned.measures(names, seed), of_base.measures(names, seed)
    differences = {name: _difference(name, of_tuned, of_base, tuned_measures, base_measures, seed) for name in names}
    measured = [name for name in names if tuned_measures[name].value is not None]
    tuned_measures |= on_other_rows or {}

    def verdict(name: str, text: str) -> TargetResult:
        known = metrics.OTHER_NAMES.get(name, name)
        missing = Measure(None, reason=_absent(name))
        return judge(
            parse_target(text), name, tuned_measures.get(known, missing), differences.get(known, missing), history
        )

    return Report(
        run=run,
        data=data,
        rows=len(questions),
        metrics=tuned_measures,
        base=base_measures,
        targets=tuple(verdict(name, text) for name, text in targets.items() if text is not None),
        difference=differences,
        categories={
            category: of_tuned.part(rows).measures(measured, seed) for category, rows in _categories(questions).items()
        },
        seconds=seconds,
    )


def difference(
    name: str, questions: Sequence[Question], one: Scored, other: Scored, seed: int = 0, schema: Any = None
) -> Measure:
    """One model's metric minus the other's on the same rows, each row compared with itself.

    `details` hold the paired test's `probability`. Both models must have been measured by it.
    """
    metric = metrics.load(name)
    mine, others = (_Model(questions, scored, schema).sample(metric) for scored in (one, other))
    return metric.difference(mine, others, np.random.default_rng(seed))


@dataclass(frozen=True, slots=True)
class _Model:
    """What one model did with the rows, for metrics of every need."""

    questions: Sequence[Question]
    scored: Scored
    schema: Mapping[str, Any] | None

    def __post_init__(self) -> None:
        for field in fields(self.scored):
            if len(given := getattr(self.scored, field.name)) not in (0, len(self.questions)):
                what = field.name.replace("_", " ")
                raise ValueError(f"{len(given)} {what} for {len(self.questions)} questions")

    def part(self, rows: Sequence[int]) -> _Model:
        """The same of some rows."""
        lists = {field.name: getattr(self.scored, field.name) for field in fields(self.scored)}
        picked = {name: [given[row] for row in rows] if given else () for name, given in lists.items()}
        return _Model([self.questions[row] for row in rows], Scored(**picked), self.schema)

    def measures(self, names: Sequence[str], seed: int) -> dict[str, Measure]:
        """Metrics by name. Each starts from the same seed, so that one more metric changes no other."""
        found = {}
        for name in names:
            metric = metrics.load(name)
            sample = self.sample(metric)
            reason = self._lacks(metric, sample)
            found[name] = (
                Measure(None, reason=reason) if reason else metric.measure(sample, np.random.default_rng(seed))
            )
        return found

    def sample(self, metric: metrics.Metric) -> Sample:
        """What a metric is given: the rows that have what it needs; all rows where none has."""
        given = getattr(self.scored, metric.needs)
        rows = [row for row, one in enumerate(given) if one is not None] or range(len(self.questions))
        one = Sample(self.questions, (), self.scored.row_scores, (), self.schema)
        if metric.needs != "row_scores" and any(what is not None for what in given):
            one = replace(one, **{metric.needs: given})
        return one if len(rows) == len(self.questions) else one.part(rows)

    def _lacks(self, metric: metrics.Metric, sample: Sample) -> str:
        """Why a metric cannot be measured; a metric may say so itself, by a function `unfit(sample)`."""
        if not sample.questions:
            return "there are no rows"
        if unfit := getattr(metric, "unfit", lambda sample: "")(sample):
            return str(unfit)
        if not getattr(sample, metric.needs):
            return _MISSING[metric.needs]
        package = getattr(metric, "package", None)
        if package and find_spec(package) is None:
            return f"it needs {package}, which is not installed: {INSTALL}"
        return ""


def _difference(
    name: str, tuned: _Model, base: _Model, of_tuned: Mapping[str, Measure], of_base: Mapping[str, Measure], seed: int
) -> Measure:
    for whose, measure in (("the tuned model", of_tuned[name]), ("base", of_base[name])):
        if measure.value is None:
            return Measure(None, n=measure.n, reason=f"not measured for {whose}: {measure.reason}")
    return difference(name, tuned.questions, tuned.scored, base.scored, seed, tuned.schema)


def _absent(name: str) -> str:
    if name == "human_eval":
        return "no votes yet"
    return f"there is no metric {name!r}, only {', '.join(metrics.names())}"


def _categories(questions: Sequence[Question]) -> dict[str, list[int]]:
    """The rows of each category, in order of first appearance; empty where no row has one."""
    rows: dict[str, list[int]] = {}
    for row, question in enumerate(questions):
        rows.setdefault(NO_CATEGORY if question.category is None else question.category, []).append(row)
    return {} if set(rows) <= {NO_CATEGORY} else rows
