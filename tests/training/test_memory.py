"""Steps for which memory runs out: laid out again smaller, with the same gradients, for good, and said."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from luthier.engine.forward import Engine
from luthier.engine.memory import Passes
from luthier.flow import Note, StepLog
from luthier.methods import lora
from luthier.training.loop import Pause, Training
from luthier.training.sick import SickStep
from tests.engine.test_exactness import random_rows, small_llama
from tests.engine.test_out_of_memory import Tight, too_much
from tests.training.test_loop import log, plan_of, timeless, write

ROWS = [*random_rows(0), *random_rows(1)]


def whole_steps(dropout: float = 0.0, **hyper: Any) -> tuple[Training, Any]:
    """A run whose first passes take a step's rows as a whole."""
    settings = lora.Settings(r=4, alpha=8, dropout=dropout, target_modules="all-linear")
    tuned = lora.attach(small_llama(), settings, 0)
    plan = plan_of(tokens_a_pass=1024, **{"batch_size": 6, "max_steps": 6, **hyper})
    training = Training(Engine(tuned), ROWS, random_rows(9)[:4], plan)
    training.passes[0] = Passes(1024, scoring_tokens=4096)
    return training, (lora, settings, tuned)


def steps_of(entries: list[Any]) -> list[StepLog]:
    return [entry for entry in entries if isinstance(entry, StepLog)]


def test_a_step_that_does_not_fit_has_the_same_gradient_in_smaller_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    free, (_, _, whole) = whole_steps()
    expected = steps_of(list(free.run()))
    narrow, (_, _, tuned) = whole_steps()
    tight = Tight(tuned.model, 90, monkeypatch)
    entries = list(narrow.run())
    steps = steps_of(entries)
    assert tight.refused
    assert steps[0].relaid
    assert sum(step.relaid for step in steps) == len(narrow.passes) - 1
    assert narrow.passes[1].tokens < 1024
    for step, other in zip(steps, expected, strict=True):
        assert (step.train_loss, step.grad_norm) == pytest.approx((other.train_loss, other.grad_norm), rel=1e-5)
    for name, weight in whole.trainable.items():
        torch.testing.assert_close(tuned.trainable[name], weight, rtol=1e-4, atol=1e-5)
    notes = [entry.text for entry in entries if isinstance(entry, Note)]
    assert len(notes) == sum(step.relaid for step in steps)
    assert notes[0] == f"memory ran out at step 1: from here on {narrow.passes[1]}"


def gradients_of_step_1(refused: int, monkeypatch: pytest.MonkeyPatch) -> tuple[list[torch.Tensor], Passes]:
    """The gradients of the first step, unclipped, and its passes; there is no room for the pass of that number."""
    training, (_, _, tuned) = whole_steps(max_grad_norm=None)
    training.passes[0] = Passes(40)  # a trunk and several leaves
    own, numbers = tuned.model.base_model.forward, count(1)

    def narrow(*args: Any, **given: Any) -> Any:
        if next(numbers) == refused:
            too_much()
        return own(*args, **given)

    found: list[torch.Tensor] = []

    def keep_gradients() -> None:
        found.extend(weight.grad.clone() for weight in tuned.trainable.values() if weight.grad is not None)

    monkeypatch.setattr(tuned.model.base_model, "forward", narrow)
    monkeypatch.setattr(training.optimizer, "step", keep_gradients)
    next(entry for entry in training.run() if isinstance(entry, StepLog))
    assert next(numbers) > 3
    return found, training._passes_of(1)


