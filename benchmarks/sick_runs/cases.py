"""What a run of the battery is made of, and the tasks that its rows come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.sick_runs.real_rows import Row, Source, source

HYPER = "training_config.hyperparameters"
LORA = "training_config.lora_config"


@dataclass(frozen=True)
class Facts:
    """What the judge measured, on fresh rows that the run never saw and on English that the model never read.

    Losses are nats a token, the `reference_` values those of a good run of the same task. `english_lost` is the share
    of what the model had learned of English (beyond how often each token comes) that is gone. `validation_loss` and
    `training_loss` are the run's own at its best evaluation, `last_` values those of its last checkpoint. `climb` is
    how many times its lowest the loss of the steps, over a tenth of the run, was later on.
    """

    base_loss: float
    reference_loss: float
    reference_accuracy: float
    loss: float
    accuracy: float
    begins_right: float
    ended: float
    worst_label: float
    best_label: float
    by_label: Mapping[str, float]
    last_loss: float
    last_rise_low: float
    english_base: float
    english: float
    english_lost: float
    validation_loss: float
    validation_accuracy: float
    training_loss: float
    first_training_loss: float
    last_training_loss: float
    climb: float

    @property
    def left(self) -> float:
        """What is left to learn, as a share of what a good run learns."""
        return (self.loss - self.reference_loss) / (self.base_loss - self.reference_loss)

    @property
    def left_on_training(self) -> float:
        return (self.training_loss - self.reference_loss) / (self.base_loss - self.reference_loss)


Check = Callable[[Facts], str]
"""Empty where the run is as it was meant; otherwise why it is not."""


@dataclass(frozen=True)
class Case:
    """One run: its rows, its settings by their path in the run file, and the check that it is what it is meant to be.

    `symptom` is expected first, None for a healthy run; `cause` is the cause within it, where it has several.
    """

    symptom: str | None
    cause: str
    train: Sequence[Row]
    validation: Sequence[Row]
    test: Sequence[Row]
    settings: Mapping[str, Any]
    check: Check
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """Labelled rows to tune on; of each label the first `held_back` rows are the judge's alone."""

    name: str
    source: Source
    held_back: int

    @property
    def labels(self) -> list[str]:
        return self.source.labels

    @property
    def fresh(self) -> list[Row]:
        """The judge's rows: of each label as many."""
        return self.source.rows(dict.fromkeys(self.labels, (0, self.held_back)))

    def pool(self, seed: int) -> dict[str, list[Row]]:
        """All other rows by label, in an order of the seed."""
        generator = np.random.default_rng([seed, 5])
        found = {}
        for label, rows in self.source.by_label.items():
            own = rows[self.held_back :]
            found[label] = [own[at] for at in generator.permutation(len(own))]
        return found

    def sides(self, seed: int, train: int, validation: int = 64, test: int = 80) -> list[list[Row]]:
        """Rows for the three sides, the labels in equal shares, each side in an order of the seed."""
        pool, labels, sides, taken = self.pool(seed), self.labels, [], 0
        for number, size in enumerate((validation, test, train)):
            each = max(1, round(size / len(labels)))
            rows = [row for label in labels for row in pool[label][taken : taken + each]]
            sides.append(shuffled(rows, seed + number))
            taken += each
        return [sides[2], sides[0], sides[1]]


def shuffled(rows: Sequence[Row], seed: int) -> list[Row]:
    """The rows in an order of the seed."""
    return [rows[at] for at in np.random.default_rng([seed, 7]).permutation(len(rows))]


TASKS: Mapping[str, Sequence[tuple[str, int, int, int]]] = {
    "build": (("clinc150", 1, 8, 16), ("clinc150", 2, 8, 16), ("trec6", 1, 5, 50)),
    "held-out": (("banking77", 3, 8, 30), ("banking77", 4, 8, 30), ("banking77", 5, 6, 40)),
    "held-out-2": (("clinc150", 13, 8, 16), ("banking77", 28, 8, 30), ("kitchen", 8, 4, 50)),
}
"""Of each half: a data set, the seed that draws its labels, how many of them, the judge's rows of each. The third one
has a data set of its own, and labels of two others that no other half has."""


def tasks(half: str) -> list[Task]:
    """The half's tasks."""
    return [
        Task(f"{name}-{seed}", source(name, seed, labels), held_back) for name, seed, labels, held_back in TASKS[half]
    ]


def few_labels(half: str) -> list[Task]:
    """The task of the half's runs with the packaged model: four labels, few rows for the judge."""
    name, seed, _, _ = TASKS[half][0]
    return [Task(f"{name}-{seed}-4", source(name, seed + 50, 4), 10)]
