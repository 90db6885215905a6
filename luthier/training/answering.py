"""What the best checkpoint goes by where that is an answer's metric: validation rows that the model answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from luthier.evaluation import metrics
from luthier.flow import Answer, Question


@dataclass(frozen=True, slots=True)
class Asked:
    """The `questions` that are answered greedily at each evaluation, each with at most `limit` tokens, and the `metric`
    of the answers. `decode` and `stops` are as in `engine.generation.answers`."""

    metric: str
    questions: Sequence[Question]
    decode: Callable[[Sequence[int]], str]
    stops: tuple[int, ...]
    limit: int

    def value(self, answers: Sequence[Answer]) -> float | None:
        """The metric of one answer a question; None where it cannot be measured. The same answers give the same."""
        sample = metrics.Sample(self.questions, answers, ())
        return metrics.load(self.metric).measure(sample, np.random.default_rng(0)).value


def falls(metric: str) -> bool:
    """Whether less of the metric is better."""
    return metrics.load(metric).direction == "lower"
