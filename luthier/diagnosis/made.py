"""Made-up runs of a known course, for the examples that each symptom brings and for its contract test."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from luthier.diagnosis.seen import Seen
from luthier.flow import EvaluationLog, StepLog
from luthier.runs import Status
from luthier.settings import mission

Course = Callable[[float], float]
"""Nats a token after a share of the run, 0 to 1."""

TOKENS: Final = 8
"""Trained tokens of each row."""
SAMPLE: Final = 32


def falling(start: float, end: float, speed: float = 5.0) -> Course:
    """A loss that falls as learning does: fast, then slowly, `start` at 0 and about `end` at 1."""
    return lambda done: end + (start - end) * math.exp(-speed * done)


def made(
    train: Course,
    validation: Course,
    *,
    rows: int = 400,
    held_back: int = 60,
    epochs: float = 3,
    evaluations: int = 10,
    step_noise: float = 0.1,
    norm: Course = lambda done: 1.0,
    seed: int = 7,
    settings: Mapping[str, Any] | None = None,
    **parts: Any,
) -> Seen:
    """A run whose losses take these courses; rows differ from each other, and steps by `step_noise` of the loss.

    Each row keeps its own part of the loss (a lognormal factor), as rows of different difficulty do.
    """
    generator = np.random.default_rng(seed)
    chosen: dict[str, Any] = {
        "tuning_method": "lora",
        "data.validation": 0.1,
        "data.replay": 0.0,
        "data.balance": False,
        "data.augment": [],
        "training_config.hyperparameters.learning_rate": 1e-3,
        "training_config.hyperparameters.batch_size": 8,
        "training_config.hyperparameters.epochs": epochs,
        "training_config.hyperparameters.warmup_ratio": 0.1,
        "training_config.hyperparameters.schedule": "cosine",
        "training_config.hyperparameters.weight_decay": 0.0,
        "training_config.hyperparameters.max_grad_norm": 1.0,
        "training_config.hyperparameters.max_steps": None,
        "training_config.hyperparameters.early_stopping": None,
        "training_config.lora_config.r": mission.LORA_CONFIG.r,
        "training_config.lora_config.alpha": mission.LORA_CONFIG.alpha,
        "training_config.lora_config.dropout": mission.LORA_CONFIG.dropout,
        "training_config.lora_config.target_modules": list(mission.LORA_CONFIG.target_modules),
        **(settings or {}),
    }
    batch = chosen["training_config.hyperparameters.batch_size"]
    peak = chosen["training_config.hyperparameters.learning_rate"]
    count = math.ceil(rows / batch * epochs)
    steps = [
        StepLog(
            step=step,
            epoch=step * batch / rows,
            train_loss=max(0.0, train(step / count) * (1 + step_noise * float(generator.standard_normal()))),
            learning_rate=peak * min(1.0, step / max(1, count // 10)) * (1 + math.cos(math.pi * step / count)) / 2,
            grad_norm=norm(step / count) * float(np.exp(0.2 * generator.standard_normal())),
            trained_tokens=batch * TOKENS,
            row_tokens=batch * TOKENS * 4,
            computed_tokens=batch * TOKENS * 3,
            seconds=0.1,
            memory_bytes=10**9,
        )
        for step in range(1, count + 1)
    ]
    factors = {name: _factors(generator, size) for name, size in (("held", held_back), ("sample", SAMPLE))}
    found, best = [], math.inf
    for number in range(1, evaluations + 1):
        step = round(count * number / evaluations)
        losses = [_row(generator, factor, validation(step / count)) for factor in factors["held"]]
        own = [_row(generator, factor, train(step / count)) for factor in factors["sample"]]
        loss = sum(one for one, _ in losses) / (TOKENS * held_back)
        found.append(EvaluationLog(step, loss, math.exp(loss), math.exp(-loss), loss < best, 0.1, losses, own))
        best = min(best, loss)
    account = {"read": rows + held_back, "kept": rows + held_back, "validation": held_back, "dropped": {}}
    return Seen(
        run="runs/made",
        steps=steps,
        evaluations=found,
        settings=chosen,
        rows={**account, **parts.pop("rows_json", {})},
        status=Status("done", 1, 0.0, count, count),
        **parts,
    )


def healthy() -> Seen:
    """A run that nothing is wrong with."""
    return made(falling(2.4, 0.5, 7), falling(2.4, 0.6, 7), norm=falling(3.0, 0.8))


def _factors(generator: np.random.Generator, size: int) -> list[float]:
    factors = np.exp(0.5 * generator.standard_normal(size))
    return [float(factor) for factor in factors / factors.mean()]


def _row(generator: np.random.Generator, factor: float, loss: float) -> tuple[float, int]:
    return loss * factor * TOKENS * float(np.exp(0.03 * generator.standard_normal())), TOKENS
