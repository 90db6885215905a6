"""From the facts to advice: the rules in order, and the same rules under other facts for what would flip the choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from luthier.advice.facts import Choice, Facts, Instead
from luthier.advice.rules import fine_tune, method, possible, source_of
from luthier.settings import mission
from luthier.settings.mission import ComputeBudget, TuningMethod


@dataclass(frozen=True, slots=True)
class Advice:
    """`why` is two sentences, `source` that of the rule behind it; `left_out` says of each method that is not possible
    why. `instead` is there where no method should be trained now."""

    tuning_method: TuningMethod
    why: str
    source: str
    runner_up: TuningMethod | None
    flips_when: tuple[str, ...]
    left_out: Mapping[TuningMethod, str]
    instead: Instead | None = None

    @property
    def fine_tune(self) -> bool:
        return self.instead is None


def advise(facts: Facts) -> Advice | None:
    """What the rules say; None where no method is possible."""
    without = left_out(facts)
    found = _chosen(facts, [name for name in mission.METHODS if name not in without])
    if not found:
        return None
    chosen, source = found[0]
    runner_up = found[1][0].tuning_method if len(found) > 1 else None
    instead = next((said for one in fine_tune.RULES if (said := one(facts)) is not None), None)
    second = _second_sentence(facts, chosen.tuning_method, runner_up, without)
    why = f"{instead.why} If you train all the same: {chosen.why}" if instead else f"{chosen.why} {second}"
    flips = _flips(facts, chosen.tuning_method)
    return Advice(chosen.tuning_method, why, source, runner_up, flips, without, instead)


def choices(facts: Facts, allowed: Sequence[TuningMethod]) -> list[Choice]:
    """The choice among the methods that are possible, and then the choice among the others, and so on."""
    return [choice for choice, _ in _chosen(facts, allowed)]


def _chosen(facts: Facts, allowed: Sequence[TuningMethod]) -> list[tuple[Choice, str]]:
    """The choices, each with the source of its rule."""
    found: list[tuple[Choice, str]] = []
    while left := [name for name in allowed if name not in {one.tuning_method for one, _ in found}]:
        spoken = ((choice, source_of(one)) for one in method.RULES if (choice := one(facts, left)) is not None)
        if (said := next(spoken, None)) is None:
            break
        found.append(said)
    return found


def left_out(facts: Facts) -> dict[TuningMethod, str]:
    """The methods that are not possible, each with the first reason against it."""
    found = {
        name: next((reason for one in possible.RULES if (reason := one(facts, name))), "") for name in mission.METHODS
    }
    return {name: reason for name, reason in found.items() if reason}


def _second_sentence(
    facts: Facts, chosen: TuningMethod, runner_up: TuningMethod | None, without: Mapping[TuningMethod, str]
) -> str:
    quality = mission.METHODS[chosen].quality
    if "lora" in without:
        return f"LoRA is left out: {without['lora']}."
    beside = f", and {runner_up} would come next" if runner_up else ", and no other is possible"
    return f"Among what the budget {facts.budget} allows here its quality is {quality} in the mission's words{beside}."


def _flips(facts: Facts, chosen: TuningMethod) -> tuple[str, ...]:
    """What would change the choice, found by asking the same rules under other facts."""

    def other(changed: Facts) -> TuningMethod | None:
        without = left_out(changed)
        found = choices(changed, [name for name in mission.METHODS if name not in without])
        return found[0].tuning_method if found and found[0].tuning_method != chosen else None

    budgets: tuple[ComputeBudget, ...] = get_args(ComputeBudget)
    flips = [
        f"with --compute-budget {budget} it would be {name}"
        for budget in budgets
        if budget != facts.budget and (name := other(replace(facts, budget=budget)))
    ]
    peak = facts.option(chosen).peak_memory_bytes
    if peak is not None and (name := other(replace(facts, memory_bytes=peak - 1))):
        flips.append(f"with less than {peak / 1e9:,.2f} GB of free memory it would be {name}")
    held = method.bits_held(facts, method.LARGEST_RANK)
    if held is not None and chosen != "full":
        times = held / max(1.0, method.bits_to_learn(facts))
        changed = replace(facts, budget="high", trained_tokens=int(facts.trained_tokens * times * 1.01) + 1)
        if other(changed) == "full":
            flips.append(f"with {times:,.0f} times as many rows, and --compute-budget high, it would be full")
    flips += _by_prompting(facts)
    if not facts.evidence:
        flips.append("a comparison on these rows that says otherwise: luthier compare FILE")
    return tuple(flips)


def _by_prompting(facts: Facts) -> list[str]:
    measured = facts.prompting
    if measured is None:
        return ["prompting may be enough: it was not measured"]
    likely = [target for target in measured.few_targets if target.verdict == "likely"]
    return [
        f"no tuning, if {target.metric} with examples in the prompt holds on "
        + (f"about {target.rows_needed:,} rows" if target.rows_needed else "more rows")
        for target in likely
    ]
