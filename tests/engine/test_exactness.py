"""A tree's loss and gradients are those of its rows one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from luthier.engine.forward import Engine
from luthier.engine.loss import Head, losses, summed_loss
from luthier.engine.parts import in_leaves
from luthier.engine.ranges import attend, attend_masked, plan
from luthier.engine.step import backward_over_tree
from luthier.engine.tree import lay_out
from luthier.flow import Place, Tokenized, Tuned
from luthier.methods import lora


def small_llama(seed: int = 0, **changes: Any) -> torch.nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {
        "vocab_size": 50,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.2,
    }
    torch.manual_seed(seed)
    model: torch.nn.Module = LlamaForCausalLM(LlamaConfig(**(sizes | changes)))
    return model


def random_rows(seed: int) -> list[Tokenized]:
    """Rows with a shared beginning, groups under it, rows apart, a duplicate, a row inside another; loss anywhere."""
    random = np.random.default_rng(seed)
    root, branch = random.integers(0, 50, 30), random.integers(0, 50, 12)
    own = [random.integers(0, 50, random.integers(2, 25)) for _ in range(9)]
    begun = [[root, one] if number % 3 else [root, branch, one] for number, one in enumerate(own[:7])]
    tokens = [np.concatenate(parts) for parts in begun] + own[7:]
    tokens += [tokens[0], np.concatenate([root, branch])]
    rows: list[Tokenized] = []
    for number, one in enumerate(tokens):
        weights = (random.random(len(one)) < 0.5) * random.choice([0.5, 1.0, 2.0])
        weights[0], weights[-1] = 0, 1
        rows.append(Tokenized(one.astype(np.int32), weights.astype(np.float32), Place("x", number + 1)))
    return rows


def grouped_rows(seed: int) -> list[Tokenized]:
    """Rows on three levels: three groups under one beginning, in each two of their own; loss anywhere."""
    random = np.random.default_rng(seed)
    root = random.integers(0, 50, 12)
    rows: list[Tokenized] = []
    for _ in range(3):
        group = random.integers(0, 50, random.integers(10, 18))
        for _ in range(2):
            inner = random.integers(0, 50, random.integers(6, 14))
            for _ in range(3):
                tokens = np.concatenate([root, group, inner, random.integers(0, 50, random.integers(2, 12))])
                weights = (random.random(len(tokens)) < 0.5).astype(np.float32)
                weights[0], weights[-1] = 0, 1
                rows.append(Tokenized(tokens.astype(np.int32), weights, Place("x", len(rows) + 1)))
    return [rows[index] for index in random.permutation(len(rows))]


def engine(model: torch.nn.Module) -> Engine:
    return Engine(Tuned(model, None, dict(model.named_parameters())))


def alone(model: Any, row: Tokenized) -> torch.Tensor:
    """The row's weighted loss by the model's own forward pass."""
    tokens = torch.from_numpy(row.tokens.astype(np.int64))[None]
    likely: torch.Tensor = model(input_ids=tokens).logits[0, :-1].log_softmax(-1)
    picked = likely.gather(1, tokens[0, 1:, None])[:, 0]
    return -(picked * torch.from_numpy(row.weights[1:])).sum()


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    found = {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}
    model.zero_grad()
    return found


def distance(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    assert ours.keys() == theirs.keys()
    return max(float((ours[name] - theirs[name]).norm() / theirs[name].norm()) for name in ours)


def full(seed: int) -> Tuned:
    model = small_llama(seed)
    return Tuned(model, None, dict(model.named_parameters()))


def lora_on_queries_and_values(seed: int) -> Tuned:
    """LoRA whose second matrix is not 0 any more, so that every trained weight has a gradient."""
    tuned = lora.attach(small_llama(seed), lora.Settings(r=4, alpha=8, dropout=0.0), seed)
    with torch.no_grad():
        for name, parameter in tuned.trainable.items():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
    return tuned


@pytest.mark.parametrize("method", [full, lora_on_queries_and_values])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("make_rows", [random_rows, grouped_rows])
@pytest.mark.parametrize("sharing_pays", [0, 24])
@pytest.mark.parametrize("tokens_a_pass", [25, 60, 1024])
def test_a_tree_in_passes_of_any_size_equals_its_rows_one_by_one_in_loss_and_every_gradient(
    method: Callable[[int], Tuned],
    seed: int,
    make_rows: Callable[[int], list[Tokenized]],
    sharing_pays: int,
    tokens_a_pass: int,
) -> None:
    tuned, rows = method(seed), make_rows(seed)
    reference = sum((alone(tuned.model, row) for row in rows), torch.zeros(()))
    (reference / 7).backward()
    expected = gradients(tuned.model)
    assert expected.keys() == tuned.trainable.keys()
    engine = Engine(tuned)
    tree = engine.lay_out(rows, sharing_pays)
    layout = in_leaves(tree, tokens_a_pass)
    assert (len(layout.leaves) > 2 and layout.trunk is not None) == (tokens_a_pass < 1024)
    computed = backward_over_tree(engine, tree, 7, tokens_a_pass)
    assert computed.loss == pytest.approx(reference.item(), rel=1e-6)
    assert computed.tokens == len(tree.tokens) < sum(len(row.tokens) for row in rows)
    assert distance(gradients(tuned.model), expected) < 1e-5


@pytest.mark.parametrize("known", [False, True])
def test_attention_range_by_range_equals_one_masked_call(known: bool) -> None:
    tree = lay_out(random_rows(2), 24, 7, known)
    (part,) = in_leaves(tree, 10**6).leaves
    made = plan(part, torch.device("cpu"))
    assert made.given == 7 * known
    assert len(made.reaches) > 1
    torch.manual_seed(0)
    sizes = (made.size, 4), (made.given + made.size, 2), (made.given + made.size, 2)
    query, key, value = [torch.randn(size, heads, 8, dtype=torch.float64, requires_grad=True) for size, heads in sizes]
    weights = torch.randn(made.size, 4, 8, dtype=torch.float64)
    ours = attend(query, key, value, made, 0.3)
    ours_gradients = torch.autograd.grad((ours * weights).sum(), (query, key, value))
    reference = attend_masked(query, key, value, made, 0.3)
    expected = torch.autograd.grad((reference * weights).sum(), (query, key, value))
    torch.testing.assert_close(ours, reference, rtol=0, atol=1e-12)
    for one, other in zip(ours_gradients, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("trained_head", [False, True])
def test_the_loss_in_pieces_equals_cross_entropy(trained_head: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("luthier.engine.loss.PIECE_BYTES", 4 * 50 * 16)
    torch.manual_seed(0)
    hidden = torch.randn(40, 8, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(50, 8, dtype=torch.float64, requires_grad=trained_head)
    bias = torch.randn(50, dtype=torch.float64, requires_grad=trained_head)
    targets, weights = torch.randint(0, 50, (40,)), torch.rand(40, dtype=torch.float64)
    head = Head(weight, bias)
    assert head.piece == 16
    each = torch.nn.functional.cross_entropy(hidden @ weight.T + bias, targets, reduction="none")
    wanted = [hidden, weight, bias] if trained_head else [hidden]
    expected = torch.autograd.grad((each * weights).sum(), wanted)
    ours = summed_loss(hidden, head, targets, weights)
    torch.testing.assert_close(ours, (each * weights).sum())
    for one, other in zip(torch.autograd.grad(ours, wanted), expected, strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(losses(hidden, head, targets)[0], each.detach())


@pytest.mark.parametrize("make_rows", [random_rows, grouped_rows])
@pytest.mark.parametrize("tokens_a_pass", [20, 80, 4096])
def test_scores_are_each_row_alone_and_count_its_right_tokens(
    make_rows: Callable[[int], list[Tokenized]], tokens_a_pass: int
) -> None:
    model, rows = small_llama(), make_rows(3)
    scores = dict(engine(model).scores(rows, tokens_a_pass))
    for index, row in enumerate(rows):
        assert scores[index].loss == pytest.approx(alone(model, row).item(), rel=1e-5)
        assert scores[index].tokens == row.trained_tokens
        tokens = torch.from_numpy(row.tokens.astype(np.int64))[None]
        chosen = model(input_ids=tokens).logits[0, :-1].argmax(-1)
        right = (chosen == tokens[0, 1:])[torch.from_numpy(row.weights[1:] > 0)]
        assert scores[index].correct == int(right.sum())
    assert model.training


def test_a_row_sees_nothing_of_another() -> None:
    model, rows = small_llama(), random_rows(4)
    together = dict(engine(model).scores(rows))
    changed = [*rows[:-3], *random_rows(5)[-3:]]
    beside_others = dict(engine(model).scores(changed))
    assert together[0].loss == pytest.approx(beside_others[0].loss, rel=1e-6)
