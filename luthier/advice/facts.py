"""What the rules of advice go by: rows, machine, each method's cost, what prompting reached, what was compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from luthier.flow import Measure, TargetResult
from luthier.settings import mission
from luthier.settings.mission import ComputeBudget, TuningMethod


@dataclass(frozen=True, slots=True)
class Option:
    """A method on this model and machine. `refused` says why it cannot be used at all; what is None is not known.

    `peak_memory_bytes` is the most that it holds at once, `step_seconds` what a step takes.
    """

    refused: str = ""
    trainable_parameters: int | None = None
    peak_memory_bytes: int | None = None
    step_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Prompting:
    """What the untouched model does with `rows` rows that no example shows, without and with `shown` examples.

    `none`, `few`: its metrics; `difference`: few minus none, each row compared with itself. `none_targets`,
    `few_targets`: the verdicts of the targets that count here. `loss` is nats a trained token without examples.
    """

    rows: int
    shown: int
    none: Mapping[str, Measure]
    few: Mapping[str, Measure]
    difference: Mapping[str, Measure]
    none_targets: tuple[TargetResult, ...] = ()
    few_targets: tuple[TargetResult, ...] = ()

    @property
    def loss(self) -> float | None:
        measure = self.none.get("loss")
        return measure.value if measure else None


@dataclass(frozen=True, slots=True)
class Evidence:
    """An earlier comparison of methods with the same model on the same rows: the `best` one, and where it is kept."""

    best: TuningMethod
    report: str


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a rule may look at. What is None was not looked at, or cannot be known.

    `rows` are those to train on, `trained_tokens` theirs. `labels` counts the different answers where the rows have
    fixed ones, and is 0 for free answers; `answer_tokens` is the median answer's length. `verdict` is that of `luthier
    check`, `changes` what it says would help most. `options` holds the methods that were looked at. `decided` holds
    settings by path: those that the user wrote, and those that rules before decided.
    """

    budget: ComputeBudget
    rows: int
    trained_tokens: int = 0
    labels: int | None = None
    same_answer: bool = False
    answer_tokens: float | None = None
    verdict: str | None = None
    changes: tuple[str, ...] = ()
    memory_bytes: int | None = None
    options: Mapping[TuningMethod, Option] = field(default_factory=dict)
    prompting: Prompting | None = None
    evidence: tuple[Evidence, ...] = ()
    decided: Mapping[str, Any] = field(default_factory=dict)

    def option(self, method: TuningMethod) -> Option:
        return self.options.get(method, Option())

    @property
    def minutes(self) -> int | None:
        """The minutes that the budget allows, None without a bound."""
        return mission.BUDGETS[self.budget].minutes

    @property
    def free_answers(self) -> bool:
        """Whether answers are texts of their own, longer than a few words."""
        return self.labels == 0 and (self.answer_tokens or 0) > 8


@dataclass(frozen=True, slots=True)
class Choice:
    """A method, and a sentence that says why."""

    tuning_method: TuningMethod
    why: str


@dataclass(frozen=True, slots=True)
class Instead:
    """Why no method should be trained now, and what to do instead. With `prompt` the answer is a prompt."""

    why: str
    do: tuple[str, ...]
    prompt: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of the run file by its path, why it has this value, and whom that goes back to."""

    path: str
    value: Any
    reason: str
    source: str
