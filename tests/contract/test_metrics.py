"""What every metric must keep: the wanted text scores best, values stay in range, and n and an interval come along."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.evaluation import metrics
from luthier.evaluation.metrics import Metric, Sample
from luthier.flow import Answer, Place, Question, RowScore

every_metric = pytest.mark.parametrize("name", metrics.names())

TEXTS = ["billing", "Card payment", '{"queue": "refund", "days": 3}', "42", "наш отдел", "."] * 5


def question(number: int, wanted: str) -> Question:
    return Question(np.array([1, 2, 3], np.int32), "Which desk?", wanted, Place("rows.jsonl", number))


def identical(texts: list[str]) -> Sample:
    """Each answer is the wanted text, and each token is certain and right."""
    return Sample(
        [question(number, text) for number, text in enumerate(texts, 1)],
        [Answer(text, len(text.split()), stopped=True) for text in texts],
        [RowScore(0.0, len(text.split()) + 1, len(text.split()) + 1) for text in texts],
    )


def scrambled(texts: list[tuple[str, str]], seed: int) -> Sample:
    """Random answers beside random wanted texts, with random losses."""
    chance = random.Random(seed)
    tokens = [chance.randint(1, 9) for _ in texts]
    return Sample(
        [question(number, wanted) for number, (_, wanted) in enumerate(texts, 1)],
        [Answer(said, len(said), chance.random() < 0.9) for said, _ in texts],
        [RowScore(chance.expovariate(0.2) * count, count, chance.randint(0, count)) for count in tokens],
    )


def fresh() -> np.random.Generator:
    return np.random.default_rng(0)


def check_range(metric: Metric, sample: Sample) -> None:
    measure = metric.measure(sample, fresh())
    least, greatest = metric.range
    assert measure.n == len(sample.questions)
    assert measure.value is not None, measure.reason
    assert least <= measure.value <= greatest
    assert math.isfinite(measure.value)
    if measure.low is None or measure.high is None:
        assert measure.low is measure.high is None
        assert measure.reason
        assert measure.n == 1
    else:
        assert least <= measure.low <= measure.value + 1e-9
        assert measure.value - 1e-9 <= measure.high <= greatest
        assert math.isfinite(measure.high)


@every_metric
def test_identical_texts_score_best(name: str) -> None:
    metric = metrics.load(name)
    measure = metric.measure(identical(TEXTS), fresh())
    assert measure.value == metric.range[metric.direction == "higher"]
    assert measure.n == 30
    assert measure.low is not None
    assert measure.high is not None


@every_metric
@settings(max_examples=25, deadline=None)
@given(
    texts=st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), min_size=1, max_size=25), seed=st.integers()
)
def test_values_and_intervals_stay_in_range_on_random_text(name: str, texts: list[tuple[str, str]], seed: int) -> None:
    check_range(metrics.load(name), scrambled(texts, seed))


@every_metric
def test_a_model_does_not_differ_from_itself(name: str) -> None:
    sample = scrambled([(text, text) for text in TEXTS], 1)
    difference = metrics.load(name).difference(sample, sample, fresh())
    assert difference.value == 0
    assert difference.n == 30
    assert difference.low is not None
    assert difference.high is not None
    assert difference.low <= 0 <= difference.high


@every_metric
def test_the_difference_is_the_difference_of_the_values(name: str) -> None:
    metric = metrics.load(name)
    tuned, base = identical(TEXTS), scrambled([("no idea", text) for text in TEXTS], 1)
    base = Sample(
        base.questions,
        base.answers,
        [RowScore(score.loss, best.tokens, 0) for score, best in zip(base.row_scores, tuned.row_scores, strict=True)],
    )
    values = [metric.measure(sample, fresh()).value for sample in (tuned, base)]
    difference = metric.difference(tuned, base, fresh())
    assert values[0] is not None
    assert values[1] is not None
    assert difference.value == pytest.approx(values[0] - values[1])
    assert (values[0] > values[1]) == (metric.direction == "higher")


@every_metric
def test_a_row_more_or_less_does_not_break_it_and_the_seed_repeats_it(name: str) -> None:
    for rows in (1, 2, 9, 10):
        sample = scrambled([(text, text) for text in TEXTS[:rows]], rows)
        check_range(metrics.load(name), sample)
        assert metrics.load(name).measure(sample, fresh()) == metrics.load(name).measure(sample, fresh())


@every_metric
def test_more_rows_are_needed_where_the_interval_reaches_over_the_target(name: str) -> None:
    metric = metrics.load(name)
    measure = metric.measure(scrambled([("yes", chance) for chance in ["yes", "yes", "no"] * 10], 4), fresh())
    assert measure.value is not None
    assert measure.low is not None
    assert measure.high is not None
    for near in (measure.low, measure.high):
        target = (measure.value + near) / 2
        needed = metric.rows_needed(measure.n, measure.value, near, target)
        assert needed is not None
        assert needed > measure.n
        assert metric.rows_needed(measure.n, measure.value, near, measure.value) is None
