"""Accuracy: the share of rows whose generated answer is the wanted one after normalization."""

from __future__ import annotations

from statistics import median
from typing import Final

import numpy as np

from luthier.evaluation.matching import is_json, same_answer
from luthier.evaluation.metrics import Sample
from luthier.flow import Measure
from luthier.statistics.paired import mcnemar, share_difference
from luthier.statistics.rows_needed import rows_needed_for_share
from luthier.statistics.shares import wilson

direction: Final = "higher"
range: Final = (0.0, 1.0)
needs: Final = "answers"

LONG_TOKENS: Final = 32


def measure(sample: Sample, generator: np.random.Generator) -> Measure:
    """The share with Wilson's interval. An answer that the limit cut is wrong, whatever stands in it.

    Long free answers (rows without category or JSON, over 32 tokens at the median) are not measured: many texts would
    be right.
    """
    if reason := unfit(sample):
        return Measure(None, n=len(sample.questions), reason=reason)
    right = _right(sample)
    n, count = len(right), sum(right)
    ends = wilson(count, n)
    cut = sum(not answer.stopped for answer in sample.answers)
    reason = f"{cut} of {n} answers were cut at the limit of tokens and count as wrong" if cut else ""
    return Measure(count / n, ends.low, ends.high, n, reason)


def difference(tuned: Sample, base: Sample, generator: np.random.Generator) -> Measure:
    """Tuned minus base with Newcombe's paired interval; the exact McNemar test stands in `reason`."""
    if reason := unfit(tuned):
        return Measure(None, n=len(tuned.questions), reason=reason)
    pairs = list(zip(_right(tuned), _right(base), strict=True))
    both, only_tuned, only_base, neither = (
        pairs.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False))
    )
    ends = share_difference(both, only_tuned, only_base, neither)
    return Measure(
        (only_tuned - only_base) / len(pairs),
        ends.low,
        ends.high,
        len(pairs),
        f"only the tuned model is right on {only_tuned} rows, only base on {only_base} "
        f"(exact McNemar test: p = {mcnemar(only_tuned, only_base):.2g})",
    )


def rows_needed(n: int, value: float, near_end: float, target: float) -> int | None:
    """At which number of rows Wilson's interval around the same share excludes the target."""
    return rows_needed_for_share(value, target)


def _right(sample: Sample) -> list[bool]:
    return [
        answer.stopped and same_answer(answer.text, question.wanted)
        for question, answer in zip(sample.questions, sample.answers, strict=True)
    ]


def unfit(sample: Sample) -> str:
    """Why the rows do not fit this metric; empty where they do. It looks at no answers, so it can be asked before them.

    The wanted tokens are the trained ones but for the end mark.
    """
    if not sample.row_scores or any(question.category is not None for question in sample.questions):
        return ""
    tokens = median(score.tokens for score in sample.row_scores) - 1
    free = sum(not is_json(question.wanted) for question in sample.questions)
    if tokens <= LONG_TOKENS or free <= len(sample.questions) / 2:
        return ""
    return (
        f"long free answers (median {tokens:g} tokens, over {LONG_TOKENS}, no category): "
        "many texts would be right, so equality says little"
    )
