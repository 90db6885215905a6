"""ROUGE-L: the longest run of words, gaps allowed, that a generated and a wanted text share; the F1, mean over rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from luthier.evaluation.metrics import Sample
from luthier.evaluation.metrics._rows import mean_of_rows
from luthier.evaluation.metrics._texts import TEXTS, examples

__all__ = ["difference", "direction", "examples", "measure", "needs", "package", "range", "rows_needed", "unfit"]

direction: Final = "higher"
range: Final = (0.0, 1.0)
needs: Final = "answers"
package: Final = "rouge_score"

KINDS: Final = ("rougeL", "rouge1", "rouge2")


@cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(KINDS), use_stemmer=False)


@cache
def _scores(wanted: str, answer: str) -> tuple[float, ...]:
    """F1 by `KINDS`. The library sees letters a to z and digits only."""
    found = _scorer().score(wanted, answer)
    return tuple(float(found[kind].fmeasure) for kind in KINDS)


def _by_row(sample: Sample) -> list[tuple[float, ...]]:
    pairs = zip(sample.questions, sample.answers, strict=True)
    return [_scores(question.wanted, answer.text) for question, answer in pairs]


def _longest(sample: Sample) -> Sequence[float]:
    return [scores[0] for scores in _by_row(sample)]


def _details(sample: Sample) -> Mapping[str, Any]:
    """ROUGE-1 and ROUGE-2: single words and pairs."""
    _, one, two = (sum(kind) / len(sample.answers) for kind in zip(*_by_row(sample), strict=True))
    return {"rouge_1": one, "rouge_2": two}


_mean = mean_of_rows(_longest, range, TEXTS, _details)
measure, difference, rows_needed, unfit = _mean.measure, _mean.difference, _mean.rows_needed, _mean.unfit
