"""The four verdicts, for every kind of target, with the reason in words."""

from __future__ import annotations

import pytest

from luthier.evaluation.targets import judge
from luthier.flow import EvaluationLog, Measure, TargetResult
from luthier.settings.targets import parse_target
from luthier.statistics import wilson

NOTHING = Measure(None, reason="base was not scored")
FALLING = [3.0, 2.5, 2.2, 2.0, 1.9, 1.85]


def share(right: int, n: int) -> Measure:
    ends = wilson(right, n)
    return Measure(right / n, ends.low, ends.high, n)


def history(losses: list[float]) -> list[EvaluationLog]:
    return [EvaluationLog(10 * step, loss, 0.0, 0.0, False, 0.0, [], []) for step, loss in enumerate(losses, 1)]


def verdict(
    text: str, name: str, measure: Measure, difference: Measure = NOTHING, losses: list[float] | None = None
) -> TargetResult:
    return judge(parse_target(text), name, measure, difference, history(losses or []))


def test_a_target_is_met_when_the_near_end_clears_it() -> None:
    found = verdict("> 90%", "accuracy", share(98, 100))
    assert (found.verdict, found.rows_needed) == ("met", None)
    assert (found.value, found.n, found.target, found.metric) == (0.98, 100, "> 90%", "accuracy")
    assert found.reason == "it is 98%, and all of its interval (93% to 99.45%) is over 90%"


def test_a_target_is_likely_when_only_the_value_clears_it() -> None:
    found = verdict("> 90%", "accuracy", share(93, 100))
    # 1.959964^2 * 0.9 * 0.1 / 0.03^2 = 384.1
    assert (found.verdict, found.rows_needed) == ("likely", 385)
    assert found.reason == (
        "it is 93%, over 90%, but its interval (86.25% to 96.57%) is not: about 385 rows would settle it"
    )


def test_a_target_is_missed_when_the_value_does_not_clear_it() -> None:
    found = verdict("> 90%", "accuracy", share(9, 10))
    assert (found.verdict, found.rows_needed) == ("missed", None)
    assert found.reason == "it is 90%, not over 90%"


def test_a_value_that_is_the_target_itself_can_not_be_settled_by_rows() -> None:
    found = verdict(">= 90%", "accuracy", share(9, 10))
    assert (found.verdict, found.rows_needed) == ("likely", None)
    assert "no number of rows" in found.reason


def test_the_near_end_of_a_lower_target_is_the_high_one() -> None:
    assert verdict("< 10", "perplexity", Measure(5.0, 4.0, 9.9, 50)).verdict == "met"
    assert verdict("< 10", "perplexity", Measure(5.0, 4.0, 10.0, 50)).verdict == "likely"
    assert verdict("<= 10", "perplexity", Measure(5.0, 4.0, 10.0, 50)).verdict == "met"
    assert verdict("< 10", "perplexity", Measure(10.0, 9.0, 11.0, 50)).verdict == "missed"


def test_perplexitys_rows_are_counted_on_the_scale_of_the_loss() -> None:
    # log(20 / 5) is twice log(10 / 5): four times the rows
    assert verdict("< 10", "perplexity", Measure(5.0, 2.0, 20.0, 50)).rows_needed == pytest.approx(200, abs=1)


def test_a_value_without_an_interval_is_at_most_likely() -> None:
    found = verdict("< 10", "perplexity", Measure(2.0, n=1, reason="one row gives no interval"))
    assert (found.verdict, found.rows_needed) == ("likely", None)
    assert found.reason == "it is 2, under 10, but without an interval; one row gives no interval"


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    found = verdict("> 80%", "human_eval", Measure(None, reason="no votes yet"))
    assert (found.verdict, found.reason) == ("not_measured", "no votes yet")


