"""An evaluation in a terminal: the table beside base and targets, the reasons, the exit code."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from luthier.app.cli.evaluation import any_missed, print_evaluation
from luthier.app.cli.verbs.demo import _print_answers
from luthier.flow import Measure, Report, TargetResult, Verdict


def target(metric: str, verdict: Verdict, reason: str = "", **values: Any) -> TargetResult:
    nothing: dict[str, Any] = {"target": "> 90%", "value": None, "low": None, "high": None, "n": 0}
    return TargetResult(metric=metric, verdict=verdict, reason=reason, **nothing | values)


REPORT = Report(
    run="tickets-lora-1",
    data="[red]test.jsonl",
    rows=120,
    metrics={"loss": Measure(0.112, 0.08, 0.144, 120), "accuracy": Measure(0.966, 0.917, 0.987, 120)},
    base={"loss": Measure(4.32, 4.1, 4.54, 120), "accuracy": Measure(0.125, 0.077, 0.196, 120, "9 were cut")},
    targets=(
        target("label_accuracy", "met", "all of its interval is over 90%", value=0.966, low=0.917, high=0.987, n=120),
        target("human_eval", "not_measured", "no votes yet", target="> 80%"),
    ),
    difference={"accuracy": Measure(0.841, 0.764, 0.901, 120), "loss": Measure(-4.208, -4.5, -3.9, 120)},
    categories={"late\x1b[31m": {"accuracy": Measure(1.0, 0.8, 1.0, 20)}},
)


def printed(report: Report, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False)
    print_evaluation(report, console)
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_each_metric_stands_beside_base_with_intervals_target_and_verdict() -> None:
    lines = printed(REPORT, 120)
    assert "120 rows of [red]test.jsonl; in brackets the 95% intervals" in lines
    assert "metric base tuned n target verdict" in lines
    # The target called it label_accuracy, another name of the same metric: one line, and the first.
    assert "accuracy 12.5% [7.7, 19.6] 96.6% [91.7, 98.7] 120 > 90% met" in lines
    assert "loss 4.32 [4.10, 4.54] 0.112 [0.080, 0.144] 120" in lines
    assert "human eval – – > 80% not measured" in lines


def test_on_a_narrow_terminal_the_intervals_stand_under_their_values() -> None:
    lines = printed(REPORT, 80)
    place = lines.index("accuracy 12.5% 96.6% 120 > 90% met")
    assert lines[place + 1] == "[7.7, 19.6] [91.7, 98.7]"


def test_reasons_follow_each_once_and_tuned_minus_base_with_its_sign() -> None:
    lines = printed(REPORT, 120)
    reasons = [
        "label accuracy: all of its interval is over 90%",
        "human eval: no votes yet",
        "base, accuracy: 9 were cut",
        "tuned minus base, accuracy: +84.1 points [76.4, 90.1]",
        "tuned minus base, loss: −4.21 [−4.50, −3.90]",
    ]
    assert [line for line in lines if line in reasons] == reasons


def test_categories_are_listed_with_their_rows_and_their_names_are_safe() -> None:
    lines = printed(REPORT, 120)
    assert "late␛[31m 20 100.0%" in lines
    assert lines[lines.index("late␛[31m 20 100.0%") + 1] == "[80.0, 100.0]"


def test_metrics_that_were_not_measured_are_summed_in_a_line_and_a_missing_package_has_its_command() -> None:
    from luthier.evaluation.evaluate import INSTALL

    names = {"bleu": "texts are short", "json_match": "no JSON", "math_match": f"needs math_verify: {INSTALL}"}
    absent = {name: Measure(None, reason=reason) for name, reason in names.items()}
    report = replace(REPORT, metrics={**REPORT.metrics, **absent}, base={**REPORT.base, **absent})
    lines = printed(report, 120)
    assert "not measured, as these rows do not fit: bleu, json match" in lines
    assert f"not measured for want of a package: math match; {INSTALL}" in lines
    assert not any(line.startswith(("bleu", "tuned, bleu", "base, bleu")) for line in lines)


def test_categories_show_accuracy_loss_and_what_has_a_target_first() -> None:
    shares = {name: Measure(0.5, 0.4, 0.6, 20) for name in ("accuracy", "stops", "macro_f1")}
    measured = {**REPORT.metrics, **shares}
    report = replace(REPORT, metrics=measured, categories={"late": shares}, targets=(target("macro_f1", "met"),))
    lines = printed(report, 120)
    assert "category n accuracy macro f1" in lines
    assert [line.split(" ")[0] for line in lines if line.startswith(("accuracy", "macro", "loss", "stops"))][:4] == [
        "accuracy",
        "macro",
        "loss",
        "stops",
    ]


@pytest.mark.parametrize(
    ("verdict", "plainly", "strictly"),
    [("met", False, False), ("likely", False, True), ("missed", True, True), ("not_measured", False, True)],
)
def test_only_a_missed_target_is_exit_code_1_and_with_strict_all_that_are_not_met(
    verdict: Verdict, plainly: bool, strictly: bool
) -> None:
    report = Report("x", "y", 1, {}, {}, (target("loss", "met"), target("accuracy", verdict)))
    assert (any_missed(report), any_missed(report, strict=True)) == (plainly, strictly)


def test_answers_before_and_after_show_the_message_without_what_all_prompts_share() -> None:
    answers = [
        {
            "file": "test.jsonl",
            "line": line,
            "category": None,
            "prompt": f"<|system|>\nSort it.\n<|user|>\n{said}\n<|assistant|>\n",
            "wanted": "delivery",
            "base": "I'm sorry to hear [bold]that,\nand I will do all I can",
            "tuned": "delivery",
            "base_right": False,
            "tuned_right": True,
        }
        for line, said in enumerate(["The parcel is late", "Nobody rang\x1b[2J at my door"], 1)
    ]
    console = Console(file=io.StringIO(), width=80, markup=False)
    _print_answers(answers, console)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    rows = [line.split("  ") for line in lines[4:6]]
    assert [[cell.strip() for cell in row if cell.strip()] for row in rows] == [
        ["The parcel is late", "delivery", "I'm sorry…", "delivery"],
        ["Nobody rang␛[2J at my door", "delivery", "I'm sorry…", "delivery"],
    ]
    assert max(map(len, lines)) <= 80