@pytest.mark.parametrize("refused", [1, 2, 3])
def test_gradients_are_started_over_and_not_added_to(refused: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, first = gradients_of_step_1(0, monkeypatch)
    found, passes = gradients_of_step_1(refused, monkeypatch)
    assert passes == first.smaller(1)
    assert len(found) == len(expected) > 0
    for ours, whole in zip(found, expected, strict=True):
        assert float((ours - whole).norm()) <= 1e-5 * float(whole.norm())  # of LoRA's A both are 0


def test_a_resumed_run_makes_the_passes_of_the_one_whose_memory_ran_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, parts = whole_steps(dropout=0.1)
    entries: list[Any] = []
    with monkeypatch.context() as tight:
        for entry in training.run():
            entries.append(entry)
            if isinstance(entry, Pause) and entry.step == 2:
                write(training, parts, tmp_path / "saved")
            if isinstance(entry, Pause) and entry.step == 3:
                Tight(parts[2].model, 90, tight)
    steps = steps_of(entries)
    first = next(step.step for step in steps if step.relaid)
    assert first > 3

    again, (module, _, tuned) = whole_steps(dropout=0.1)  # with all the memory it wants
    again.passes = training.passes
    module.load(tuned, tmp_path / "saved")
    again.restore(tmp_path / "saved")
    assert [timeless(step) for step in steps_of(log(again))] == [timeless(step) for step in steps[2:]]
    for name, weight in parts[2].trainable.items():
        assert torch.equal(tuned.trainable[name], weight), name


def test_where_the_smallest_passes_do_not_fit_the_state_before_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    training, (_, _, tuned) = whole_steps()
    Tight(tuned.model, 3, monkeypatch)
    entries: list[Any] = []
    with pytest.raises(SickStep, match="does not fit into memory in the smallest passes"):
        entries.extend(training.run())
    assert training.step == 0
    assert training.passes[1].checkpointing
    assert all(parameter.grad is None for parameter in tuned.trainable.values())


CHILD = """
import resource, sys
import numpy as np, torch
torch.set_num_threads(1)
from luthier.engine.forward import Engine
from luthier.engine.memory import Passes
from luthier.flow import Note, Place, StepLog, Tokenized
from luthier.methods import lora
from luthier.training.loop import Training
from tests.training.test_loop import plan_of
from tests.engine.families import small_model

def run(spare_bytes):
    random = np.random.default_rng(0)
    rows = [
        Tokenized(random.integers(3, 50, 200).astype(np.int32), np.array([0] + [1] * 199, np.float32), Place("x", n))
        for n in range(1, 33)
    ]
    model = small_model("llama", hidden_size=256, intermediate_size=1024, num_hidden_layers=4)
    tuned = lora.attach(model, lora.Settings(r=4, alpha=8, dropout=0.0, target_modules="all-linear"), 0)
    training = Training(Engine(tuned), rows, rows[:8], plan_of(8192, batch_size=32, max_steps=3))
    if spare_bytes:
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + spare_bytes,) * 2)
    for entry in training.run():
        if isinstance(entry, StepLog):
            print("step", entry.relaid, f"{entry.train_loss:.6f}", f"{entry.grad_norm:.6f}")
        elif isinstance(entry, Note):
            print("note", entry.text)
    print("passes", training.passes[max(training.passes)].tokens)

run(int(sys.argv[1]))
"""


def in_a_child(spare_bytes: int) -> list[list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(spare_bytes)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
    )
    assert done.returncode == 0, done.stderr
    return [line.split(maxsplit=1) for line in done.stdout.splitlines()]


def test_a_process_that_gets_no_more_memory_trains_to_its_end_with_the_same_losses() -> None:
    free, tight = in_a_child(0), in_a_child(220 * 2**20)
    assert free[-1] == ["passes", "8192"]
    assert int(tight[-1][1]) < 8192
    expected = [line[1].split() for line in free if line[0] == "step"]
    found = [line[1].split() for line in tight if line[0] == "step"]
    assert next(relaid for relaid, *_ in found) == "True"
    for (_, *ours), (_, *other) in zip(found, expected, strict=True):
        assert [float(value) for value in ours] == pytest.approx([float(value) for value in other], rel=1e-4)
    assert next(line[1] for line in tight if line[0] == "note").startswith("memory ran out at step 1: from here on ")