@pytest.mark.parametrize(
    ("text", "name", "difference", "expected"),
    [
        (">= base", "accuracy", (0.1, 0.05, 0.15), "met"),
        (">= base", "accuracy", (0.0, -0.05, 0.05), "likely"),
        ("> base", "accuracy", (0.0, -0.05, 0.05), "missed"),
        ("< base", "loss", (-0.2, -0.3, -0.1), "met"),
        ("< base", "loss", (-0.2, -0.5, 0.1), "likely"),
        ("not worse than base by 0.02", "accuracy", (-0.01, -0.015, 0.0), "met"),
        ("not worse than base by 0.02", "accuracy", (-0.01, -0.03, 0.01), "likely"),
        ("not worse than base by 2%", "accuracy", (-0.03, -0.05, -0.01), "missed"),
        ("not worse than base by 0.02", "loss", (0.01, 0.0, 0.015), "met"),
        ("not worse than base by 0.02", "loss", (0.03, 0.01, 0.05), "missed"),
        ("not worse than base by 0.02", "loss", (-0.5, -0.6, -0.4), "met"),
    ],
)
def test_a_target_about_base_is_judged_by_the_paired_difference(
    text: str, name: str, difference: tuple[float, float, float], expected: str
) -> None:
    found = verdict(text, name, Measure(0.5, 0.1, 0.9, 60), Measure(*difference, n=60))
    assert found.verdict == expected
    assert (found.rows_needed is not None) == (expected == "likely" and difference[0] != 0)
    assert (found.value, found.low, found.high) == (0.5, 0.1, 0.9)


def test_without_base_there_is_nothing_to_compare_with() -> None:
    found = verdict(">= base", "accuracy", share(9, 10))
    assert (found.verdict, found.reason) == ("not_measured", "there is no difference from base: base was not scored")


LOSS = Measure(1.9, 1.7, 2.1, 50)
BETTER, PERHAPS, WORSE = (
    Measure(-1.0, -1.2, -0.8, 50),
    Measure(-0.1, -0.3, 0.1, 50),
    Measure(0.2, 0.1, 0.3, 50),
)
RISING = [1.0, 1.1, 1.2, 1.3, 1.5, 1.9]
FLAT = [1.0, 1.02, 0.99, 1.01]


@pytest.mark.parametrize(
    ("difference", "losses", "expected", "words"),
    [
        (BETTER, FALLING, "met", "the validation loss fell, 3 to 1.85 over 6 evaluations while training (p = 0.0014)"),
        (BETTER, FLAT, "met", "the validation loss shows no clear trend"),
        (BETTER, [], "met", "no trend: fewer than two evaluations"),
        (BETTER, RISING, "likely", "but the validation loss rose, 1 to 1.9 over 6 evaluations"),
        (BETTER, [2.0, float("nan")], "likely", "1 of 2 validation losses are not finite numbers"),
        (PERHAPS, FALLING, "likely", "about 201 rows would settle it"),
        (WORSE, FALLING, "missed", "the difference from base is 0.2, not under 0"),
        (NOTHING, FALLING, "met", "there is no difference from base: base was not scored; the validation loss fell"),
        (NOTHING, FALLING[:3], "likely", "shows no clear trend"),
        (NOTHING, FLAT[:2], "missed", "shows no clear trend"),
        (NOTHING, RISING, "missed", "rose"),
        (NOTHING, FALLING[:1], "not_measured", "fewer than two evaluations"),
    ],
)
def test_decreasing_asks_for_less_than_base_and_no_rise_while_training(
    difference: Measure, losses: list[float], expected: str, words: str
) -> None:
    found = verdict("decreasing", "loss", LOSS, difference, losses)
    assert found.verdict == expected
    assert words in found.reason


def test_an_evaluation_repeated_after_a_resume_counts_once() -> None:
    again = history(FALLING) + history(FALLING[:2])
    found = judge(parse_target("decreasing"), "loss", LOSS, BETTER, again)
    assert "over 6 evaluations" in found.reason
