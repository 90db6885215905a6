"""From the answers and scores of two models, tuned and base, to a report: metrics, by category too, and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

from luthier.evaluation import metrics
from luthier.evaluation.metrics import Sample
from luthier.evaluation.targets import judge
from luthier.flow import Answer, EvaluationLog, LabelScores, Measure, Question, Report, RowScore, TargetResult
from luthier.settings.targets import parse_target

NO_CATEGORY: Final = "(no category)"

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model did with the questions, in their order. Each is empty where it was not asked for."""

    answers: Sequence[Answer] = ()
    row_scores: Sequence[RowScore] = ()
    label_scores: Sequence[LabelScores] = ()


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
) -> Report:
    """The report of one run on one set of rows. `targets` are the run file's, `history` its evaluations while training.

    `on_other_rows` are metrics of the tuned model that were measured on other rows, such as `forgetting`. The same seed
    gives the same report. Raises `ValueError` where answers or scores are not one a question.
    """
    tuned_sample, base_sample = _sample(questions, tuned), _sample(questions, base)
    tuned_measures, base_measures = measure_all(tuned_sample, seed), measure_all(base_sample, seed)
    differences = {
        name: _difference(name, tuned_sample, base_sample, tuned_measures[name], base_measures[name], seed)
        for name in tuned_measures
    }
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
            category: measure_all(_part(tuned_sample, rows), seed) for category, rows in _categories(questions).items()
        },
        seconds=seconds,
    )


def measure_all(sample: Sample, seed: int) -> dict[str, Measure]:
    """Every metric of one model. Each starts from the same seed, so that one more metric changes no other."""
    return {
        name: Measure(None, reason=reason)
        if (reason := _lacks(sample, metrics.load(name)))
        else metrics.load(name).measure(sample, np.random.default_rng(seed))
        for name in metrics.names()
    }


def _difference(
    name: str, tuned: Sample, base: Sample, tuned_measure: Measure, base_measure: Measure, seed: int
) -> Measure:
    for whose, measure in (("the tuned model", tuned_measure), ("base", base_measure)):
        if measure.value is None:
            return Measure(None, n=measure.n, reason=f"not measured for {whose}: {measure.reason}")
    return metrics.load(name).difference(tuned, base, np.random.default_rng(seed))


def _lacks(sample: Sample, metric: metrics.Metric) -> str:
    """Why a metric cannot be measured; a metric may say so itself, by a function `unfit(sample)`."""
    if not sample.questions:
        return "there are no rows"
    if unfit := getattr(metric, "unfit", lambda sample: "")(sample):
        return str(unfit)
    if metric.needs == "answers" and not sample.answers:
        return "no answers were generated"
    return "the rows were not scored" if metric.needs == "row_scores" and not sample.row_scores else ""


def _absent(name: str) -> str:
    if name == "human_eval":
        return "no votes yet"
    return f"there is no metric {name!r}, only {', '.join(metrics.names())}"


def _sample(questions: Sequence[Question], scored: Scored) -> Sample:
    given = {"answers": scored.answers, "row scores": scored.row_scores, "label scores": scored.label_scores}
    for what, rows in given.items():
        if len(rows) not in (0, len(questions)):
            raise ValueError(f"{len(rows)} {what} for {len(questions)} questions")
    return Sample(questions, scored.answers, scored.row_scores, scored.label_scores)


def _part(sample: Sample, rows: Sequence[int]) -> Sample:
    def pick(items: Sequence[Row]) -> list[Row]:
        return [items[row] for row in rows] if items else []

    return Sample(pick(sample.questions), pick(sample.answers), pick(sample.row_scores), pick(sample.label_scores))


def _categories(questions: Sequence[Question]) -> dict[str, list[int]]:
    """The rows of each category, in order of first appearance; empty where no row has one."""
    rows: dict[str, list[int]] = {}
    for row, question in enumerate(questions):
        rows.setdefault(NO_CATEGORY if question.category is None else question.category, []).append(row)
    return {} if set(rows) <= {NO_CATEGORY} else rows
