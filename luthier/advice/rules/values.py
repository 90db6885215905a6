"""A method's settings: each rule gives one, with its reason and source, or nothing where it has none to give.

`SHAPE` decides how large what is trained and a step are, `COURSE` how long training goes, which the estimate of the
first is needed for. What the user wrote stays, and later rules go by it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil, floor
from typing import Final

from luthier.advice.facts import Facts, Setting
from luthier.advice.rules import rule, source_of
from luthier.advice.rules.method import LARGEST_RANK, RANK, USUAL_RANK, bits_held, bits_to_learn
from luthier.settings import mission
from luthier.settings.mission import TuningMethod

Rule = Callable[[Facts, TuningMethod], tuple[str, object, str] | None]

HYPER: Final = "training_config.hyperparameters"
LORA: Final = "training_config.lora_config"
WITH_LORA: Final = ("lora", "qlora")
VIRTUAL: Final = ("prompt_tuning", "prefix_tuning")
FEW_ROWS: Final = 64
SHORT_RUN: Final = 100
MOST_EPOCHS: Final = 10
WANTED_STEPS: Final = {"prompt_tuning": 300, "prefix_tuning": 200}
"""Optimizer steps that a method wants at least; the others want `SHORT_RUN`."""
MANY_LABELS: Final = 20
OF_THE_MINUTES: Final = 0.8
"""The share of the budget's minutes that steps may take by the estimate; validation and its error take the rest."""


@rule("the mission's batch_size; Schulman et al., LoRA Without Regret (2025): LoRA takes large batches worse than full")
def batch_size(facts: Facts, method: TuningMethod) -> tuple[str, object, str]:
    """8 rows a step; 4 where there are under 64 rows, so that an epoch has steps to learn in."""
    del method
    if facts.rows < FEW_ROWS:
        return f"{HYPER}.batch_size", 4, f"{facts.rows} rows are few: more steps of fewer rows"
    return f"{HYPER}.batch_size", mission.HYPERPARAMETERS.batch_size, "small batches suit every method here"


@rule("Schulman et al., LoRA Without Regret (2025): on attention alone LoRA is worse, with as many parameters too")
def target_modules(facts: Facts, method: TuningMethod) -> tuple[str, object, str] | None:
    """LoRA and QLoRA sit on all linear layers."""
    del facts
    if method not in WITH_LORA:
        return None
    return f"{LORA}.target_modules", "all-linear", "on query and value alone it learns less"


@rule("the mission's r; Schulman et al., LoRA Without Regret (2025); Allen-Zhu and Li (2024): 2 bits a parameter")
def rank(facts: Facts, method: TuningMethod) -> tuple[str, object, str] | None:
    """16, doubled up to 64 until 2 bits a trained parameter hold what the rows have to teach."""
    if method not in WITH_LORA:
        return None
    size, wanted = USUAL_RANK, bits_to_learn(facts)
    while size < LARGEST_RANK and (held := bits_held(facts, size)) is not None and held < wanted:
        size *= 2
    reason = f"it holds what {facts.rows:,} rows can teach, at most {wanted / 1e6:,.3g} million bits"
    return RANK, size, reason


@rule("Lester et al., The Power of Scale (2021): beyond 20 tokens little is gained; the contract's default")
def virtual_tokens(facts: Facts, method: TuningMethod) -> tuple[str, object, str] | None:
    """20 virtual tokens; 50 where over 20 labels have to be told apart."""
    if method not in VIRTUAL:
        return None
    path = f"training_config.{method}_config.num_virtual_tokens"
    if (facts.labels or 0) > MANY_LABELS:
        return path, 50, f"{facts.labels} labels are many to tell apart"
    return path, 20, "more gain little"


@rule("the mission's epochs; docs/log.md: 40 to 60 steps were too few on two tasks; the best checkpoint is kept")
def epochs(facts: Facts, method: TuningMethod) -> tuple[str, object, str]:
    """3 epochs; up to 10 until there are 100 steps (200 for a prefix, 300 for a soft prompt); fewer, by the estimate,
    where they would take more than four fifths of the budget's minutes."""
    a_epoch = steps_an_epoch(facts)
    wanted = WANTED_STEPS.get(method, SHORT_RUN)
    value: float = min(MOST_EPOCHS, max(mission.HYPERPARAMETERS.epochs, ceil(wanted / a_epoch)))
    reason = "the mission's epochs"
    if value > mission.HYPERPARAMETERS.epochs:
        reason = f"{a_epoch} steps an epoch are few: {round(value * a_epoch)} in all, of {wanted} wanted"
    seconds = facts.option(method).step_seconds
    if seconds and facts.minutes:
        most = OF_THE_MINUTES * 60 * facts.minutes / (seconds * a_epoch)
        if most < value:
            value = max(floor(10 * most) / 10, min(0.1, value))
            reason = f"so many fit into {facts.minutes} minutes, by the estimate"
    return f"{HYPER}.epochs", float(value), reason


@rule("the contract: low runs up to 15 minutes, medium up to 2 hours")
def max_minutes(facts: Facts, method: TuningMethod) -> tuple[str, object, str] | None:
    """Training stops, saved, when the budget's minutes are over, should the estimate be wrong."""
    del method
    if facts.minutes is None:
        return None
    return f"{HYPER}.max_minutes", float(facts.minutes), f"what compute_budget: {facts.budget} allows"


@rule(
    "Schulman et al., LoRA Without Regret (2025): ten times full tuning's rate, more in short runs; docs/log.md; "
    "PEFT's method comparison"
)
def learning_rate(facts: Facts, method: TuningMethod) -> tuple[str, object, str]:
    """LoRA and QLoRA 5e-4 on all layers, 1e-3 in runs under 100 steps; full tuning a tenth of that; a prefix 5e-3; a
    soft prompt by the spread of the model's embeddings, worked out when the run starts."""
    path = f"{HYPER}.learning_rate"
    if method in VIRTUAL:
        return path, "auto", "5e-3" if method == "prefix_tuning" else "0.15 of the embeddings' spread"
    steps = steps_an_epoch(facts) * float(facts.decided.get(f"{HYPER}.epochs", mission.HYPERPARAMETERS.epochs))
    short = steps < SHORT_RUN
    length = f"{max(1, round(steps))} steps are {'few, so they go farther' if short else 'enough for the usual rate'}"
    if method == "full":
        return path, 1e-4 if short else 5e-5, f"a tenth of LoRA's; {length}"
    return path, 1e-3 if short else 5e-4, length


SHAPE = (batch_size, target_modules, rank, virtual_tokens)
COURSE = (epochs, max_minutes, learning_rate)


def steps_an_epoch(facts: Facts) -> int:
    """Optimizer steps that go once through the rows."""
    size = facts.decided.get(f"{HYPER}.batch_size", mission.HYPERPARAMETERS.batch_size)
    return max(1, ceil(facts.rows / int(size)))


def decided(rules: Sequence[Rule], facts: Facts, method: TuningMethod) -> tuple[Facts, tuple[Setting, ...]]:
    """The facts with what these rules decide, and the settings. What is decided already is left as it is."""
    found: list[Setting] = []
    for one in rules:
        if (said := one(facts, method)) is not None and said[0] not in facts.decided:
            path, value, reason = said
            facts = replace(facts, decided={**facts.decided, path: value})
            found.append(Setting(path, value, reason, source_of(one)))
    return facts, tuple(found)
