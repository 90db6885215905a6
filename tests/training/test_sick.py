"""Sick steps: what is told from a healthy one, what is skipped and what stops, and that the state before is kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from luthier.engine.forward import Engine
from luthier.flow import EvaluationLog, Note, Place, StepLog, Tokenized, Tuned
from luthier.methods import lora
from luthier.training.loop import Pause, Training
from luthier.training.schedule import rows_of_step
from luthier.training.sick import FEWEST, Health, SickStep, usual_limit
from tests.engine.test_exactness import random_rows, small_llama
from tests.training.test_loop import begin, log, plan_of, timeless, write


def test_the_limit_of_what_is_usual_is_worked_out_by_hand() -> None:
    assert usual_limit([1, 1, 2, 4, 4]) == pytest.approx(2 * math.exp(6 * 1.4826 * math.log(2)))
    assert usual_limit([1.95, 2, 2.05]) == pytest.approx(4)


def judged(steps: list[tuple[float, float]]) -> tuple[int, int, Health]:
    """How many of these steps (loss, norm) are skipped, at which a run would stop (0: none), and what is kept."""
    health, skipped = Health(), 0
    for number, (loss, norm) in enumerate(steps, 1):
        if not health.why_skip(loss, norm):
            health.take(loss, norm)
            continue
        skipped += 1
        if health.skip(loss):
            return skipped, number, health
    return skipped, 0, health


USUAL = [(2.0, 1.0), (2.2, 1.1), (1.8, 0.9)] * 10


def test_a_spike_is_skipped_and_the_third_in_a_row_stops() -> None:
    assert judged([*USUAL, (9.0, 30.0), *USUAL])[:2] == (1, 0)
    assert judged([*USUAL, (9.0, 30.0), (8.0, 40.0), (10.0, 20.0)])[:2] == (3, 33)


@pytest.mark.parametrize(
    "step",
    [(3.0, 30.0), (9.0, 1.5), (3.2, 1.5)],
    ids=["a loss that the run has shown nearly", "a usual gradient", "neither"],
)
def test_one_sign_alone_is_no_spike(step: tuple[float, float]) -> None:
    assert judged([*USUAL, step])[0] == 0


def test_a_warm_up_is_never_judged() -> None:
    assert judged([(2.0, 1.0)] * (FEWEST - 1) + [(100.0, 100.0)])[0] == 0
    assert judged([(2.0, 1.0)] * FEWEST + [(100.0, 100.0)])[0] == 1


def test_hard_rows_that_come_again_are_not_skipped_again() -> None:
    easy = [(0.02, 0.1), (0.022, 0.11), (0.018, 0.09)] * 10
    assert judged([*easy, (3.0, 9.0), *easy, (3.1, 9.0), *easy, (2.9, 9.0), (3.2, 9.1), (3.0, 9.3)])[:2] == (1, 0)


HEALTHY: dict[str, Callable[[np.random.Generator, int], float]] = {
    "falling by a factor of 150": lambda random, step: (3 * math.exp(-step / 100) + 0.02) * random.lognormal(0, 0.3),
    "batches of one row": lambda random, step: 2 * random.lognormal(0, 1),
    "a tenth of the rows a hundred times harder": lambda random, step: (
        (3 if step < 30 or random.random() < 0.1 else 0.03) * random.lognormal(0, 0.3)
    ),
    "tails heavier than any row's": lambda random, step: 2 * math.exp(np.clip(0.3 * random.standard_cauchy(), -5, 5)),
}


@pytest.mark.parametrize("kind", HEALTHY)
def test_no_healthy_run_stops_and_hardly_a_step_is_skipped(kind: str) -> None:
    for seed in range(5):
        random = np.random.default_rng(seed)
        losses = [HEALTHY[kind](random, step) for step in range(1000)]
        skipped, stopped, _ = judged([(loss, loss / 2) for loss in losses])
        assert stopped == 0
        assert skipped <= 3


# ------------------------------------------------------------------------------------------------- in the loop


def worked(
    training: Training, after: Callable[[list[Any]], None] = lambda entries: None
) -> tuple[list[Any], SickStep | None]:
    """All that a run yields, and what it stopped at; `after` is called after each entry with all so far."""
    entries: list[Any] = []
    try:
        for entry in training.run():
            entries.append(entry)
            after(entries)
    except SickStep as sick:
        return entries, sick
    return entries, None


def spoil(tuned: Tuned, factor: float) -> None:
    with torch.no_grad():
        weight: Any = tuned.model.get_output_embeddings().weight  # type: ignore[operator]
        weight.mul_(factor)


def of_log(entries: list[Any]) -> list[StepLog | EvaluationLog]:
    return [timeless(entry) for entry in entries if isinstance(entry, StepLog | EvaluationLog)]


def test_a_loss_that_is_no_number_stops_names_the_rows_and_keeps_the_state_before(tmp_path: Path) -> None:
    rows = random_rows(0)[:10]
    whole = [timeless(entry) for entry in log(begin("lora", rows)[0])]
    training, parts = begin("lora", rows)

    def break_after_step_4(entries: list[Any]) -> None:
        now = entries[-1]
        if isinstance(now, Pause) and now.step == 4 and isinstance(entries[-2], StepLog):
            if entries[-2].step == 4:
                spoil(training.engine.tuned, math.nan)
            else:
                assert now.save
                write(training, parts, tmp_path / "before")

    entries, sick = worked(training, break_after_step_4)
    assert sick is not None
    last = of_log(entries)[-1]
    assert isinstance(last, StepLog)
    assert last.step == 5
    assert math.isnan(last.train_loss)
    assert last.skipped == f"its loss is nan and its gradient's norm nan; its rows: {sick.rows}"
    assert len(sick.rows.split(", ")) == 4
    assert "step 5 is not taken" in sick.message
    assert training.step == 4

    torch.manual_seed(99)
    again, (module, _, tuned) = begin("lora", rows)
    module.load(tuned, tmp_path / "before")
    again.restore(tmp_path / "before")
    assert [*of_log(entries)[:-1], *of_log(log(again))] == whole


def answered_surely() -> tuple[Tuned, list[Tokenized]]:
    """A model whose logits are thousands apart, and rows whose next token it is always sure of, and right."""
    model = small_llama(3)
    with torch.no_grad():
        weight: Any = model.get_parameter("model.norm.weight")
        weight.mul_(1e4)
    rows = []
    for number in range(12):
        tokens = [1, 8 + number]
        for _ in range(6):
            with torch.no_grad():
                tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
        weights = np.array([0, 0] + [1] * 6, dtype=np.float32)
        rows.append(Tokenized(np.array(tokens, dtype=np.int32), weights, Place("sure.jsonl", number + 1)))
    return lora.attach(model, lora.Settings(r=4, alpha=8, dropout=0.0), 0), rows


def test_a_loss_of_exactly_0_is_skipped_and_changes_nothing() -> None:
    tuned, rows = answered_surely()
    before = {name: weight.detach().clone() for name, weight in tuned.trainable.items()}
    training = Training(Engine(tuned), rows, [], plan_of(batch_size=4, epochs=3))
    entries, sick = worked(training)
    assert [entry.skipped.partition(":")[0] for entry in entries if isinstance(entry, StepLog)] == [
        "the loss is exactly 0"
    ] * 3
    assert sick is not None
    assert "a third step in a row would be skipped" in sick.message
    assert training.step == 2
    notes = [entry.text for entry in entries if isinstance(entry, Note)]
    assert [note.partition(":")[0] for note in notes] == ["step 1 is skipped", "step 2 is skipped"]
    assert all("sure.jsonl:" in note for note in notes)
    assert all(torch.equal(before[name], weight) for name, weight in tuned.trainable.items())


def test_a_step_without_trained_tokens_is_a_line_and_the_run_goes_on() -> None:
    rows = random_rows(0)[:6]
    rows[2] = replace(rows[2], weights=np.zeros_like(rows[2].weights), place=Place("empty.jsonl", 7))
    training, _ = begin("lora", rows, batch_size=1, epochs=2)
    entries, sick = worked(training)
    steps = [entry for entry in entries if isinstance(entry, StepLog)]
    assert sick is None
    assert [step.step for step in steps] == list(range(1, 13))
    skipped = [step for step in steps if step.skipped]
    assert [step.skipped for step in skipped] == ["none of its tokens is trained on; its rows: empty.jsonl:7"] * 2
    assert all(math.isnan(step.train_loss) and step.trained_tokens == 0 for step in skipped)
    assert all(math.isfinite(step.train_loss) for step in steps if not step.skipped)


def test_a_model_that_breaks_in_the_middle_is_stopped_after_two_skipped_steps() -> None:
    rows = random_rows(0)[:10]
    training, (_, _, tuned) = begin("lora", rows, epochs=20)
    kept: dict[str, torch.Tensor] = {}

    def break_after_step_30(entries: list[Any]) -> None:
        if isinstance(entries[-1], Pause) and entries[-1].step == 30 and not kept:
            spoil(tuned, 30.0)
            kept.update({name: weight.detach().clone() for name, weight in tuned.trainable.items()})

    entries, sick = worked(training, break_after_step_30)
    assert sick is not None
    assert "a spike: the loss of" in sick.message
    steps = [entry for entry in entries if isinstance(entry, StepLog)]
    assert [step.step for step in steps if step.skipped] == [31, 32, 33]
    assert training.step == 32
    assert training.health.in_a_row == 2
    assert all(torch.equal(kept[name], weight) for name, weight in tuned.trainable.items())


def test_a_resumed_run_skips_what_the_uninterrupted_one_skips(tmp_path: Path) -> None:
    rows = [*random_rows(0), *random_rows(1), *random_rows(2)]
    late = rows_of_step(len(rows) - 1, len(rows), 1, 0)[0]
    rows[late] = replace(rows[late], weights=rows[late].weights * 500, place=Place("odd.jsonl", 1))

    def run(training: Training, stop_at: int = 0) -> list[Any]:
        found = []
        for entry in training.run():
            found.append(entry)
            if isinstance(entry, Pause) and entry.step == stop_at:
                break
        return of_log(found)

    whole = run(begin("lora", rows, batch_size=1, epochs=2)[0])
    skipped = [entry.step for entry in whole if isinstance(entry, StepLog) and entry.skipped]
    assert skipped == [len(rows) - 1]
    training, parts = begin("lora", rows, batch_size=1, epochs=2)
    first = run(training, stop_at=skipped[0] - 1)
    write(training, parts, tmp_path / "saved")
    second, (module, _, tuned) = begin("lora", rows, batch_size=1, epochs=2)
    module.load(tuned, tmp_path / "saved")
    second.restore(tmp_path / "saved")
    assert first + run(second) == whole


@pytest.mark.parametrize(
    ("modules", "count"), [(("q_proj", "lm_head"), "2 of 6"), (("lm_head",), "2 of 2")], ids=["some", "all"]
)
def test_an_adapter_that_gets_no_gradient_stops_before_the_first_step(modules: tuple[str, ...], count: str) -> None:
    settings = lora.Settings(r=4, alpha=8, dropout=0.0, target_modules=modules)  # the head's own weights make the loss
    tuned = lora.attach(small_llama(3), settings, 0)
    entries, sick = worked(Training(Engine(tuned), random_rows(0), [], plan_of(batch_size=4)))
    assert sick is not None
    assert f"{count} trained weights get no gradient, lm_head.lora_A.default.weight first" in sick.message
    assert [type(entry) for entry in entries] == [StepLog, Pause]


def test_a_whole_model_may_have_weights_that_text_does_not_reach(tmp_path: Path) -> None:
    model = small_llama(3)
    model.register_parameter("eyes", torch.nn.Parameter(torch.ones(3)))
    plan = replace(plan_of(batch_size=4, max_steps=2), all_learn=False)
    training = Training(Engine(Tuned(model, None, dict(model.named_parameters()))), random_rows(0), [], plan)
    entries, sick = worked(training)
    assert sick is None
    assert [entry.text for entry in entries if isinstance(entry, Note)] == [
        "1 trained weights get no gradient from these rows, eyes first"
    ]
