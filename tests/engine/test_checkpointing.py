"""Layers computed again on the way back: the same gradients, from less memory, wherever the engine goes."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from luthier.engine.forward import Engine
from luthier.engine.memory import Passes, available_bytes, bytes_a_token, choose_passes
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


def test_a_step_that_does_not_fit_goes_in_smaller_passes_then_computes_layers_twice_and_says_so() -> None:
    engine = Engine(full(0))
    each, checkpointed = bytes_a_token(engine), bytes_a_token(Engine(full(0), checkpointing=True))
    state = 12 * sum(parameter.numel() for parameter in engine.tuned.trainable.values())

    def enough(tokens: int, each: int) -> int:
        return int((tokens * each + state) / 0.8) + 1

    def chosen(batch_size: int, free: int) -> tuple[int, bool]:
        passes, why = choose_passes(engine, 100, batch_size, free)
        assert bool(why) == ((passes.tokens, passes.checkpointing) != (1024, False))
        return passes.tokens, passes.checkpointing

    assert chosen(2, enough(200, each)) == (1024, False)
    assert chosen(20, enough(1124, each)) == (1024, False)
    assert chosen(20, enough(1124, each) - 2) == (512, False)
    assert chosen(20, enough(356, each)) == (256, False)
    assert chosen(20, enough(356, each) - 2) == (256, True)
    assert chosen(20, enough(356, checkpointed) - 2) == (128, True)
    assert chosen(20, 0) == (64, True)  # a row of 100 tokens goes through as a whole, so less would change nothing
    _, why = choose_passes(engine, 100, 20, 0)
    assert why.startswith("64 tokens a pass, and layers are computed twice, to save memory: 1,124 tokens at once would")


def test_passes_halve_together_and_end_with_the_longest_row() -> None:
    found, passes = [], Passes(1024, False, 4096, 2**20).smaller(100)
    while passes:
        found.append((passes.tokens, passes.checkpointing, passes.scoring_tokens, passes.kept_bytes))
        passes = passes.smaller(100)
    assert found == [
        (512, False, 2048, 2**19),
        (256, False, 1024, 2**18),
        (256, True, 1024, 2**18),
        (128, True, 512, 2**17),
        (64, True, 256, 2**16),
    ]


def test_answers_get_a_quarter_of_the_memory_at_most() -> None:
    assert choose_passes(Engine(full(0)), 100, 20, 2**36)[0].kept_bytes == 2**29
    assert choose_passes(Engine(full(0)), 100, 20, 2**26)[0].kept_bytes == int(0.8 * 2**26 / 4)


def test_what_checkpointing_does_not_help_is_not_checkpointed() -> None:
    assert not choose_passes(Engine(on_a_root("prefix", "gemma2")), 100, 20, 0)[0].checkpointing


def test_free_memory_is_some_and_no_more_than_the_machine_has() -> None:
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 2**20 < available_bytes(torch.device("cpu")) <= machine


HOLES = """
import ctypes, os, sys, torch
from pathlib import Path
from luthier.engine import checkpointing

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

del_me = torch.ones(2**22)  # 16 MiB: once one was freed, the heap takes blocks of that size
del del_me
if sys.argv[1] == "True":
    checkpointing.give_back_at_once()
blocks = [torch.ones(2**18) for _ in range(100)]
before = resident()
del blocks[::2]
print(before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc has no such setting")
def test_blocks_that_are_mapped_by_themselves_are_given_back_at_once() -> None:
    def given_back(on: bool) -> int:
        done = subprocess.run([sys.executable, "-c", HOLES, str(on)], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert given_back(True) > 45 * 2**20  # 50 blocks of 1 MiB, each between two that stay
    assert given_back(False) < 5 * 2**20
