"""A run as its report shows it: 40 steps, evaluated on 20 rows, with every part there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from luthier.data.account import Tally
from luthier.flow import EvaluationLog, Measure, Report, StepLog, TargetResult
from luthier.report.view import Pair, Rows, Setting, View
from luthier.settings.loading import DEFAULT


def step(number: int, loss: float, tokens: int = 20) -> StepLog:
    return StepLog(
        step=number,
        epoch=number / 20,
        train_loss=loss,
        learning_rate=2e-4 * (1 - number / 40),
        grad_norm=1.0,
        trained_tokens=tokens,
        row_tokens=400,
        computed_tokens=450,
        seconds=2.0,
        memory_bytes=2_700_000_000,
    )


def evaluation(number: int, loss: float, best: bool) -> EvaluationLog:
    return EvaluationLog(number, loss, 2.718**loss, 0.9, best, 1.5, [(loss, 1)], [(loss, 1)])


def pair(line: int, base_right: bool | None, tuned_right: bool | None) -> Pair:
    return Pair(
        file="test.jsonl",
        line=line,
        category="billing" if line % 2 else "returns",
        prompt=f"<|user|>\nMessage {line}: where is my money?\n<|assistant|>\n",
        wanted="billing" if line % 2 else "returns",
        base="I am sorry to hear that.",
        tuned="billing",
        base_right=base_right,
        tuned_right=tuned_right,
    )


@pytest.fixture
def whole() -> View:
    accuracy = Measure(0.91, 0.851, 0.948, 20)
    return View(
        run="runs/tickets-lora-1",
        state="done",
        best_step=30,
        steps=tuple(step(n, 4 / n) for n in range(1, 41)),
        evaluations=(evaluation(10, 1.2, True), evaluation(20, 0.6, True), evaluation(30, 0.4, True)),
        report=Report(
            run="tickets-lora-1",
            data="test.jsonl",
            rows=20,
            metrics={"accuracy": accuracy, "perplexity": Measure(4.3214, 3.9, 4.81, 20)},
            base={"accuracy": Measure(0.2, 0.081, 0.416, 20), "perplexity": Measure(1234.5, 1000.0, 1500.0, 20)},
            targets=(
                TargetResult("loss", "decreasing", 0.4, 0.3, 0.5, 20, "met", "the loss fell"),
                TargetResult("accuracy", "> 90%", 0.91, 0.851, 0.948, 20, "likely", "it is 91%", rows_needed=3141),
                TargetResult("perplexity", "< 4", 4.3214, 3.9, 4.81, 20, "missed", "it is 4.321, not under 4"),
                TargetResult("human_eval", "> 80%", None, None, None, 0, "not_measured", "no votes yet"),
            ),
            difference={"accuracy": Measure(0.71, 0.5, 0.85, 20), "perplexity": Measure(-1230.2, -1490.0, -995.0, 20)},
            categories={
                "billing": {"accuracy": Measure(1.0, 0.722, 1.0, 10)},
                "returns": {"accuracy": Measure(0.8, 0.49, 0.943, 10)},
            },
        ),
        pairs=tuple(pair(n, base_right=n <= 4, tuned_right=n not in (2, 8)) for n in range(1, 21)),
        rows=Rows(
            total=Tally(100, 92, {"duplicate": 5, "too_long": 3}, 10, 2, 4000, 800),
            sources=(("tickets.jsonl", Tally(100, 92, {"duplicate": 5, "too_long": 3}, 10, 2, 4000, 800)),),
            categories=(("billing", Tally(60, 60)), (None, Tally(40, 32, {"duplicate": 5, "too_long": 3}))),
        ),
        settings=(
            Setting(
                "training_config.hyperparameters.learning_rate", 0.0002, "methods/lora.py", "ten times full tuning"
            ),
            Setting("model", "smollm2-135m-instruct", "run.yaml:2"),
            Setting("tuning_method", "lora", DEFAULT),
            Setting("training_config.prompt_tuning_config.init", "auto", "auto"),
        ),
        environment={
            "version": 1,
            "versions": {"python": "3.11.9"},
            "machine": {"memory_bytes": 6_200_000_000},
            "command": ["luthier", "train", "my file.yaml"],
        },
    )


def measured(value: float, n: int = 13) -> Measure:
    return Measure(value, value - 0.1, value + 0.1, n)


def skill(rise: float) -> dict[str, Measure]:
    return {
        "rise": measured(rise),
        "base": measured(2.0),
        "tuned": measured(2.0 + rise),
        "agreement": Measure(0.8, 0.7, 0.9, 13),
        "kl": measured(0.3, 3),
    }


@pytest.fixture
def report(whole: View) -> Report:
    """The whole run's report, with forgetting, generalization and a confusion matrix, one of its labels markup."""
    assert whole.report is not None
    details = {
        "labels": ["billing", "<b>returns</b>"],
        "said": ["billing", "<b>returns</b>", "(other)"],
        "counts": [[7, 2, 1], [0, 10, 0]],
    }
    change = {
        "before": Measure(0.9, 0.8, 0.95, 20),
        "after": Measure(0.7, 0.5, 0.8, 20),
        "difference": Measure(-0.2, -0.4, -0.05, 20, "4 of 20 rows are right only unchanged"),
    }
    return replace(
        whole.report,
        metrics={
            **whole.report.metrics,
            "forgetting": measured(0.15, 26),
            "macro_f1": Measure(0.8, 0.7, 0.9, 20, "", details),
        },
        forgetting={"all": skill(0.15), "code": skill(-0.2), "science": skill(0.5)},
        gaps={"training": measured(0.4), "validation": measured(0.9), "validation_minus_training": measured(0.5)},
        changes={"typos": change, "case": {**change, "difference": Measure(-0.3, -0.5, -0.1, 20)}},
        quantization={"rise": measured(0.12, 26), "plain": measured(2.0, 26), "quantized": measured(2.12, 26)},
        distances={"0 to 0.25": Measure(0.5, 0.2, 0.8, 8), "0.75 to 1": Measure(1.0, 0.7, 1.0, 12)},
    )
