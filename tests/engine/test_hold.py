"""A model held near base: value and gradients are those of two plain forward passes and `kl_div`, row by row."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import kl_div

from luthier.engine import loss as of_loss
from luthier.engine.divergence import held_loss
from luthier.engine.forward import Engine
from luthier.engine.hold import BaseEngine, Hold, distances
from luthier.engine.loss import Head
from luthier.engine.objectives import preference
from luthier.engine.parts import in_leaves
from luthier.engine.step import backward
from luthier.flow import Base, Tokenized, Tuned
from luthier.methods import full as full_tuning
from luthier.methods import lora
from tests.engine.families import small_model
from tests.engine.test_exactness import (
    alone,
    distance,
    full,
    gradients,
    grouped_rows,
    lora_on_queries_and_values,
    random_rows,
    small_llama,
)
from tests.engine.test_preference import BETA, one_by_one, pairs

WEIGHT = 0.7


def moved(model: torch.nn.Module) -> torch.nn.Module:
    """Every weight a little elsewhere."""
    random = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=random, dtype=torch.float32)
            parameter.add_(0.3 * parameter.std() * noise.to(parameter.dtype))
    return model


def apart(model: Any, base: Any, row: Tokenized) -> torch.Tensor:
    """The row's KL from base, summed over its tokens by weight, by both models' own forward passes."""
    tokens = torch.from_numpy(row.tokens.astype(np.int64))[None]
    with torch.no_grad():
        expected = base(input_ids=tokens).logits[0, :-1].log_softmax(-1)
    likely = model(input_ids=tokens).logits[0, :-1].log_softmax(-1)
    each = kl_div(likely, expected, reduction="none", log_target=True).sum(-1)
    return (each * torch.from_numpy(row.weights[1:])).sum()


def held_full(seed: int) -> tuple[Tuned, Base, torch.nn.Module]:
    """A tuned model, what it is held near, and a plain model that says the same."""
    tuned = full(seed)
    base = full_tuning.base_of(tuned)
    moved(tuned.model)
    return tuned, base, small_llama(seed)


def held_lora(seed: int) -> tuple[Tuned, Base, torch.nn.Module]:
    tuned = lora_on_queries_and_values(seed)
    return tuned, lora.base_of(tuned), small_llama(seed)


@pytest.mark.parametrize("held", [held_full, held_lora])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("make_rows", [random_rows, grouped_rows])
@pytest.mark.parametrize("tokens_a_pass", [25, 1024])
def test_a_tree_in_passes_of_any_size_is_held_as_its_rows_are_one_by_one(
    held: Callable[[int], tuple[Tuned, Base, Any]],
    seed: int,
    make_rows: Callable[[int], list[Tokenized]],
    tokens_a_pass: int,
) -> None:
    (tuned, base, plain), rows = held(seed), make_rows(seed)
    loss = torch.stack([alone(tuned.model, row) for row in rows]).sum()
    kl = torch.stack([apart(tuned.model, plain, row) for row in rows]).sum()
    (loss / 7 + WEIGHT * kl / 5).backward()
    expected = gradients(tuned.model)
    engine = Engine(tuned)
    layout = in_leaves(engine.lay_out(rows), tokens_a_pass)
    assert (len(layout.leaves) > 2 and layout.trunk is not None) == (tokens_a_pass < 1024)
    computed = backward(engine, rows, 7, tokens_a_pass, Hold(BaseEngine(base), WEIGHT, 5))
    assert computed.loss == pytest.approx(loss.item(), rel=1e-5)
    assert computed.kl == pytest.approx(kl.item(), rel=1e-5)
    assert kl.item() > 1
    assert distance(gradients(tuned.model), expected) < 1e-5
    found = dict(distances(engine, BaseEngine(base), rows))
    assert [found[at] for at in range(len(rows))] == pytest.approx(
        [apart(tuned.model, plain, row).item() for row in rows], rel=1e-4, abs=1e-5
    )


@pytest.mark.parametrize("held", [held_full, held_lora])
@pytest.mark.parametrize("tokens_a_pass", [20, 60, 1024])
def test_pairs_are_held_on_both_answers_by_their_weight(
    held: Callable[[int], tuple[Tuned, Base, Any]], tokens_a_pass: int
) -> None:
    (tuned, base, plain), every = held(0), pairs(0)
    tuned.model.double()
    plain.double()
    base.tuned.model.double()
    loss, margins = one_by_one(tuned.model, every)
    kl = torch.stack([pair.weight * apart(tuned.model, plain, row) for pair in every for row in pair.rows]).sum()
    (loss / 7 + WEIGHT * kl / 50).backward()
    expected = gradients(tuned.model)
    hold = Hold(BaseEngine(base), WEIGHT, 50)
    computed = preference.backward(Engine(tuned), every, 7, tokens_a_pass, BETA, hold)
    assert computed.loss == pytest.approx(loss.item(), rel=1e-6)
    assert computed.kl == pytest.approx(kl.item(), rel=1e-6)
    assert computed.sums["preference_margin"] == pytest.approx(sum(margins), rel=1e-5)
    assert distance(gradients(tuned.model), expected) < 1e-6


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize(("family", "changes"), [("gemma2", {}), ("gpt2", {}), ("mistral", {"sliding_window": 45})])
def test_rows_that_no_tree_serves_are_held_in_padded_batches(
    family: str, changes: dict[str, Any], paired: bool
) -> None:
    """Of the last model some rows go one way and some the other."""
    plain = small_model(family, **changes).double()
    model = moved(copy.deepcopy(plain))
    tuned = Tuned(model, None, dict(model.named_parameters()))
    engine, hold = Engine(tuned), Hold(BaseEngine(Base(Tuned(plain, None, {}))), WEIGHT, 5)
    every, rows = pairs(0), random_rows(1)
    if paired:
        rows = [row for pair in every for row in pair.rows]
    near, far = hold.base.by_limit(engine, [len(row.tokens) for row in rows])
    assert {"gemma2": not near, "mistral": bool(near and far)}.get(family, not far)
    times = [pair.weight for pair in every for _ in range(2)] if paired else [1.0] * len(rows)
    loss = one_by_one(model, every)[0] if paired else torch.stack([alone(model, row) for row in rows]).sum()
    kl = sum((count * apart(model, plain, row) for row, count in zip(rows, times, strict=True)), torch.zeros(()))
    (loss / 3 + WEIGHT * kl / 5).backward()
    expected = gradients(model)
    computed = preference.backward(engine, every, 3, 60, BETA, hold) if paired else backward(engine, rows, 3, 60, hold)
    assert computed.loss == pytest.approx(loss.item(), rel=1e-6)
    assert computed.kl == pytest.approx(kl.item(), rel=1e-6)
    assert distance(gradients(model), expected) < 1e-6
    found = dict(distances(engine, hold.base, rows))
    assert sum(found[at] * times[at] for at in range(len(rows))) == pytest.approx(kl.item(), rel=1e-6)


def test_layers_computed_twice_and_pieces_of_any_size_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    (tuned, base, _), rows = held_lora(0), random_rows(0)
    hold = Hold(BaseEngine(base), WEIGHT, 5)
    whole = backward(Engine(tuned), rows, 7, 60, hold)
    once = gradients(tuned.model)
    monkeypatch.setattr(of_loss, "PIECE_BYTES", 1)  # pieces of 16 predictions
    monkeypatch.setattr(of_loss, "BLOCK_BYTES", 1)  # worked on one by one
    again = backward(Engine(tuned, checkpointing=True), rows, 7, 60, hold)
    assert again.kl == pytest.approx(whole.kl, rel=1e-6)
    assert distance(gradients(tuned.model), once) < 1e-6


def test_two_processes_shares_add_up_to_the_step() -> None:
    (tuned, base, _), rows = held_full(0), random_rows(0)
    hold = Hold(BaseEngine(base), WEIGHT, 5)
    whole = backward(Engine(tuned), rows, 7, 60, hold)
    once = gradients(tuned.model)
    first, second = (backward(Engine(tuned), share, 7, 60, hold) for share in (rows[::2], rows[1::2]))
    assert first.kl + second.kl == pytest.approx(whole.kl, rel=1e-5)
    assert distance(gradients(tuned.model), once) < 1e-5


def test_a_model_that_has_not_moved_is_0_apart_and_is_not_pulled() -> None:
    tuned = lora.attach(small_llama(), lora.Settings(r=4, alpha=8, dropout=0.0), 0)
    rows, hold = random_rows(0), Hold(BaseEngine(lora.base_of(tuned)), 100.0, 5)
    engine = Engine(tuned)
    free = backward(engine, rows, 7, 60)
    expected = gradients(tuned.model)
    assert free.kl == 0
    assert backward(engine, rows, 7, 60, hold).kl == pytest.approx(0, abs=1e-4)
    found = gradients(tuned.model)
    second = [name for name in found if "lora_B" in name]  # the first matrices' are 0 while the second ones are
    assert distance({name: found[name] for name in second}, {name: expected[name] for name in second}) < 1e-4


def test_base_is_asked_without_dropout_and_leaves_the_model_as_it_was() -> None:
    tuned = lora.attach(small_llama(), lora.Settings(r=4, alpha=8, dropout=0.5), 0)
    rows, base = random_rows(0), BaseEngine(lora.base_of(tuned))
    with base.asked() as engine:
        first = engine.logits(rows[0], 5)
    with torch.no_grad():
        for parameter in tuned.trainable.values():
            parameter.add_(0.1)
    tuned.model.train()
    state = torch.get_rng_state()
    with base.asked() as engine:
        assert torch.equal(engine.logits(rows[0], 5), first)
    assert torch.equal(torch.get_rng_state(), state)
    assert tuned.model.training
    assert all(parameter.requires_grad for parameter in tuned.trainable.values())
    assert not torch.equal(Engine(tuned).logits(rows[0], 5), first)


def test_the_loss_by_hand() -> None:
    """Base has one half each, the model 0.75 and 0.25: log 4/3 for the first token, and KL = log(4/3) / 2."""
    hidden = torch.tensor([[np.log(3.0)]], dtype=torch.float64, requires_grad=True)
    head = Head(torch.tensor([[1.0], [0.0]], dtype=torch.float64), None)
    one, targets = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.int64)
    total, loss, kl = held_loss(hidden, head, targets, one, torch.zeros_like(hidden).detach(), head, 2 * one)
    assert loss.item() == pytest.approx(np.log(4 / 3))
    assert kl.tolist() == pytest.approx([np.log(4 / 3) / 2])
    assert total.item() == pytest.approx(2 * np.log(4 / 3))
    total.backward()
    assert hidden.grad is not None
    assert hidden.grad.item() == pytest.approx((0.75 - 1) + 2 * (0.75 - 0.5))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_trained_head_with_a_bias_gets_its_gradient(dtype: torch.dtype) -> None:
    random = torch.Generator().manual_seed(0)

    def made(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64).to(dtype).requires_grad_()

    hidden, weight, bias = made(7, 8), made(30, 8), made(30)
    expected, base = made(7, 8).detach(), Head(made(30, 8).detach(), None)
    targets, weights, pulls = torch.arange(7), torch.rand(7, generator=random), torch.rand(7, generator=random)

    def plain(leaves: Sequence[torch.Tensor]) -> torch.Tensor:
        likely = (leaves[0] @ leaves[1].T + leaves[2]).log_softmax(-1)
        known = base.logits(expected).double().log_softmax(-1)
        each = kl_div(likely, known, reduction="none", log_target=True).sum(-1)
        return (pulls * each - weights * likely[torch.arange(7), targets]).sum()

    leaves = [one.detach().double().requires_grad_() for one in (hidden, weight, bias)]
    reference = plain(leaves)
    reference.backward()
    total, _, _ = held_loss(hidden, Head(weight, bias), targets, weights, expected, base, pulls)
    total.backward()
    close = 1e-6 if dtype == torch.float64 else 3e-2
    assert total.item() == pytest.approx(reference.item(), rel=close)
    for ours, theirs in zip((hidden, weight, bias), leaves, strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert float((ours.grad.double() - theirs.grad).norm() / theirs.grad.norm()) < close
