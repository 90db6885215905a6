"""The metrics, one a file: what they are given, and what each must define."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Final, Literal, Protocol, cast

import numpy as np

from luthier import plugins
from luthier.flow import Answer, LabelScores, Measure, Question, RowScore

FOLDER: Final = "luthier.evaluation.metrics"
OTHER_NAMES: Final = {"label_accuracy": "accuracy"}
ON_OTHER_ROWS: Final = {"forgetting": "luthier.evaluation.metrics._forgetting"}
"""Metrics that are measured on other rows than the run's: a file of each says all but how."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one model did with the rows: `answers`, `row_scores` and `label_scores` are in the order of `questions`, or
    empty where the rows were not answered, not scored, or have no fixed labels."""

    questions: Sequence[Question]
    answers: Sequence[Answer]
    row_scores: Sequence[RowScore]
    label_scores: Sequence[LabelScores] = ()


class Metric(Protocol):
    """What a metric's file defines. `range` holds the least and the greatest value, `needs` the part of a `Sample`
    that must not be empty."""

    direction: Literal["higher", "lower"]
    range: tuple[float, float]
    needs: Literal["answers", "row_scores"]

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
    """The metric of a name or of its other name. Raises `UserError` with the names that exist."""
    if name in ON_OTHER_ROWS:
        return cast(Metric, import_module(ON_OTHER_ROWS[name]))
    return cast(Metric, plugins.load(FOLDER, OTHER_NAMES.get(name, name)))
