"""Six runs of each half with the packaged model, of few steps: what is found must not hang on tiny models."""

from __future__ import annotations

from typing import Any

from benchmarks.sick_runs.cases import Case, Facts, Task
from benchmarks.sick_runs.ways import Way, fails_elsewhere, lora, unlearned, well, with_english, with_openings

ROWS = 96
HELD_BACK = 32
"""Rows of validation, and as many of the test."""


def usual(rate: float, epochs: float) -> dict[str, Any]:
    """LoRA as it comes."""
    return lora(rate, epochs, r=16, modules=["q_proj", "v_proj"])


def packaged_overfitting(task: Task, seed: int) -> Case:
    """Three rows of each label, gone through ten times."""
    train, validation, test = task.sides(seed, 3 * len(task.labels), HELD_BACK, HELD_BACK)

    def check(facts: Facts) -> str:
        if facts.last_rise_low <= 0 or facts.last_loss < 1.1 * facts.loss:
            return f"fresh rows: {facts.loss:.3f} at the best checkpoint, {facts.last_loss:.3f} at the last"
        return ""

    return Case("overfitting", "small_dataset", train, validation, test, usual(3e-3, 14), check)


def packaged_underfitting(task: Task, seed: int) -> Case:
    """The rate of the mission's example, which is far too low for LoRA."""
    train, validation, test = task.sides(seed, ROWS, HELD_BACK, HELD_BACK)
    return Case("underfitting", "rate_too_low", train, validation, test, usual(2e-5, 2), unlearned)


def packaged_forgetting(task: Task, seed: int) -> Case:
    """A narrow task at a rate ten times the usual."""
    train, validation, test = task.sides(seed, ROWS, HELD_BACK, HELD_BACK)

    def check(facts: Facts) -> str:
        return "" if facts.english_lost > 0.3 else f"only {facts.english_lost:.0%} of the English is gone"

    return Case("forgetting", "rate", train, validation, test, lora(5e-3, 2, r=16), check)


def packaged_bias(task: Task, seed: int) -> Case:
    """Each label has an opening of its own, in training and validation only."""
    train, validation, test = task.sides(seed, ROWS, HELD_BACK, HELD_BACK)
    train, validation = with_openings((train, validation), task, seed)
    return Case("generalization", "test_gap", train, validation, test, usual(1e-3, 2), with_english(fails_elsewhere))


def packaged_healthy(task: Task, seed: int) -> Case:
    """LoRA at its usual rate, on two layers' kinds or on all."""
    train, validation, test = task.sides(seed, ROWS, HELD_BACK, HELD_BACK)
    settings = usual(1e-3, 3) if seed % 2 else lora(3e-4, 3, r=16)
    return Case(None, "", train, validation, test, settings, well)


RUNS: tuple[Way, ...] = (
    packaged_overfitting,
    packaged_underfitting,
    packaged_forgetting,
    packaged_bias,
    packaged_healthy,
    packaged_healthy,
)
