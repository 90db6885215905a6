"""The loop: what it yields, that it goes on bit by bit, and that it refuses sick steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from luthier.engine.forward import Engine
from luthier.engine.step import backward
from luthier.errors import UserError
from luthier.flow import EvaluationLog, Progress, Root, StepLog, Tokenized, Tuned
from luthier.methods import full, lora
from luthier.settings.schema import Hyperparameters
from luthier.training.loop import Pause, Plan, Training
from luthier.training.schedule import learning_rate, rows_of_step
from tests.engine.test_exactness import random_rows, small_llama

METHODS: dict[str, tuple[Any, Any]] = {
    "lora": (lora, lora.Settings(r=4, alpha=8, dropout=0.1, target_modules="all-linear")),
    "full": (full, full.Settings()),
}


def begin(method: str, rows: list[Tokenized], **changes: Any) -> tuple[Training, Any]:
    module, settings = METHODS[method]
    tuned = module.attach(small_llama(), settings, 0)
    hyper = {"batch_size": 4, "epochs": 3, **changes}
    return Training(Engine(tuned), rows, random_rows(9)[:4], plan_of(**hyper)), (module, settings, tuned)


def plan_of(tokens_a_pass: int = 60, **hyper: Any) -> Plan:
    """Passes of 60 tokens make most steps of these rows a trunk and two or three leaves."""
    return Plan(
        Hyperparameters(**hyper),
        5e-3,
        evaluate_every=3,
        save_every=2,
        keep=3,
        metric="loss",
        seed=0,
        tokens_a_pass=tokens_a_pass,
    )


def write(training: Training, parts: Any, folder: Path) -> None:
    module, settings, tuned = parts
    folder.mkdir()
    for name, writer in {**module.files(tuned, settings, "base"), **training.files()}.items():
        writer(folder / name)


def log(training: Training) -> list[StepLog | EvaluationLog]:
    return [entry for entry in training.run() if isinstance(entry, StepLog | EvaluationLog)]


def timeless(entry: StepLog | EvaluationLog) -> StepLog | EvaluationLog:
    entry = replace(entry, seconds=0.0)
    return replace(entry, memory_bytes=0) if isinstance(entry, StepLog) else entry


def test_a_run_yields_each_step_evaluates_when_due_and_at_the_end() -> None:
    training, _ = begin("lora", random_rows(0)[:10])
    entries = log(training)
    assert [entry.step for entry in entries if isinstance(entry, StepLog)] == list(range(1, 10))
    assert [entry.step for entry in entries if isinstance(entry, EvaluationLog)] == [3, 6, 9]
    assert entries[0].train_loss > entries[-2].train_loss  # type: ignore[union-attr]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("at", [1, 3, 4, 8])
def test_a_resumed_run_is_the_uninterrupted_one_bit_by_bit(method: str, at: int, tmp_path: Path) -> None:
    rows = random_rows(0)[:10]
    whole, whole_parts = begin(method, rows)
    expected = [timeless(entry) for entry in log(whole)]

    first, parts = begin(method, rows)
    entries = []
    for entry in first.run():
        if isinstance(entry, StepLog | EvaluationLog):
            entries.append(timeless(entry))
        if isinstance(entry, Pause) and first.step == at:
            write(first, parts, tmp_path / "saved")
            break
    torch.manual_seed(99)  # another process has another random state
    second, (module, _, tuned) = begin(method, rows)
    module.load(tuned, tmp_path / "saved")
    second.restore(tmp_path / "saved")
    entries += [timeless(entry) for entry in log(second)]

    assert entries == expected
    for name, parameter in tuned.trainable.items():
        assert torch.equal(parameter, whole_parts[2].trainable[name]), name


def test_a_step_saved_before_its_evaluation_is_evaluated_when_it_goes_on(tmp_path: Path) -> None:
    rows = random_rows(0)[:10]
    first, parts = begin("lora", rows)
    for entry in first.run():
        if isinstance(entry, StepLog) and entry.step == 3:
            write(first, parts, tmp_path / "saved")
            break
    second, (module, _, tuned) = begin("lora", rows)
    module.load(tuned, tmp_path / "saved")
    second.restore(tmp_path / "saved")
    assert next(entry.step for entry in log(second) if isinstance(entry, EvaluationLog)) == 3


@pytest.mark.parametrize(("at", "changes"), [(3, {}), (9, {}), (1, {"max_minutes": 1e-9})])
def test_a_run_stopped_inside_an_evaluation_evaluates_that_step_when_it_goes_on(
    at: int, changes: dict[str, Any], tmp_path: Path
) -> None:
    rows = random_rows(0)[:10]
    expected = [timeless(entry) for entry in log(begin("lora", rows, **changes)[0])]

    first, parts = begin("lora", rows, **changes)
    entries = []
    for entry in first.run():
        if isinstance(entry, StepLog | EvaluationLog):
            entries.append(timeless(entry))
        if isinstance(entry, Progress) and first.step == at and entry.done == 2:
            write(first, parts, tmp_path / "saved")
            break
    second, (module, _, tuned) = begin("lora", rows, **changes)
    module.load(tuned, tmp_path / "saved")
    second.restore(tmp_path / "saved")
    entries += [timeless(entry) for entry in log(second)]

    assert entries == expected


def test_a_row_s_weight_scales_its_tokens_and_the_count_divides_the_sum() -> None:
    rows = random_rows(0)[:4]
    training, (_, _, tuned) = begin("lora", rows)
    engine = Engine(tuned)
    with torch.no_grad():
        expected = sum(score.loss for _, score in engine.scores(rows)) / sum(row.trained_tokens for row in rows)
    training.engine.tuned.model.eval()
    assert training.rows is rows
    settings = METHODS["lora"][1].model_copy(update={"dropout": 0.0})
    plain = Training(Engine(lora.attach(small_llama(), settings, 0)), rows, [], training.plan)
    assert next(iter(log(plain))).train_loss == pytest.approx(expected, rel=1e-5)  # type: ignore[union-attr]


def on_a_projected_root(kind: str) -> Tuned:
    """A model on a root that a small network makes afresh: only the network is trained."""
    model = small_llama(3)
    model.requires_grad_(False)
    torch.manual_seed(1)
    network = torch.nn.Linear(6, 32 if kind == "prompt" else 2 * 2 * 2 * 8)
    start = torch.randn(4, 6)

    def keys_and_values() -> list[tuple[torch.Tensor, torch.Tensor]]:
        parts = network(start).view(4, 4, 2, 8).permute(1, 2, 0, 3)
        return [(parts[0], parts[1]), (parts[2], parts[3])]

    root = Root(4, lambda: network(start)) if kind == "prompt" else Root(4, keys_and_values=keys_and_values)
    return Tuned(model, root, dict(network.named_parameters()))


def tuned_as(method: str) -> Tuned:
    if method in ("prompt", "prefix"):
        return on_a_projected_root(method)
    module, settings = METHODS[method]
    plain = settings.model_copy(update={"dropout": 0.0}) if method == "lora" else settings
    tuned: Tuned = module.attach(small_llama(3), plain, 0)
    return tuned


def one_by_one(tuned: Tuned, rows: list[Tokenized], plan: Plan) -> list[tuple[float, float]]:
    """Loss and gradient norm of each step, where each row goes through the model alone."""
    engine, settings, steps = Engine(tuned), plan.hyperparameters, plan.hyperparameters.max_steps
    assert steps is not None
    optimizer = torch.optim.AdamW(tuned.trainable.values(), weight_decay=0.0)
    found = []
    for step in range(1, steps + 1):
        batch = [rows[index] for index in rows_of_step(step, len(rows), settings.batch_size, plan.seed)]
        trained = sum(row.trained_tokens for row in batch)
        loss = sum(backward(engine, [row], trained).loss for row in batch) / trained
        found.append((loss, torch.nn.utils.clip_grad_norm_(tuned.trainable.values(), 1.0).item()))
        rate = learning_rate(step, steps, plan.learning_rate, settings.warmup_ratio, settings.schedule)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
    return found


@pytest.mark.parametrize("method", ["full", "lora", "prompt", "prefix"])
def test_steps_in_small_passes_are_the_steps_of_rows_one_by_one(method: str) -> None:
    rows, plan = random_rows(3), plan_of(40, batch_size=6, max_steps=4)
    alone, together = tuned_as(method), tuned_as(method)
    expected = one_by_one(alone, rows, plan)
    entries = log(Training(Engine(together), rows, [], plan))
    for entry, (loss, norm) in zip(entries, expected, strict=True):
        assert isinstance(entry, StepLog)
        assert entry.computed_tokens < entry.row_tokens
        assert (entry.train_loss, entry.grad_norm) == pytest.approx((loss, norm), rel=1e-4)
    for name, weight in alone.trainable.items():
        torch.testing.assert_close(together.trainable[name], weight, rtol=1e-3, atol=1e-4)


def test_early_stopping_ends_the_run_with_its_reason() -> None:
    training, _ = begin("lora", random_rows(0)[:10], early_stopping=1, epochs=50)
    training.plan = replace(training.plan, learning_rate=1.0)
    log(training)
    assert training.step < training.steps
    assert training.stopped_because.startswith("early_stopping")


def test_max_minutes_ends_the_run_with_an_evaluation() -> None:
    training, _ = begin("lora", random_rows(0)[:10], max_minutes=1e-9)
    entries = log(training)
    assert [type(entry) for entry in entries] == [StepLog, EvaluationLog]
    assert "max_minutes" in training.stopped_because


def test_no_rows_are_refused() -> None:
    with pytest.raises(UserError, match="no rows to train on"):
        begin("lora", [])
