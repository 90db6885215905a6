"""Runs against each other: matched row by row, tested in pairs, and best only where that is more than noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pytest

from luthier.evaluation.compare import Comparison, Method, apart, compare
from luthier.evaluation.evaluate import Scored, evaluate
from luthier.evaluation.kept import Kept
from luthier.flow import Answer, Measure, Place, Question, RowScore, result_of
from luthier.statistics import mcnemar

TOKENS = np.array([1], dtype=np.int32)


def kept(right: Sequence[bool], loss: float = 1.0, order: Sequence[int] | None = None, file: str = "t.jsonl") -> Kept:
    """A run that has these rows right; its losses rise slowly from row to row."""
    rows = list(order or range(len(right)))
    questions = [Question(TOKENS, "", "blue", Place(file, row + 1)) for row in rows]
    answers = [Answer("blue" if right[row] else "red", 2, True) for row in rows]
    scores = [RowScore(loss * (1 + row / 100), 2, int(right[row])) for row in rows]
    scored = Scored(answers, scores)
    return Kept(questions, [f"hash {row}" for row in rows], scored, scored)


def method(name: str, run: Kept) -> Method:
    report = evaluate(run.questions, run.tuned, run.base, {"accuracy": "> 90%"}, run=name, data="t.jsonl")
    return Method(name, "lora", 0.001, 10**9, 12.0, report.metrics, report.targets)


def compared(**runs: Kept) -> Comparison:
    methods = [method(name, run) for name, run in runs.items()]
    return result_of(compare(methods, [[run] for run in runs.values()], {}, "t.jsonl"))


def test_the_pairs_have_mcnemars_probability_and_holms_correction() -> None:
    half, most = [row % 2 == 0 for row in range(40)], [row % 10 != 0 for row in range(40)]
    found = compared(one=kept(half), other=kept(most), third=kept(half))
    pairs = {(pair.one, pair.other): pair for pair in found.pairs if pair.metric == "accuracy"}
    # one and other: of 20 rows that the first has right 4 are wrong in the second, of its 20 wrong ones 20 are right
    expected = mcnemar(4, 20)
    assert [
        pairs[key].probability for key in (("one", "other"), ("one", "third"), ("other", "third"))
    ] == pytest.approx([expected, 1.0, expected])
    assert [pair.corrected for pair in pairs.values()] == pytest.approx([3 * expected, 1.0, 3 * expected])
    assert pairs["one", "other"].difference.value == pytest.approx(20 / 40 - 36 / 40)


def test_the_best_is_better_than_every_other_beyond_noise() -> None:
    wrong, right = [row % 4 == 0 for row in range(60)], [row % 20 != 0 for row in range(60)]
    found = compared(bad=kept(wrong), good=kept(right))
    assert (found.best, found.decided_by, found.not_told_apart) == ("good", "accuracy", ())
    assert "beyond noise" in found.why


@pytest.mark.parametrize(
    ("targets", "decides"),
    [({"accuracy": "> 90%", "loss": "< 1"}, "accuracy"), ({"loss": "< 1"}, "loss"), ({}, "accuracy")],
)
def test_accuracy_without_its_target_does_not_decide_where_others_stand(targets: dict[str, str], decides: str) -> None:
    runs = {"right": kept([True] * 40, loss=2.0), "likely": kept([row > 5 for row in range(40)], loss=0.5)}
    methods = []
    for name, run in runs.items():
        report = evaluate(run.questions, run.tuned, run.base, targets, run=name, data="t.jsonl")
        methods.append(Method(name, "lora", 0.001, 10**9, 12.0, report.metrics, report.targets))
    found = result_of(compare(methods, [[run] for run in runs.values()], {}, "t.jsonl"))
    assert found.decided_by == decides
    assert found.best == ("right" if decides == "accuracy" else "likely")


def test_a_lead_of_one_row_is_no_difference_beyond_noise() -> None:
    found = compared(one=kept([True] * 38 + [False] * 2), other=kept([True] * 37 + [False] * 3))
    assert found.best is None
    assert found.not_told_apart == ("other",)
    assert found.why.startswith("no difference beyond noise: one leads by accuracy, but is not told apart from other")


def test_equal_runs_are_said_to_be_equal_and_what_their_loss_says_beside_it() -> None:
    right = [True, False] * 30
    found = compared(worse=kept(right, 1.1), better=kept(right, 1.0))
    assert found.best is None
    assert found.why.startswith(
        "no difference beyond noise: worse and better are equal by accuracy; by loss better is "
    )


def test_rows_in_another_order_are_matched_by_their_place() -> None:
    right = [row % 3 == 0 for row in range(30)]
    one, turned = kept(right), kept(right, order=list(range(29, -1, -1)), file="elsewhere/t.jsonl")
    assert apart(one, turned) == ""
    found = compared(one=one, other=turned)
    pair = next(pair for pair in found.pairs if pair.metric == "accuracy")
    assert pair.difference.details["only_one"] == pair.difference.details["only_other"] == 0


def test_other_rows_and_changed_rows_are_told() -> None:
    one = kept([True] * 5)
    assert apart(one, kept([True] * 4)) == "5 rows and 4 rows, of which 4 are the same"
    changed = Kept(one.questions, ["other", *one.hashes[1:]], one.tuned, one.base)
    assert apart(one, changed) == "5 rows and 5 rows, of which 4 are the same"


def test_losses_are_told_apart_by_the_paired_bootstrap_though_rows_differ_more_than_runs() -> None:
    right = [True, False] * 30
    found = compared(worse=kept(right, 1.1), better=kept(right, 1.0))
    pair = next(pair for pair in found.pairs if pair.metric == "loss")
    assert pair.difference.details["test"] == "paired bootstrap"
    assert pair.probability is not None
    assert pair.probability < 0.01
    assert asdict(found)["methods"][0]["tuning_method"] == "lora"
    assert found.base == {}
    assert isinstance(found.methods[0].metrics["loss"], Measure)
