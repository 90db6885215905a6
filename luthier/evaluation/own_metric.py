"""A function of the user's own as a metric, by its import path: `my_metrics:politeness`.

It is called for each row by its parameters' names, `politeness(answer="...", wanted="...")`, and gives a number or
True or False. Only what a person wrote, in a run file or on the command line, names one; rows never do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from math import inf, isfinite
from pathlib import Path
from typing import Any, Literal

import numpy as np

from luthier.errors import UserError, mistake
from luthier.evaluation.metrics._rows import OfTotals, ShareOfRows, mean_of_rows
from luthier.evaluation.sample import Sample
from luthier.flow import Measure
from luthier.statistics import rows_needed


@dataclass(frozen=True, slots=True)
class OwnMetric:
    """`direction` is the function's own attribute of that name where it has one, else `higher`. Its mean is measured
    with a bootstrap interval; where it only gives True and False, the share with Wilson's."""

    name: str
    function: Callable[..., Any]
    direction: Literal["higher", "lower"]
    file: str
    range: tuple[float, float] = (-inf, inf)
    needs: Literal["answers"] = "answers"

    @classmethod
    def load(cls, name: str) -> OwnMetric:
        """The function of `module:function`, looked for in the current folder too. Raises `UserError` where it cannot
        be had."""
        module_name, _, function_name = name.partition(":")
        here = str(Path.cwd())
        sys.path.insert(0, here)
        try:
            module = import_module(module_name)
        except Exception as error:
            remedy = f"see that `python -c 'import {module_name}'` works in this folder"
            message = f"{module_name!r} cannot be imported: {type(error).__name__}: {error}"
            raise mistake(message, f"the metric {name}", remedy) from error
        finally:
            sys.path.remove(here)
        function = getattr(module, function_name, None)
        if not callable(function):
            has = ", ".join(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
            message = f"{module_name!r} has no function {function_name!r}"
            raise mistake(message, f"the metric {name}", f"one of: {has}" if has else "write it there")
        direction = getattr(function, "direction", "higher")
        if direction not in ("higher", "lower"):
            remedy = 'write `direction = "higher"` or `"lower"` on the function'
            raise mistake(f"its direction is {direction!r}", f"the metric {name}", remedy)
        return cls(
            name, function, "lower" if direction == "lower" else "higher", str(getattr(module, "__file__", module_name))
        )

    def measure(self, sample: Sample, generator: np.random.Generator) -> Measure:
        """The mean, or the share of True."""
        return self._metric([sample]).measure(sample, generator)

    def difference(self, tuned: Sample, base: Sample, generator: np.random.Generator) -> Measure:
        """Tuned minus base, each row with itself."""
        return self._metric([tuned, base]).difference(tuned, base, generator)

    def rows_needed(self, n: int, value: float, near_end: float, target: float) -> int | None:
        """As the interval narrows with the root of the rows."""
        return rows_needed(n, value, near_end, target)

    def _metric(self, samples: Sequence[Sample]) -> ShareOfRows | OfTotals:
        if all(isinstance(value, bool | np.bool_) for sample in samples for value in self._values(sample)):
            return ShareOfRows(self._values, unfinished=False)
        return mean_of_rows(self._values, self.range)

    def _values(self, sample: Sample) -> list[Any]:
        return [
            self._value(answer.text, question.wanted, str(question.place))
            for question, answer in zip(sample.questions, sample.answers, strict=True)
        ]

    def _value(self, answer: str, wanted: str, place: str) -> Any:
        remedy = f"mend {self.name.partition(':')[2]} in {self.file}: it takes `answer` and `wanted` and gives a number"
        try:
            value = self.function(answer=answer, wanted=wanted)
            if isinstance(value, bool | np.bool_) or isfinite(value):
                return value
        except UserError:
            raise
        except Exception as error:
            message = f"{self.name} fails: {type(error).__name__}: {error}"
            raise mistake(message, place, remedy) from error
        raise mistake(f"{self.name} gives {value!r}", place, remedy)
