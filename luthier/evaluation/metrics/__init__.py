"""The metrics, one a file: what they are given, and what each must define."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final, Literal, Protocol, TypeVar, cast

import numpy as np

from luthier import plugins
from luthier.flow import Answer, LabelScores, Measure, Question, RowScore

FOLDER: Final = "luthier.evaluation.metrics"
OTHER_NAMES: Final = {"label_accuracy": "accuracy", "normalized_match": "accuracy"}
ON_OTHER_ROWS: Final = {"forgetting": "luthier.evaluation.metrics._forgetting"}
"""Metrics that are measured on other rows than the run's: a file of each says all but how."""

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Sample:
    """What one model did with the rows: `answers`, `row_scores` and `label_scores` are in the order of `questions`, or
    empty where the rows were not answered, not scored, or have no fixed labels. `schema` is what JSON answers must
    keep, where one was given."""

    questions: Sequence[Question]
    answers: Sequence[Answer]
    row_scores: Sequence[RowScore]
    label_scores: Sequence[LabelScores] = ()
    schema: Mapping[str, Any] | None = None

    def part(self, rows: Sequence[int]) -> Sample:
        """The same of some rows."""

        def pick(items: Sequence[Row]) -> list[Row]:
            return [items[row] for row in rows] if items else []

        return Sample(
            pick(self.questions), pick(self.answers), pick(self.row_scores), pick(self.label_scores), self.schema
        )


class Metric(Protocol):
    """What a metric's file defines. `range` holds the least and the greatest value, `needs` the part of a `Sample`
    that must not be empty. `direction` is `neither` where a value in between is best, which is then `best`.

    It may define `unfit(sample)`, which says why the rows do not fit it (empty where they do); `package`, a module that
    it imports and that may be missing; and `examples`, wanted answers that fit it.
    """

    @property
    def direction(self) -> Literal["higher", "lower", "neither"]: ...

    @property
    def range(self) -> tuple[float, float]: ...

    @property
    def needs(self) -> Literal["answers", "row_scores", "label_scores"]: ...

    def measure(self, sample: Sample, generator: np.random.Generator) -> Measure:
        """The value with its 95% interval over at least one row."""

    def difference(self, tuned: Sample, base: Sample, generator: np.random.Generator) -> Measure:
        """Tuned minus base on the same rows, with the interval of the pairs."""

    def rows_needed(self, n: int, value: float, near_end: float, target: float) -> int | None:
        """How many rows would bring the interval's near end past `target`, which `value` clears; None if none would."""


@cache
def names() -> tuple[str, ...]:
    """All metrics, sorted."""
    return tuple(plugins.names(FOLDER))


@cache
def load(name: str) -> Metric:
    """The metric of a name or of its other name; `module:function` is a function of the user's own.

    Raises `UserError` with the names that exist, or with what is wrong with the function.
    """
    if ":" in name:
        from luthier.evaluation.own_metric import OwnMetric

        return OwnMetric.load(name)
    if name in ON_OTHER_ROWS:
        return cast(Metric, import_module(ON_OTHER_ROWS[name]))
    return cast(Metric, plugins.load(FOLDER, OTHER_NAMES.get(name, name)))
