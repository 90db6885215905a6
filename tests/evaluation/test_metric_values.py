"""Each metric at numbers worked by hand, and what it says where it cannot be measured."""

from __future__ import annotations

from math import exp, inf, nan

import numpy as np
import pytest

from luthier.evaluation import metrics
from luthier.evaluation.metrics import Sample
from luthier.flow import Answer, Measure, Place, Question, RowScore
from luthier.statistics import studentized_interval, wilson


def sample(
    scores: list[RowScore] | None = None,
    said: list[str] | None = None,
    wanted: str = "billing",
    category: str | None = None,
    stopped: bool = True,
) -> Sample:
    rows = len(scores or said or [])
    return Sample(
        [Question(np.zeros(1, np.int32), "", wanted, Place("rows.jsonl", row + 1), category) for row in range(rows)],
        [Answer(text, 1, stopped) for text in said or []],
        scores or [],
    )


def measure(name: str, of: Sample) -> Measure:
    return metrics.load(name).measure(of, np.random.default_rng(0))


def difference(name: str, tuned: Sample, base: Sample) -> Measure:
    return metrics.load(name).difference(tuned, base, np.random.default_rng(0))


SCORES = [RowScore(0.6, 3, 2), RowScore(0.2, 1, 1)] * 10


def test_loss_is_summed_over_all_tokens_before_it_is_divided() -> None:
    found = measure("loss", sample(SCORES))
    assert found.value == pytest.approx(0.8 / 4)
    assert found.n == 20


def test_the_loss_interval_resamples_rows() -> None:
    scores = [RowScore(0.1 * row, 1 + row % 4, 0) for row in range(40)]
    columns = [(score.loss, score.tokens) for score in scores]
    interval = studentized_interval(columns, lambda sums: sums[..., 0] / sums[..., 1], np.random.default_rng(0))
    found = measure("loss", sample(scores))
    assert interval is not None
    assert (found.low, found.high) == (interval.low, interval.high)


def test_perplexity_and_its_ends_are_exp_of_the_loss_and_its_ends() -> None:
    scores = [RowScore(0.1 * row, 1 + row % 4, 0) for row in range(40)]
    nats, found = measure("loss", sample(scores)), measure("perplexity", sample(scores))
    assert nats.value is not None
    assert nats.low is not None
    assert nats.high is not None
    assert (found.value, found.low, found.high, found.n) == (exp(nats.value), exp(nats.low), exp(nats.high), 40)


def test_token_accuracy_counts_tokens_not_rows() -> None:
    assert measure("token_accuracy", sample(SCORES)).value == pytest.approx(3 / 4)


def test_tokens_all_right_are_no_certainty() -> None:
    found = measure("token_accuracy", sample([RowScore(0.0, 5, 5)] * 20))
    assert (found.value, found.low, found.high) == (1.0, wilson(20, 20).low, 1.0)


def test_accuracy_is_nine_of_ten_with_wilsons_interval() -> None:
    found = measure("accuracy", sample(said=["Billing."] * 9 + ["refund"]))
    assert found.value == 0.9
    assert [found.low, found.high] == pytest.approx([0.5958, 0.9821], abs=5e-5)
    assert found.n == 10
    assert found.reason == ""


def test_an_answer_cut_at_the_limit_is_wrong_and_counted() -> None:
    found = measure("accuracy", sample(said=["billing"] * 3, stopped=False))
    assert found.value == 0
    assert found.reason == "3 of 3 answers were cut at the limit of tokens and count as wrong"


def test_label_accuracy_is_another_name_for_accuracy() -> None:
    assert metrics.load("label_accuracy") is metrics.load("accuracy")


@pytest.mark.parametrize(
    ("tokens", "wanted", "category", "measured"),
    [
        (33, "free text", None, True),  # 32 tokens and the end mark
        (34, "free text", None, False),
        (34, "free text", "billing", True),
        (34, '{"a": 1}', None, True),
    ],
)
def test_long_free_answers_have_no_accuracy(tokens: int, wanted: str, category: str | None, measured: bool) -> None:
    of = sample([RowScore(1.0, tokens, 0)] * 5, [wanted] * 5, wanted, category)
    for found in (measure("accuracy", of), difference("accuracy", of, of)):
        assert (found.value is not None) == measured
        assert found.n == 5
        assert found.reason.startswith("long free answers (median 33 tokens, over 32, no category)") != measured


def test_long_answers_are_compared_where_most_of_them_are_json() -> None:
    scores = [RowScore(1.0, 50, 0)] * 2
    text, data = (sample(scores, [wanted] * 2, wanted) for wanted in ("free text", "[1]"))
    for first, second in ((text, data), (data, text)):
        questions = [*first.questions, *first.questions, *second.questions]
        found = measure("accuracy", Sample(questions, [Answer("", 1, True)] * 6, scores * 3))
        assert (found.value is None) == (first is text)


def test_the_difference_of_accuracy_names_the_rows_that_decide() -> None:
    tuned = sample(said=["billing"] * 8 + ["no"] * 2)
    base = sample(said=["no"] * 7 + ["billing"] * 2 + ["no"])
    found = difference("accuracy", tuned, base)
    assert found.value == pytest.approx((7 - 1) / 10)
    assert found.reason == "only the tuned model is right on 7 rows, only base on 1 (exact McNemar test: p = 0.07)"


def test_rows_without_a_trained_token_are_left_out_and_counted() -> None:
    found = measure("loss", sample([*SCORES, RowScore(0.0, 0, 0)]))
    assert found.value == pytest.approx(0.2)
    assert found.n == 20
    assert found.reason == "1 of 21 rows have no trained token and are left out"
    assert measure("loss", sample([RowScore(0.0, 0, 0)])) == Measure(None, reason="no row has a trained token")


@pytest.mark.parametrize("broken", [nan, inf])
def test_a_loss_that_is_no_number_is_named_with_its_row(broken: float) -> None:
    of = sample([RowScore(1.0, 1, 0), RowScore(broken, 1, 0)])
    for found in (measure("loss", of), measure("perplexity", of), difference("loss", of, of)):
        assert found.value is None
        assert found.reason == "the loss of 1 rows is not a finite number, first at rows.jsonl:2"


def test_a_perplexity_beyond_numbers_is_not_measured() -> None:
    huge = sample([RowScore(800.0, 1, 0)] * 12)
    assert measure("perplexity", huge).value is None
    assert "too large for a number" in measure("perplexity", huge).reason
    assert difference("perplexity", huge, huge).reason == "it is too large for a number"
    uncertain = sample([RowScore(10.0, 1, 0), RowScore(900.0, 1, 0)])
    assert "too large for a number" in measure("perplexity", uncertain).reason


def test_one_row_gives_a_value_without_an_interval() -> None:
    assert measure("loss", sample([RowScore(0.5, 2, 1)])) == Measure(0.25, n=1, reason="one row gives no interval")


def test_models_scored_on_other_tokens_are_not_compared() -> None:
    with pytest.raises(ValueError, match="rows of other lengths"):
        difference("loss", sample([RowScore(1.0, 2, 0)]), sample([RowScore(1.0, 3, 0)]))
