"""Which of the methods that are possible: the first rule that speaks decides, the next other one is the runner-up."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Final

from luthier.advice.facts import Choice, Facts
from luthier.advice.rules import rule
from luthier.settings.mission import TuningMethod

Possible = Sequence[TuningMethod]

BITS_A_PARAMETER: Final = 2.0
LARGEST_RANK: Final = 64
USUAL_RANK: Final = 16
RANK: Final = "training_config.lora_config.r"
NATS_A_TOKEN: Final = 1.0
"""What a trained token has to teach, assumed where it is not measured."""
LITTLE: Final = 200
"""Rows under which a prompt of 20 vectors holds what there is to learn."""


def bits_to_learn(facts: Facts) -> float:
    """At most: the untouched model's loss over all trained tokens. 1,000 tokens at 0.693 nats are 1,000 bits."""
    measured = facts.prompting.loss if facts.prompting else None
    return facts.trained_tokens * (NATS_A_TOKEN if measured is None else measured) / log(2)


def bits_held(facts: Facts, rank: int) -> float | None:
    """What LoRA of this rank can hold; None where its parameters were not counted. They grow with the rank."""
    trained = facts.option("lora").trainable_parameters or facts.option("qlora").trainable_parameters
    counted = int(facts.decided.get(RANK, USUAL_RANK))
    return None if trained is None else BITS_A_PARAMETER * trained * rank / counted


@rule("paired tests on the same rows outweigh any rule: docs/how-to/compare.md")
def earlier_comparison(facts: Facts, possible: Possible) -> Choice | None:
    """The best method of an earlier comparison with this model on these rows."""
    for found in facts.evidence:
        if found.best in possible:
            why = f"{found.best} was the best of an earlier comparison with this model on these rows ({found.report})."
            return Choice(found.best, why)
    return None


@rule(
    "Schulman et al., LoRA Without Regret (2025): LoRA falls behind where the rows exceed its capacity; Allen-Zhu and "
    "Li, Physics of Language Models 3.3 (2024): 2 bits a parameter"
)
def full_where_lora_cannot_hold_the_rows(facts: Facts, possible: Possible) -> Choice | None:
    """Full tuning, where the rows hold more than LoRA of rank 64 on all layers can: the untouched model's loss over all
    trained tokens in bits, against 2 bits a trained parameter."""
    held = bits_held(facts, LARGEST_RANK)
    if "full" not in possible or held is None or bits_to_learn(facts) <= held:
        return None
    why = (
        f"The rows hold up to {bits_to_learn(facts) / 1e6:,.1f} million bits, and LoRA of rank {LARGEST_RANK} on all "
        f"layers {held / 1e6:,.1f} million: only all weights have room for them."
    )
    return Choice("full", why)


@rule(
    "Schulman et al., LoRA Without Regret (2025); PEFT's method comparison, MetaMathQA to GSM8K: LoRA 47.8%, "
    "full 50.6%, prefix 41.6%, prompt 34.3%"
)
def lora_first(facts: Facts, possible: Possible) -> Choice | None:
    """LoRA on all linear layers wherever it is possible: on rows that it can hold it learns as well as full tuning in a
    fraction of the memory, and better than anything that stands before the rows."""
    if "lora" not in possible:
        return None
    rows = f"{facts.rows:,} rows"
    return Choice(
        "lora", f"LoRA on all linear layers learns {rows} as well as full tuning, in a fraction of its memory."
    )


@rule(
    "Lester et al., The Power of Scale for Parameter-Efficient Prompt Tuning (2021); the mission's table: Simple tasks"
)
def prompt_tuning_where_little_is_missing(facts: Facts, possible: Possible) -> Choice | None:
    """Prompt tuning, where LoRA is not possible, rows are under 200 and few examples in the prompt already reach every
    target without being sure of it: a better prompt is all that is missing."""
    measured = facts.prompting
    if "prompt_tuning" not in possible or "lora" in possible or measured is None or facts.rows >= LITTLE:
        return None
    verdicts = {target.verdict for target in measured.few_targets} - {"not_measured"}
    if not verdicts or not verdicts <= {"met", "likely"}:
        return None
    why = (
        f"{measured.shown} examples in the prompt already reach the targets, if not surely, and {facts.rows} rows are "
        "few: a prompt that is trained is all that is missing."
    )
    return Choice("prompt_tuning", why)


@rule("Dettmers et al., QLoRA (2023): four bits under LoRA cost no quality, on models of 7 to 65 billion parameters")
def qlora_where_lora_is_not_possible(facts: Facts, possible: Possible) -> Choice | None:
    """QLoRA, where the budget or the memory leaves LoRA out: the same adapter on weights of four bits."""
    if "qlora" not in possible:
        return None
    return Choice(
        "qlora",
        "QLoRA trains LoRA's adapter on weights of four bits, in the least memory of all that reach into the layers.",
    )


@rule("Li and Liang, Prefix-Tuning (2021); PEFT's method comparison: prefix 41.6%, prompt 34.3%")
def prefix_for_texts(facts: Facts, possible: Possible) -> Choice | None:
    """Prefix tuning before prompt tuning: it reaches into every layer, which shows most where answers are texts."""
    if "prefix_tuning" not in possible:
        return None
    where = (
        "where answers are texts, as here, that shows most"
        if facts.free_answers
        else "prompt tuning changes the first alone"
    )
    return Choice("prefix_tuning", f"A prefix reaches into every layer; {where}.")


@rule("the mission's table: Minimal compute, fewer numbers than any other method")
def prompt_tuning_last(facts: Facts, possible: Possible) -> Choice | None:
    """Prompt tuning, where nothing with more room is possible."""
    del facts
    if "prompt_tuning" not in possible:
        return None
    return Choice(
        "prompt_tuning", "A soft prompt trains the fewest numbers, and is what the budget and the machine leave."
    )


@rule("the mission's table: Highest quality, at Very High compute")
def full_where_lora_is_not_possible(facts: Facts, possible: Possible) -> Choice | None:
    """Full tuning, where LoRA has no layers to sit on and the budget is high."""
    del facts
    if "full" not in possible:
        return None
    return Choice(
        "full", "Full tuning changes every weight, which the mission calls the highest quality, at very high compute."
    )


RULES = (
    earlier_comparison,
    full_where_lora_cannot_hold_the_rows,
    lora_first,
    prompt_tuning_where_little_is_missing,
    full_where_lora_is_not_possible,
    qlora_where_lora_is_not_possible,
    prefix_for_texts,
    prompt_tuning_last,
)
