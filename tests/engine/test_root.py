"""Soft prompts and prefixes under every row: what PEFT's own models give, in a tree, packed and in generation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from peft import PrefixTuningConfig, PromptTuningConfig, TaskType, get_peft_model

from luthier.engine.forward import Engine
from luthier.engine.generation import answers, grow
from luthier.engine.step import backward, backward_over_tree
from luthier.flow import Place, Question, Root, Tokenized, Tuned
from tests.engine.families import small_model
from tests.engine.test_exactness import random_rows, small_llama

LENGTH = 5


FAMILIES = ("llama", "gpt2", "gemma2")
"""The last one goes through the model on padded batches."""


def rooted(kind: str, model: Any, weight: torch.Tensor | Callable[[], torch.Tensor]) -> Tuned:
    """The model on a root made of PEFT's tensor: n x width, or n x (layers, key and value, heads, head width)."""
    model.requires_grad_(False)
    made = weight if callable(weight) else lambda: weight
    if kind == "prompt":
        return Tuned(model, Root(LENGTH, embeddings=made), {})
    config = model.config
    layers = config.num_hidden_layers
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads

    def keys_and_values() -> list[tuple[torch.Tensor, torch.Tensor]]:
        parts = made().view(LENGTH, 2 * layers, heads, -1).permute(1, 2, 0, 3)
        return [(parts[2 * layer], parts[2 * layer + 1]) for layer in range(layers)]

    return Tuned(model, Root(LENGTH, keys_and_values=keys_and_values), {})


def in_peft(kind: str, model: torch.nn.Module) -> tuple[Any, torch.Tensor]:
    """PEFT's own model on a random root, and its trained tensor."""
    settings: dict[str, Any] = {"task_type": TaskType.CAUSAL_LM, "num_virtual_tokens": LENGTH}
    config: Any = PromptTuningConfig(**settings) if kind == "prompt" else PrefixTuningConfig(**settings)
    theirs: Any = get_peft_model(copy.deepcopy(model), config).to(next(model.parameters()).dtype)
    weight = theirs.prompt_encoder["default"].embedding.weight
    with torch.no_grad():
        weight.normal_(generator=torch.Generator().manual_seed(1))
    return theirs, weight


def logits_in_peft(theirs: Any, row: Tokenized) -> torch.Tensor:
    tokens = torch.from_numpy(row.tokens.astype(np.int64))[None]
    logits: torch.Tensor = theirs(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits[0]
    return logits[-len(row.tokens) :]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["prompt", "prefix"])
@pytest.mark.parametrize("sharing_pays", [0, 24, 10**6])
@pytest.mark.parametrize("tokens_a_pass", [50, 1024])
def test_a_tree_on_a_root_equals_peft_row_by_row_in_logits_and_in_the_root_s_gradient(
    family: str, kind: str, sharing_pays: int, tokens_a_pass: int
) -> None:
    model, rows = small_model(family).double(), random_rows(0)
    theirs, weight = in_peft(kind, model)
    ours = weight.detach().clone().requires_grad_()
    engine = Engine(rooted(kind, model, ours))

    for row in rows:
        expected = logits_in_peft(theirs, row)
        own = engine.logits(row, len(row.tokens))
        assert float((own - expected.detach()).abs().max() / expected.detach().abs().max()) < 1e-6
        likely = expected[:-1].log_softmax(-1).gather(1, torch.from_numpy(row.tokens[1:].astype(np.int64))[:, None])
        (-(likely[:, 0] * torch.from_numpy(row.weights[1:])).sum()).backward()
    if family == "gemma2":
        backward(engine, rows, 1, tokens_a_pass)
    else:
        computed = backward_over_tree(engine, engine.lay_out(rows, sharing_pays), 1, tokens_a_pass)
        assert computed.tokens < sum(len(row.tokens) for row in rows) + LENGTH * (kind == "prompt")
    assert ours.grad is not None
    assert weight.grad is not None
    assert float((ours.grad - weight.grad).norm() / weight.grad.norm()) < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["prompt", "prefix"])
def test_a_float32_root_serves_a_model_of_any_type(kind: str, dtype: torch.dtype) -> None:
    model, rows = small_llama(), random_rows(1)
    _, weight = in_peft(kind, model)
    exact = dict(Engine(rooted(kind, copy.deepcopy(model), weight)).scores(rows))
    ours = weight.detach().clone().requires_grad_()
    engine = Engine(rooted(kind, model.to(dtype), ours))
    rounded = dict(engine.scores(rows))
    assert all(rounded[index].loss == pytest.approx(exact[index].loss, rel=0.05) for index in exact)
    backward(engine, rows, 1, 50)
    assert ours.grad is not None
    assert ours.grad.dtype == torch.float32
    assert ours.grad.abs().sum() > 0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["prompt", "prefix"])
def test_answers_on_a_root_are_peft_s_most_likely_tokens(family: str, kind: str) -> None:
    model = small_model(family).double()
    theirs, weight = in_peft(kind, model)
    engine = Engine(rooted(kind, model.eval(), weight))
    asked = [Question(row.tokens, "", "", Place("x", 1)) for row in random_rows(2)]
    found = dict(answers(engine, asked, lambda tokens: repr(list(tokens)), [], 6, tokens_a_pass=80))
    for index, question in enumerate(asked):
        tokens = question.tokens.tolist()
        with torch.no_grad():
            for _ in range(6):
                row = Tokenized(
                    np.array(tokens, dtype=np.int32), np.zeros(len(tokens), dtype=np.float32), Place("x", 1)
                )
                tokens.append(int(logits_in_peft(theirs.eval(), row)[-1].argmax()))
        assert found[index].text == repr(tokens[len(question.tokens) :])
    assert repr(list(grow(engine, asked[0], [], 6))) == found[0].text


@pytest.mark.parametrize("kind", ["prompt", "prefix"])
def test_a_root_that_is_projected_is_computed_afresh_after_each_change(kind: str) -> None:
    model, rows = small_model("llama"), random_rows(3)
    torch.manual_seed(0)
    network = torch.nn.Linear(6, 32 if kind == "prompt" else 2 * 2 * 2 * 8)
    start = torch.randn(LENGTH, 6)

    def engine() -> Engine:
        return Engine(rooted(kind, model, lambda: network(start)))

    kept, found = engine(), []
    for _ in range(2):
        for one in (kept, engine()):
            loss = backward(one, rows, 1, 50).loss
            assert network.weight.grad is not None
            found.append((loss, float(network.weight.grad.norm()), sum(score.loss for _, score in one.scores(rows))))
            network.zero_grad()
        with torch.no_grad():
            network.weight.add_(0.1)
    before, before_by_new, after, after_by_new = found
    assert before == before_by_new
    assert after == after_by_new
    assert all(abs(one - other) > 1e-3 for one, other in zip(before, after, strict=True))
