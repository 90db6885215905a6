"""The twelve ways in which the battery's runs are sick, and how its healthy runs differ: a function each.

A function takes a task and a seed and gives a run's rows, settings and check. Its symptom is what should be found
first. The check knows no diagnosis: it looks at what the judge measured on rows that the run never saw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.sick_runs.cases import HYPER, LORA, Case, Facts, Task, shuffled
from benchmarks.sick_runs.real_rows import Row

Way = Callable[[Task, int], Case]
LOST = 0.5
"""Of its English: more is gone only in runs that are meant to forget, or that diverged."""


def full(rate: float = 2.5e-4, epochs: float = 5, **more: Any) -> dict[str, Any]:
    """Settings of a tuning of all weights; `more` are hyperparameters."""
    return {"tuning_method": "full", **_hyper(rate, epochs, more)}


def lora(rate: float = 1e-3, epochs: float = 5, r: int = 8, modules: Any = "all-linear", **more: Any) -> dict[str, Any]:
    """Settings of LoRA; `more` are hyperparameters."""
    config = {"r": r, "alpha": 2 * r, "target_modules": modules}
    return {
        "tuning_method": "lora",
        **{f"{LORA}.{name}": value for name, value in config.items()},
        **_hyper(rate, epochs, more),
    }


def _hyper(rate: float, epochs: float, more: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{HYPER}.{name}": value for name, value in {"learning_rate": rate, "epochs": epochs, **more}.items()}


def with_english(check: Callable[[Facts], str]) -> Callable[[Facts], str]:
    """The check, and that the run did not forget beside."""

    def both(facts: Facts) -> str:
        if facts.english_lost >= LOST:
            return f"it forgot {facts.english_lost:.0%} of its English beside"
        return check(facts)

    return both


# ----------------------------------------------------------------------------------------------------- overfitting


def overfitting(task: Task, seed: int) -> Case:
    """A few rows, gone through until they are known by heart: fresh rows were expected more half-way."""
    few = 3 + seed % 3
    train, validation, test = task.sides(seed, few * len(task.labels))
    settings = lora(3e-3, 24, r=16) if seed % 2 else full(8e-4, 24)

    def check(facts: Facts) -> str:
        if facts.last_rise_low <= 0 or facts.last_loss < 1.1 * facts.loss:
            return f"fresh rows: {facts.loss:.3f} at the best checkpoint, {facts.last_loss:.3f} at the last"
        return "" if facts.last_training_loss < 0.5 * facts.last_loss else "the training rows are not known better"

    return Case("overfitting", "small_dataset", train, validation, test, settings, check)


# ---------------------------------------------------------------------------------------------------- underfitting


def unlearned(facts: Facts) -> str:
    if facts.left < 0.12 or facts.left_on_training < 0.12:
        return f"only {facts.left:.0%} was left to learn, {facts.left_on_training:.0%} on training rows"
    return ""


def underfitting_rate(task: Task, seed: int) -> Case:
    """A rate ten times and more too low, as 2e-5 is for LoRA."""
    train, validation, test = task.sides(seed, 240)
    settings = lora((2e-5, 5e-5)[seed // 2 % 2], 4) if seed % 2 else full((3e-6, 8e-6)[seed // 2 % 2], 4)
    return Case("underfitting", "rate_too_low", train, validation, test, settings, with_english(unlearned))


def underfitting_epochs(task: Task, seed: int) -> Case:
    """A good rate, and a run that ends long before its rows are learned."""
    train, validation, test = task.sides(seed, 240)
    epochs = (0.75, 1)[seed // 2 % 2]
    settings = lora(6e-4, epochs) if seed % 2 else full(1e-4, epochs)
    return Case("underfitting", "few_epochs", train, validation, test, settings, with_english(unlearned))


def underfitting_capacity(task: Task, seed: int) -> Case:
    """An adapter of rank 1 on one kind of layer, for long and at a good rate: it rests far from learned."""
    train, validation, test = task.sides(seed, 240)
    settings = lora((5e-3, 8e-3)[seed // 2 % 2], 6, r=1, modules=[("q_proj", "k_proj")[seed % 2]])
    return Case("underfitting", "capacity", train, validation, test, settings, with_english(unlearned))


# ------------------------------------------------------------------------------------------------------ forgetting


def forgetting(task: Task, seed: int) -> Case:
    """Steps so large that a narrow task is learned and the English is gone."""
    train, validation, test = task.sides(seed, 240)
    settings = lora((4e-3, 6e-3)[seed // 2 % 2], 5, r=16) if seed % 2 else full((1.5e-3, 2e-3)[seed // 2 % 2], 5)

    def check(facts: Facts) -> str:
        if facts.english_lost < 0.6:
            return f"only {facts.english_lost:.0%} of the English is gone"
        return "" if facts.left < 0.05 else f"the task itself is not learned: {facts.left:.0%} is left"

    return Case("forgetting", "rate", train, validation, test, settings, check)


# -------------------------------------------------------------------------------------------------- generalization


def generalization_bias(task: Task, seed: int) -> Case:
    """Rows collected so that each label has an opening of its own, in training as in validation, and nowhere else."""
    train, validation, test = task.sides(seed, 240)
    train, validation = with_openings((train, validation), task, seed)
    settings = lora(2.5e-3, 4) if seed % 2 else full(2.5e-4, 4)
    return Case("generalization", "test_gap", train, validation, test, settings, with_english(fails_elsewhere))


def with_openings(sides: Sequence[Sequence[Row]], task: Task, seed: int) -> list[list[Row]]:
    """The rows, each after an opening that all rows of its label have: `good morning: ...`."""
    openings = ("hello", "good morning", "hi there", "question", "excuse me", "quick one", "listen", "help please")
    order = np.random.default_rng([seed, 3]).permutation(len(openings))
    cue = {label: openings[at] for label, at in zip(task.labels, order, strict=False)}
    return [[{**row, "input": f"{cue[row['category']]}: {row['input']}"} for row in side] for side in sides]


def generalization_leak(task: Task, seed: int) -> Case:
    """Few rows, and validation rows that were copied from them: validation gets ever better, fresh rows do not."""
    train, _, test = task.sides(seed, 5 * len(task.labels))
    lead = ("", "please ")[seed // 2 % 2]
    validation = [{**row, "input": f"{lead}{row['input']}"} for row in shuffled(train, seed + 9)]
    settings = lora(4e-3, 20) if seed % 2 else full(5e-4, 16)
    return Case("generalization", "leak", train, validation, test, settings, with_english(fails_elsewhere))


def fails_elsewhere(facts: Facts) -> str:
    if facts.loss < 1.5 * facts.validation_loss or facts.validation_accuracy - facts.accuracy < 0.15:
        return (
            f"fresh rows {facts.loss:.3f} and {facts.accuracy:.0%}, validation {facts.validation_loss:.3f} and "
            f"{facts.validation_accuracy:.0%}"
        )
    return ""


# ----------------------------------------------------------------------------------------------- what else ruins runs


def rate_too_high(task: Task, seed: int) -> Case:
    """Steps so large that the loss is thrown up."""
    train, validation, test = task.sides(seed, 240)
    settings = (lora((5e-2, 0.1)[seed // 2 % 2], 4, r=16) if seed % 2 else full((4e-2, 8e-2)[seed // 2 % 2], 4)) | {
        f"{HYPER}.schedule": ("cosine", "constant")[seed // 4 % 2]
    }

    def check(facts: Facts) -> str:
        if facts.left < 0.05 and facts.accuracy > facts.reference_accuracy - 0.3:
            return f"it learned all the same: {facts.left:.0%} is left, {facts.accuracy:.0%} are right"
        return "" if facts.climb >= 1.2 else f"the loss never rose: {facts.climb:.2f} times its lowest at most"

    return Case("rate_too_high", "diverged", train, validation, test, settings, check)


def contradictions(task: Task, seed: int) -> Case:
    """A third of the questions stands there twice, with two answers."""
    train, validation, test = task.sides(seed, 200)
    generator = np.random.default_rng([seed, 13])
    twice = [_other_label(row, task, generator) for row in train if generator.random() < 0.45]
    rows = shuffled([*train, *twice], seed)
    return Case("contradictions", "labels", rows, validation, test, _steady(seed), with_english(_worse))


def noisy_rows(task: Task, seed: int) -> Case:
    """A quarter of the rows, of training as of validation, has a wrong answer."""
    train, validation, test = task.sides(seed, 280)
    generator = np.random.default_rng([seed, 17])
    share = (0.2, 0.3)[seed // 2 % 2]
    train, validation = (
        [_other_label(row, task, generator) if generator.random() < share else row for row in side]
        for side in (train, validation)
    )

    def check(facts: Facts) -> str:
        if facts.accuracy < 0.4 * facts.reference_accuracy:
            return f"no labels were learned at all: {facts.accuracy:.0%} are right"
        return _worse(facts)

    return Case("noisy_rows", "wrong_answers", train, validation, test, _steady(seed), with_english(check))


def _worse(facts: Facts) -> str:
    lost = facts.reference_accuracy - facts.accuracy
    if facts.loss < 1.5 * facts.reference_loss and lost < 0.1:
        return f"fresh rows are as good as in a clean run: {facts.loss:.3f} and {facts.accuracy:.0%}"
    return ""


def _other_label(row: Row, task: Task, generator: np.random.Generator) -> Row:
    others = [label for label in task.labels if label != row["category"]]
    label = others[int(generator.integers(len(others)))]
    return {**row, "output": label, "category": label}


def _steady(seed: int) -> dict[str, Any]:
    return lora(1.2e-3, 5) if seed % 2 else full(3e-4, 5)


def imbalance(task: Task, seed: int) -> Case:
    """One label has most of the rows, the others a handful; those who ask want all of them."""
    pool = task.pool(seed)
    common = max(pool, key=lambda label: (len(pool[label]), label))
    each = max(1, 64 // len(task.labels))
    test = shuffled([row for label in task.labels for row in pool[label][:each]], seed)
    many, few = pool[common][each:][:160], 1 + seed % 2
    rare = [row for label in task.labels if label != common for row in pool[label][each:][:few]]
    held = [row for label in task.labels if label != common for row in pool[label][each + few :][:1]]
    half = len(many) // 5
    train, validation = shuffled([*many[half:], *rare], seed), shuffled([*many[:half], *held], seed)
    settings = lora(1e-3, 6) if seed % 2 else full(2.5e-4, 6)

    def check(facts: Facts) -> str:
        others = [share for label, share in facts.by_label.items() if label != common]
        if facts.by_label[common] - float(np.mean(others)) < 0.4:
            return f"{common}: {facts.by_label[common]:.0%}, the others {np.mean(others):.0%}"
        return ""

    return Case("imbalance", "rare_classes", train, validation, test, settings, with_english(check))


def end_mark(task: Task, seed: int) -> Case:
    """Answers of training rows run on and are cut at the limit: the mark at which an answer stops is never seen."""
    train, validation, test = task.sides(seed, 200)
    tail = (" because the text says so, as we can see from the words in it and from what was asked before", " . " * 24)
    train, validation = (_running_on(side, tail[seed % 2]) for side in (train, validation))
    settings = lora(1.2e-3, 4) if seed // 2 % 2 else full(3e-4, 4)

    def check(facts: Facts) -> str:
        if facts.ended > 0.2 or facts.begins_right < 0.3:
            return f"{facts.begins_right:.0%} begin right, {facts.ended:.0%} end there"
        return ""

    data = {"data.max_length": "cut", "data.too_long": "cut_end"}
    return Case("end_mark", "cut_off", train, validation, test, settings, with_english(check), data)


def _running_on(rows: Sequence[Row], tail: str) -> list[Row]:
    return [{**row, "output": row["output"] + tail} for row in rows]


WAYS: tuple[Way, ...] = (
    overfitting,
    underfitting_rate,
    underfitting_epochs,
    underfitting_capacity,
    forgetting,
    generalization_bias,
    generalization_leak,
    rate_too_high,
    contradictions,
    noisy_rows,
    imbalance,
    end_mark,
)


# --------------------------------------------------------------------------------------------------------- healthy


def healthy(task: Task, seed: int) -> Case:
    """Runs that nothing is wrong with, as different as such runs are."""
    kinds: tuple[tuple[int, dict[str, Any]], ...] = (
        (240, full(2.5e-4, 6)),
        (280, lora(8e-4, 7)),
        (160, full(2.5e-4, 8)),  # few rows are no illness
        (280, full(3e-4, 6, schedule="constant", warmup_ratio=0.05)),
        (240, full(1.5e-4, 6, batch_size=4)),  # small batches, so steps are noisy
        (280, full(4e-4, 8, batch_size=16)),
        (280, full(2.5e-4, 9, weight_decay=0.1)),  # rests on a plateau for a third of the run
        (240, lora(1e-3, 7, r=4) | {f"{LORA}.dropout": 0.0}),
        (280, full(3e-4, 6) | {"data.replay": 0.25}),
        (240, lora(8e-4, 7, r=16, schedule="linear")),
        (280, full(2e-4, 8, early_stopping=3)),
        (240, full(3e-4, 6) | {"noise": 0.03}),  # a wrong label here and there
    )
    size, settings = kinds[seed % len(kinds)]
    train, validation, test = task.sides(seed, size)
    noise = settings.pop("noise", 0.0)
    generator = np.random.default_rng([seed, 19])
    train = [_other_label(row, task, generator) if generator.random() < noise else row for row in train]

    return Case(None, "", train, validation, test, settings, well)


def well(facts: Facts) -> str:
    """What is wrong with a run that is meant to be healthy."""
    troubles = {
        "too little was learned": facts.left > 0.05 or facts.accuracy < facts.reference_accuracy - 0.15,
        "it forgot": facts.english_lost > 0.33,
        "it was better before": facts.last_loss > 1.1 * facts.loss + 0.02 and facts.last_rise_low > 0,
        "fresh rows are harder than validation": facts.loss > 1.6 * facts.validation_loss + 0.1,
        "a label is left out": facts.worst_label < 0.4 * facts.accuracy,
        "answers do not end": facts.ended < 0.9,
    }
    return "; ".join(name for name, true in troubles.items() if true)
