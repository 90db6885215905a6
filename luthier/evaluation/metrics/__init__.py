"""The metrics, one a file: what they are given, and what each must define."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Final, Literal, Protocol, cast

import numpy as np

from luthier import plugins
from luthier.evaluation.sample import Sample
from luthier.flow import Measure

__all__ = ["FOLDER", "ON_OTHER_ROWS", "OTHER_NAMES", "Metric", "Sample", "load", "names"]

FOLDER: Final = "luthier.evaluation.metrics"
OTHER_NAMES: Final = {"label_accuracy": "accuracy", "normalized_match": "accuracy"}
ON_OTHER_ROWS: Final = {
    "forgetting": "luthier.evaluation.metrics._forgetting",
    "human_eval": "luthier.evaluation.metrics._human_eval",
}
"""Metrics that are measured on other rows than the run's: a file of each says all but how."""


class Metric(Protocol):
    """What a metric's file defines. `range` holds the least and the greatest value, `needs` the part of a `Sample`
    that must not be empty. `direction` is `neither` where a value in between is best, which is then `best`.

    It may define `unfit(sample)`, which says why the rows do not fit it (empty where they do); `package`, a module that
    it imports and that may be missing; `examples`, wanted answers that fit it; and `unit`, what its `n` counts where
    that is not rows.
    """

    @property
    def direction(self) -> Literal["higher", "lower", "neither"]: ...

    @property
    def range(self) -> tuple[float, float]: ...

    @property
    def needs(self) -> Literal["answers", "row_scores", "label_scores", "preferences", "votes"]: ...

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
