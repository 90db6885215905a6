"""What every metric must keep: the wanted text scores best, values stay in range, and n and an interval come along."""

from __future__ import annotations

import json
import math
import random
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.evaluation import metrics
from luthier.evaluation.metrics import Sample
from luthier.flow import Answer, LabelScores, Place, Question, RowScore

every_metric = pytest.mark.parametrize("name", metrics.names())

TEXTS = ["billing", "Card payment", '{"queue": "refund", "days": 3}', "42", "наш отдел", "."]


def examples(name: str) -> list[str]:
    """30 wanted answers that the metric fits."""
    own = list(getattr(metrics.load(name), "examples", TEXTS))
    return (own * 30)[:30]


def question(number: int, wanted: str) -> Question:
    return Question(np.array([1, 2, 3], np.int32), "Which desk?", wanted, Place("rows.jsonl", number))


def sure(wanted: str, labels: tuple[str, ...], certainty: float = 40.0) -> LabelScores:
    likely = np.array([0.0 if label == wanted else -certainty for label in labels])
    return LabelScores(labels, likely, np.full(len(labels), 2))


def identical(name: str) -> Sample:
    """Each answer is the wanted text, each token, each label and each preference certain and right."""
    texts = examples(name)
    labels = tuple(sorted(set(texts)))
    return Sample(
        [question(number, text) for number, text in enumerate(texts, 1)],
        [Answer(text, len(text.split()) + 1, stopped=True) for text in texts],
        [RowScore(0.0, len(text.split()) + 1, len(text.split()) + 1) for text in texts],
        [sure(text, labels, 1000.0) for text in texts],
        getattr(metrics.load(name), "schema", None),
        [1000.0] * len(texts),
    )


def scrambled(name: str, said: list[str], seed: int) -> Sample:
    """Random answers beside wanted texts that fit, with random losses, labels and preferences."""
    chance = random.Random(seed)
    wanted = examples(name)[: len(said)]
    labels = tuple(sorted({*wanted, "other"}))
    tokens = [len(text.split()) + 1 for text in wanted]
    return Sample(
        [question(number, text) for number, text in enumerate(wanted, 1)],
        [Answer(text, 1 + len(text), chance.random() < 0.9) for text in said],
        [RowScore(chance.expovariate(0.2) * count, count, chance.randint(0, count)) for count in tokens],
        [sure(chance.choice(labels), labels, chance.expovariate(1)) for _ in wanted],
        getattr(metrics.load(name), "schema", None),
        [chance.gauss(0, 1) for _ in wanted],
    )


def fresh() -> np.random.Generator:
    return np.random.default_rng(0)


def unfit(name: str, sample: Sample) -> str:
    return str(getattr(metrics.load(name), "unfit", lambda sample: "")(sample))


def check_range(name: str, sample: Sample) -> None:
    metric = metrics.load(name)
    if unfit(name, sample):
        return
    measure = metric.measure(sample, fresh())
    least, greatest = metric.range
    assert 0 < measure.n <= len(sample.questions)
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
    json.dumps(asdict(measure), allow_nan=False)


@every_metric
def test_identical_texts_score_best(name: str) -> None:
    metric, sample = metrics.load(name), identical(name)
    assert unfit(name, sample) == ""
    measure = metric.measure(sample, fresh())
    best = getattr(metric, "best", metric.range[metric.direction == "higher"])
    if math.isinf(best):  # nothing is best: a margin can always be greater
        best = 1000.0
    assert measure.value == pytest.approx(best, abs=1e-12)
    assert measure.n == 30
    assert measure.low is not None
    assert measure.high is not None


@every_metric
def test_its_number_comes_with_what_stands_behind_it_as_json(name: str) -> None:
    measure = metrics.load(name).measure(identical(name), fresh())
    assert json.loads(json.dumps(asdict(measure), allow_nan=False))["details"] == measure.details


@every_metric
@settings(max_examples=10, deadline=None)
@given(said=st.lists(st.text(max_size=20), min_size=1, max_size=25), seed=st.integers())
def test_values_and_intervals_stay_in_range_on_random_text(name: str, said: list[str], seed: int) -> None:
    check_range(name, scrambled(name, said, seed))


@every_metric
def test_a_model_does_not_differ_from_itself(name: str) -> None:
    sample = scrambled(name, examples(name), 1)
    difference = metrics.load(name).difference(sample, sample, fresh())
    assert difference.value == 0
    assert difference.n == 30
    assert difference.low is not None
    assert difference.high is not None
    assert difference.low <= 0 <= difference.high


@every_metric
def test_the_difference_is_the_difference_of_the_values(name: str) -> None:
    metric = metrics.load(name)
    tuned = identical(name)
    worse = scrambled(name, ["no idea at all"] * 30, 1)
    base = replace(
        worse,
        answers=[replace(answer, stopped=False) for answer in worse.answers],
        row_scores=[replace(score, correct=0) for score in worse.row_scores],
        label_scores=[sure("other", scores.labels, 3.0) for scores in worse.label_scores],
    )
    values = [metric.measure(sample, fresh()).value for sample in (tuned, base)]
    difference = metric.difference(tuned, base, fresh())
    assert values[0] is not None
    assert values[1] is not None
    assert difference.value == pytest.approx(values[0] - values[1])
    assert difference.low is not None
    assert difference.high is not None
    assert difference.value is not None
    assert difference.low <= difference.value <= difference.high
    if metric.direction != "neither":
        assert (values[0] > values[1]) == (metric.direction == "higher")


@every_metric
def test_a_row_more_or_less_does_not_break_it_and_the_seed_repeats_it(name: str) -> None:
    for rows in (1, 2, 9, 10):
        sample = scrambled(name, examples(name)[:rows], rows)
        check_range(name, sample)
        assert metrics.load(name).measure(sample, fresh()) == metrics.load(name).measure(sample, fresh())


@every_metric
def test_more_rows_are_needed_where_the_interval_reaches_over_the_target(name: str) -> None:
    metric = metrics.load(name)
    wanted = examples(name)
    sample = scrambled(name, [text if row % 5 else "no" for row, text in enumerate(wanted)], 4)
    measure = metric.measure(sample, fresh())
    assert measure.value is not None
    assert measure.low is not None
    assert measure.high is not None
    for near in (measure.low, measure.high):
        target = (measure.value + near) / 2
        needed = metric.rows_needed(measure.n, measure.value, near, target)
        assert needed is not None
        assert needed > measure.n
        assert metric.rows_needed(measure.n, measure.value, near, measure.value) is None


def test_every_metric_has_a_paragraph_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    explained = [word for line in page.splitlines() if line.startswith("### ") for word in re.findall(r"`(\w+)`", line)]
    assert sorted(explained) == sorted([*metrics.names(), *metrics.OTHER_NAMES, *metrics.ON_OTHER_ROWS])
