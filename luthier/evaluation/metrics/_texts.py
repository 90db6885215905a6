"""Metrics of longer texts that a library scores: which rows they are for, and sacrebleu's from a row's counts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from luthier.evaluation.matching import is_json
from luthier.evaluation.metrics import Sample
from luthier.evaluation.metrics._rows import Fit, OfTotals
from luthier.flow import Question
from luthier.statistics.bootstrap import Statistic

FEWEST_WORDS: Final = 4
examples: Final = (
    "The order has not arrived, and the customer asks for the money back.",
    "Please send the package to the new address in the north of the city.",
    "We have sent you a new card today; it takes three days to arrive.",
)


def _is_text(question: Question) -> bool:
    return len(question.wanted.split()) >= FEWEST_WORDS and not is_json(question.wanted)


TEXTS: Final = Fit(_is_text, f"are texts of {FEWEST_WORDS} words or more")


@cache
def scorer(name: Literal["BLEU", "CHRF"]) -> Any:
    """sacrebleu's metric with its default settings."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    # `force` only silences the warning that texts look tokenized.
    return BLEU(force=True) if name == "BLEU" else CHRF()


def by_sacrebleu(name: Literal["BLEU", "CHRF"], statistic: Statistic) -> OfTotals:
    """sacrebleu's score of all rows together, from 0 to 100: its counts add up over rows, and `statistic` is its score
    of their sums, written for many resamples at once."""

    def columns(sample: Sample) -> NDArray[np.float64]:
        pairs = zip(sample.answers, sample.questions, strict=True)
        return np.array([_counts(name, answer.text, question.wanted) for answer, question in pairs], dtype=float)

    def details(sample: Sample) -> Mapping[str, Any]:
        found = scorer(name)
        found.corpus_score(["one"], [["one"]])  # the signature holds the number of references, known only then
        return {"signature": str(found.get_signature())}

    return OfTotals(columns, statistic, (0.0, 100.0), TEXTS, details=details)


@cache
def _counts(name: Literal["BLEU", "CHRF"], answer: str, wanted: str) -> tuple[int, ...]:
    return tuple(scorer(name)._extract_corpus_statistics([answer], [[wanted]])[0])
