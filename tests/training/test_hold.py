"""A run that is held near base: how far it goes, what it logs, and that it goes on bit by bit."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from luthier.engine.forward import Engine
from luthier.engine.hold import BaseEngine, distances
from luthier.flow import EvaluationLog, Progress, StepLog, Tokenized
from luthier.methods import full
from luthier.training.loop import Pause, Training
from tests.engine.test_exactness import random_rows, small_llama
from tests.engine.test_hold import apart
from tests.engine.test_preference import pairs
from tests.training.test_loop import METHODS, log, plan_of, timeless, write


def begin(method: str, rows: list[Tokenized], weight: float, paired: bool = False) -> tuple[Training, Any]:
    """Three epochs in steps of 4, evaluated at every third."""
    module, settings = METHODS[method]
    tuned = module.attach(small_llama(), settings, 0)
    plan = replace(plan_of(batch_size=4, epochs=3), kl_to_base=weight)
    validation = random_rows(9)[:4]
    if paired:
        plan = replace(plan, objective="preference")
        validation = [row for pair in pairs(9)[:3] for row in pair.rows]
    training = Training(Engine(tuned), rows, validation, plan, base=module.base_of(tuned))
    if paired:
        for _ in training.refer():
            pass
    return training, (module, settings, tuned)


def of(entries: list[StepLog | EvaluationLog]) -> tuple[list[StepLog], list[EvaluationLog]]:
    steps = [entry for entry in entries if isinstance(entry, StepLog)]
    return steps, [entry for entry in entries if isinstance(entry, EvaluationLog)]


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_a_strong_hold_keeps_the_model_near_base_and_the_losses_are_the_objective_s_alone(
    method: str, paired: bool
) -> None:
    rows = [row for pair in pairs(0)[:5] for row in pair.rows] if paired else random_rows(0)[:10]
    runs = [of(log(begin(method, rows, weight, paired)[0])) for weight in (0.0, 1e-9, 10.0)]
    (free, said), held = runs[0], runs[1:]
    assert {entry.kl_to_base for entry in free} | {entry.kl_to_base for entry in said} == {None}
    ends = [steps[-1].kl_to_base or math.nan for steps, _ in held]
    assert 0 < 2 * ends[1] < ends[0]
    # A hold of next to nothing leaves the run as it is: it draws the same dropout, and no KL is in the losses.
    assert [entry.train_loss for entry in held[0][0]] == pytest.approx([entry.train_loss for entry in free], rel=1e-5)
    for one, other in zip(held[0][1], said, strict=True):
        assert one.validation_loss == pytest.approx(other.validation_loss, rel=1e-5)
    if method == "full":
        assert held[0][0][0].kl_to_base == pytest.approx(0, abs=1e-6)
    assert held[1][0][-1].train_loss > held[0][0][-1].train_loss


def test_the_validation_s_distance_is_that_of_two_plain_models() -> None:
    training, (_, _, tuned) = begin("full", random_rows(0)[:10], 0.5)
    _, evaluations = of(log(training))
    validation = random_rows(9)[:4]
    plain = small_llama()
    expected = sum(apart(tuned.model, plain, row).item() for row in validation)
    assert evaluations[-1].kl_to_base == pytest.approx(
        expected / sum(row.trained_tokens for row in validation), rel=1e-4
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("at", [3, 4])
def test_a_resumed_run_is_the_uninterrupted_one_bit_by_bit(method: str, at: int, tmp_path: Path) -> None:
    rows = random_rows(0)[:10]
    whole, whole_parts = begin(method, rows, 0.5)
    expected = [timeless(entry) for entry in log(whole)]

    first, parts = begin(method, rows, 0.5)
    entries = []
    for entry in first.run():
        if isinstance(entry, StepLog | EvaluationLog):
            entries.append(timeless(entry))
        if isinstance(entry, Pause) and first.step == at:
            write(first, parts, tmp_path / "saved")
            break
    torch.manual_seed(99)
    second, (module, _, tuned) = begin(method, rows, 0.5)
    module.load(tuned, tmp_path / "saved")
    second.restore(tmp_path / "saved")
    entries += [timeless(entry) for entry in log(second)]

    assert entries == expected
    for name, parameter in tuned.trainable.items():
        assert torch.equal(parameter, whole_parts[2].trainable[name]), name


def test_a_step_that_ran_out_of_memory_is_held_in_smaller_passes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = random_rows(0)[:10]
    whole, _ = of(log(begin("full", rows, 0.5)[0]))
    training, _ = begin("full", rows, 0.5)
    backward = training.objective.backward
    failed: list[Any] = []

    def once(*given: Any) -> Any:
        if len(failed) < 1:
            failed.append(backward(*given))
            raise torch.OutOfMemoryError("no room")
        return backward(*given)

    monkeypatch.setattr(training.objective, "backward", once)
    steps, _ = of(log(training))
    assert steps[0].relaid
    assert [entry.kl_to_base for entry in steps] == pytest.approx(
        [entry.kl_to_base for entry in whole], rel=1e-3, abs=1e-6
    )


def test_a_bar_shows_how_far_the_distance_is_measured() -> None:
    training, _ = begin("lora", random_rows(0)[:10], 0.5)
    shown = [entry for entry in training.run() if isinstance(entry, Progress) and "distance" in entry.what]
    assert [(entry.done, entry.total) for entry in shown[:4]] == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_rows_of_a_base_are_scored_once_the_model_has_moved_as_before() -> None:
    tuned = full.attach(small_llama(), full.Settings(), 0)
    base, rows = BaseEngine(full.base_of(tuned)), random_rows(0)
    assert sum(one for _, one in distances(Engine(tuned), base, rows)) == pytest.approx(0, abs=1e-4)
    with torch.no_grad():
        for parameter in tuned.trainable.values():
            parameter.mul_(1.1)
    assert sum(one for _, one in distances(Engine(tuned), base, rows)) > 1
