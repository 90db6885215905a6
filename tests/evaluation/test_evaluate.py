"""A whole report: tuned beside base, by category, with verdicts, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from luthier.evaluation import metrics
from luthier.evaluation.evaluate import NO_CATEGORY, Scored, evaluate
from luthier.flow import Answer, EvaluationLog, Place, Question, Report, RowScore

LABELS = ["billing", "refund", "delivery", "account", None] * 12
QUESTIONS = [
    Question(np.zeros(3, np.int32), "Which desk?", label or "other", Place("rows.jsonl", line), label)
    for line, label in enumerate(LABELS, 1)
]


def scored(right: int, loss: float) -> Scored:
    """The first `right` answers are right; losses spread around `loss` nats a token."""
    generator = np.random.default_rng(5)
    return Scored(
        [Answer(question.wanted if row < right else "hm", 2, True) for row, question in enumerate(QUESTIONS)],
        [RowScore(2 * loss * float(generator.uniform(0.5, 1.5)), 2, 2 if row < right else 1) for row in range(60)],
    )


TARGETS = {
    "loss": "decreasing",
    "accuracy": "> 90%",
    "label_accuracy": "> 99%",
    "perplexity": "< 10",
    "human_eval": "> 80%",
    "token_accuracy": None,
    "charm": "> 1",
}
HISTORY = [EvaluationLog(step, 3.0 / step, 0, 0, True, 0, [], []) for step in (1, 2, 3, 4, 5)]


def report(seed: int = 0) -> Report:
    return evaluate(QUESTIONS, scored(59, 0.2), scored(9, 4.0), TARGETS, HISTORY, seed, run="tickets", data="test")


def test_tuned_and_base_stand_side_by_side_with_their_difference() -> None:
    found = report()
    assert found.rows == 60
    assert list(found.metrics) == list(found.base) == list(found.difference) == list(metrics.names())
    assert found.metrics["accuracy"].value == pytest.approx(59 / 60)
    assert found.base["accuracy"].value == pytest.approx(9 / 60)
    assert found.difference["accuracy"].value == pytest.approx(50 / 60)
    assert found.difference["loss"].high is not None
    assert found.difference["loss"].high < 0


def test_each_target_has_a_verdict_and_null_is_no_target() -> None:
    found = {result.metric: result for result in report().targets}
    assert {name: result.verdict for name, result in found.items()} == {
        "loss": "met",
        "accuracy": "met",
        "label_accuracy": "missed",
        "perplexity": "met",
        "human_eval": "not_measured",
        "charm": "not_measured",
    }
    assert found["human_eval"].reason == "no votes yet"
    assert found["charm"].reason.startswith("there is no metric 'charm', only accuracy, ")


def test_categories_hold_every_row_once_those_without_one_too() -> None:
    categories = report().categories
    assert list(categories) == ["billing", "refund", "delivery", "account", NO_CATEGORY]
    assert [measures["loss"].n for measures in categories.values()] == [12] * 5
    assert categories["billing"]["accuracy"].value == 1.0
    assert categories[NO_CATEGORY]["accuracy"].value == pytest.approx(11 / 12)


def test_rows_without_any_category_make_no_table_of_them() -> None:
    questions = [Question(np.zeros(1, np.int32), "", "yes", Place("rows.jsonl", 1))]
    one = Scored([Answer("yes", 1, True)], [RowScore(0.5, 2, 2)])
    assert evaluate(questions, one, one, {}, run="tickets", data="test").categories == {}


def test_the_report_is_json_without_nan() -> None:
    text = json.dumps(asdict(report()), allow_nan=False)
    assert json.loads(text)["targets"][1]["verdict"] == "met"


def test_the_same_seed_gives_the_same_report_and_another_seed_other_intervals() -> None:
    assert report() == report()
    assert report().metrics["loss"] != report(1).metrics["loss"]


def test_without_rows_nothing_is_measured_and_no_target_is_missed() -> None:
    found = evaluate([], Scored(), Scored(), TARGETS, run="tickets", data="test")
    assert {measure.reason for measure in found.metrics.values()} == {"there are no rows"}
    assert {result.verdict for result in found.targets} == {"not_measured"}


def test_scores_without_answers_measure_what_they_can() -> None:
    only = Scored(row_scores=scored(59, 0.2).row_scores)
    found = evaluate(QUESTIONS, only, Scored(), {"accuracy": "> 90%"}, run="tickets", data="test")
    assert found.metrics["loss"].value is not None
    assert found.targets[0].reason == "no answers were generated"
    assert found.difference["loss"].reason == "not measured for base: the rows were not scored"


def test_answers_that_are_not_one_a_question_are_refused() -> None:
    with pytest.raises(ValueError, match="1 answers for 60 questions"):
        evaluate(QUESTIONS, Scored([Answer("", 0, True)]), Scored(), {}, run="tickets", data="test")


def test_a_metric_without_its_package_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("luthier.evaluation.evaluate.find_spec", lambda name: None)
    questions = [Question(np.zeros(1, np.int32), "", "one two three four", Place("rows.jsonl", row)) for row in (1, 2)]
    said = Scored([Answer("one two three five", 5, True)] * 2, [RowScore(1.0, 5, 1)] * 2)
    found = evaluate(questions, said, said, {"bleu": "> 50"}, run="tickets", data="test")
    reason = "it needs sacrebleu, which is not installed: python -m pip install 'luthier[evaluate]'"
    assert found.metrics["bleu"].reason == reason
    assert (found.targets[0].verdict, found.targets[0].reason) == ("not_measured", reason)
    assert "under half" in found.metrics["math_match"].reason
    assert found.metrics["length_ratio"].value == 1.0


def test_answers_of_some_rows_are_measured_on_those_rows() -> None:
    whole, base = scored(59, 0.2), scored(9, 4.0)
    some = [answer if row % 3 == 0 else None for row, answer in enumerate(whole.answers)]
    found = evaluate(QUESTIONS, replace(whole, answers=some), replace(base, answers=some), {}, run="x", data="test")
    assert (found.metrics["accuracy"].n, found.metrics["loss"].n) == (20, 60)
    assert found.difference["accuracy"].n == 20
    # Each category has its row in every third place four times.
    assert found.categories["billing"]["accuracy"].n == 4


def test_of_a_ratio_of_which_neither_more_nor_less_is_better_no_tolerance_is_judged() -> None:
    targets = {"length_ratio": "not worse than base by 0.1"}
    found = evaluate(QUESTIONS, scored(59, 0.2), scored(9, 4.0), targets, run="x", data="test").targets[0]
    assert found.verdict == "not_measured"
    assert "neither more nor less of it is better" in found.reason
