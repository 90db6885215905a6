"""The mission's own words as data: every enum, default, share, target, cause and remedy that docs/mission.md gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

TuningMethod = Literal["full", "lora", "qlora", "prompt_tuning", "prefix_tuning"]
DatasetSize = Literal["small", "medium", "large"]
ComputeBudget = Literal["low", "medium", "high"]

DEFAULT_TUNING_METHOD: Final[TuningMethod] = "lora"
DEFAULT_COMPUTE_BUDGET: Final[ComputeBudget] = "medium"

MEDIUM_FROM_ROWS: Final = 1_000
MEDIUM_TO_ROWS: Final = 10_000


def dataset_size(rows: int) -> DatasetSize:
    """`small` under 1,000 rows, `medium` from 1,000 to 10,000, `large` over 10,000."""
    if rows < MEDIUM_FROM_ROWS:
        return "small"
    return "medium" if rows <= MEDIUM_TO_ROWS else "large"


@dataclass(frozen=True, slots=True)
class Method:
    """A line of the mission's table of methods, in its words."""

    title: str
    parameters: str
    compute: str
    quality: str
    best_for: str


METHODS: Final[dict[TuningMethod, Method]] = {
    "full": Method("Full Fine-tune", "All", "Very High", "Highest", "Maximum customization"),
    "lora": Method("LoRA", "~0.1%", "Low", "High", "Resource-constrained"),
    "qlora": Method("QLoRA", "~0.1%", "Very Low", "Good", "Consumer GPUs"),
    "prompt_tuning": Method("Prompt Tuning", "<0.01%", "Minimal", "Good", "Simple tasks"),
    "prefix_tuning": Method("Prefix Tuning", "~0.1%", "Low", "Good", "Generation tasks"),
}


@dataclass(frozen=True, slots=True)
class Budget:
    """What a compute budget allows: the words of the table's Compute column, and minutes a run (None: no bound)."""

    compute: tuple[str, ...]
    minutes: int | None


BUDGETS: Final[dict[ComputeBudget, Budget]] = {
    "low": Budget(("Minimal", "Very Low"), 15),
    "medium": Budget(("Minimal", "Very Low", "Low"), 120),
    "high": Budget(("Minimal", "Very Low", "Low", "Very High"), None),
}


def allowed_methods(budget: ComputeBudget) -> tuple[TuningMethod, ...]:
    """The methods that a budget allows: `allowed_methods("low")` is `("qlora", "prompt_tuning")`."""
    return tuple(name for name, method in METHODS.items() if method.compute in BUDGETS[budget].compute)


FORMATS: Final[dict[str, str]] = {
    "instruction": "### Instruction\n{instruction}\n\n### Response\n{response}\n",
    "chat": "<|user|>\n{user_message}\n<|assistant|>\n{assistant_response}\n",
    "completion": "{input}{output}",
}


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The mission's `hyperparameters`. The learning rate is its word, not the default: left out, it is `auto`."""

    learning_rate: float = 2e-5
    batch_size: int = 8
    epochs: int = 3
    warmup_ratio: float = 0.1


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """The mission's `lora_config`."""

    r: int = 16
    alpha: int = 32
    dropout: float = 0.05
    target_modules: tuple[str, ...] = ("q_proj", "v_proj")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The mission's `evaluation`. Left out, both step counts are `auto`: at most these."""

    eval_steps: int = 100
    save_steps: int = 500
    metric: str = "loss"


HYPERPARAMETERS: Final = Hyperparameters()
LORA_CONFIG: Final = LoraConfig()
EVALUATION: Final = Evaluation()


@dataclass(frozen=True, slots=True)
class Metric:
    """A line of the mission's table of metrics. `target` is its word, `expression` the same as a run file has it."""

    title: str
    purpose: str
    target: str
    expression: str


METRICS: Final[dict[str, Metric]] = {
    "loss": Metric("Loss", "Training progress", "Decreasing", "decreasing"),
    "accuracy": Metric("Accuracy", "Task performance", ">90%", "> 90%"),
    "perplexity": Metric("Perplexity", "Model confidence", "<10", "< 10"),
    "human_eval": Metric("Human eval", "Quality assessment", "Preferred >80%", "> 80%"),
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """A line of the mission's table of what goes wrong: the issue, its cause, its solution."""

    issue: str
    cause: str
    solution: str


TROUBLES: Final[dict[str, Trouble]] = {
    "overfitting": Trouble("Overfitting", "Small dataset", "Add regularization"),
    "underfitting": Trouble("Underfitting", "Low epochs", "Increase training"),
    "forgetting": Trouble("Catastrophic forgetting", "Aggressive tuning", "Lower learning rate"),
    "generalization": Trouble("Poor generalization", "Data bias", "Diversify dataset"),
}

CRITERIA: Final[dict[str, str]] = {
    "no_duplicate_examples": "No duplicate examples",
    "consistent_formatting": "Consistent formatting",
    "diverse_examples": "Diverse examples",
    "balanced_categories": "Balanced categories",
    "high_quality_outputs": "High-quality outputs",
    "no_harmful_content": "No harmful content",
}
