"""Layers computed again on the way back: the same gradients, from less memory, wherever the engine goes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from luthier.engine.forward import Engine
from luthier.engine.memory import available_bytes, bytes_a_token, why_checkpointing
from luthier.engine.step import backward
from luthier.flow import Tuned
from luthier.methods import lora
from tests.engine.families import small_model
from tests.engine.test_exactness import full, gradients, random_rows, small_llama
from tests.engine.test_root import in_peft, rooted


def lora_with_dropout() -> Tuned:
    settings = lora.Settings(r=4, alpha=8, dropout=0.3, target_modules="all-linear")
    return lora.attach(small_llama(), settings, 0)


def on_a_root(kind: str, family: str) -> Tuned:
    model = small_model(family)
    weight = torch.nn.Parameter(in_peft(kind, model)[1].detach().clone())
    model.register_parameter("root", weight)
    tuned = rooted(kind, model, weight)
    weight.requires_grad_(True)
    return replace(tuned, trainable={"root": weight})


def whole(family: str) -> Tuned:
    model = small_model(family)
    return Tuned(model, None, dict(model.named_parameters()))


CASES: dict[str, Callable[[], Tuned]] = {
    "full": lambda: full(0),
    "lora with dropout": lora_with_dropout,
    "prompt": lambda: on_a_root("prompt", "llama"),
    "prefix": lambda: on_a_root("prefix", "llama"),
    "gpt2": lambda: whole("gpt2"),
    "gemma2, padded": lambda: whole("gemma2"),
    "prompt, padded": lambda: on_a_root("prompt", "gemma2"),
    "prefix, padded": lambda: on_a_root("prefix", "gemma2"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("tokens_a_pass", [50, 1024])
def test_checkpointing_changes_no_gradient(case: str, tokens_a_pass: int) -> None:
    tuned, rows = CASES[case](), random_rows(0)
    tuned.model.train()
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(5)
        engine = Engine(tuned, checkpointing)
        torch.manual_seed(5)
        computed = backward(engine, rows, 1, tokens_a_pass)
        found.append((computed, gradients(tuned.model)))
    (plain, expected), (again, ours) = found
    assert plain == again
    assert expected.keys() == ours.keys() == tuned.trainable.keys()
    for name, gradient in expected.items():
        assert torch.equal(gradient, ours[name]), name


@pytest.mark.parametrize("case", [case for case in CASES if case != "prefix, padded"])
def test_checkpointing_keeps_the_layers_inputs_alone(case: str) -> None:
    tuned = CASES[case]()
    plain, checkpointed = bytes_a_token(Engine(tuned)), bytes_a_token(Engine(tuned, checkpointing=True))
    assert checkpointed < plain / 3
    assert all(parameter.grad is None for parameter in tuned.model.parameters())


def test_a_step_that_does_not_fit_says_so() -> None:
    engine = Engine(full(0))
    each = bytes_a_token(engine)
    state = 12 * sum(parameter.numel() for parameter in engine.tuned.trainable.values())
    enough = int((2 * 100 * each + state) / 0.8) + 1
    assert why_checkpointing(engine, 100, 2, 1024, enough) is None
    reason = why_checkpointing(engine, 100, 2, 1024, enough - 2)
    assert reason is not None
    assert reason.startswith("layers are computed twice, to save memory: 200 tokens at once would take 0.0 GiB of the")
    assert why_checkpointing(engine, 100, 20, 1024, 0).split(": ")[1].startswith("1,124 tokens")  # type: ignore[union-attr]


def test_what_checkpointing_does_not_help_is_not_checkpointed() -> None:
    assert why_checkpointing(Engine(on_a_root("prefix", "gemma2")), 100, 20, 1024, 0) is None


def test_free_memory_is_some_and_no_more_than_the_machine_has() -> None:
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 2**20 < available_bytes(torch.device("cpu")) <= machine
