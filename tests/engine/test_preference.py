"""Pairs of answers: loss, margins and gradients of a step are those of the pairs one by one, as in the paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import logsigmoid

from luthier.engine.forward import Engine
from luthier.engine.objectives import preference
from luthier.engine.objectives.preference import PairsOf, RowsOf, losses, margins, measured
from luthier.engine.parts import in_leaves
from luthier.flow import Pair, Place, RowScore, Tokenized, Tuned
from tests.engine.families import small_model
from tests.engine.test_exactness import alone, distance, full, gradients, lora_on_queries_and_values, small_llama
from tests.engine.test_root import in_peft, logits_in_peft, rooted

BETA = 0.3


def pairs(seed: int) -> list[Pair]:
    """Pairs under a shared beginning: three to one prompt, short prompts that share nothing, answers that begin alike,
    a worse answer that goes on where the better one ends, one pair twice, weights of messages and of a pair."""
    random = np.random.default_rng(seed)
    system = random.integers(0, 50, 28)
    prompts = [np.concatenate([system, random.integers(0, 50, size)]) for size in (30, 5, 12)]
    asked = [prompts[0], prompts[0], prompts[0], prompts[1], prompts[2], random.integers(0, 50, 4), prompts[1]]
    made = []
    for number, prompt in enumerate(asked):
        begun = random.integers(0, 50, 9 if number % 2 else 0)
        sides = [np.concatenate([begun, random.integers(0, 50, random.integers(2, 30))]) for _ in range(2)]
        if number == 6:
            sides[1] = np.concatenate([sides[0], sides[1]])
        rows = []
        for side in sides:
            weights = np.concatenate([np.zeros(len(prompt)), np.ones(len(side))]).astype(np.float32)
            weights[len(prompt)] = 0.5 if number == 3 else 1.0
            tokens = np.concatenate([prompt, side]).astype(np.int32)
            rows.append(Tokenized(tokens, weights, Place("x", number + 1)))
        reference = random.normal(-20, 2, 2)
        made.append(Pair(rows[0], rows[1], 2.0 if number == 4 else 1.0, (reference[0], reference[1])))
    made.append(made[1])
    return [made[at] for at in random.permutation(len(made))]


def one_by_one(model: Any, every: Sequence[Pair]) -> tuple[torch.Tensor, list[float]]:
    """The summed loss and the margins, by the model's own forward pass of each answer."""
    total, found = torch.zeros((), dtype=torch.float64), []
    for pair in every:
        assert pair.reference is not None
        rewards = [BETA * (-alone(model, row) - known) for row, known in zip(pair.rows, pair.reference, strict=True)]
        total = total - pair.weight * logsigmoid(rewards[0] - rewards[1])
        found.append((rewards[0] - rewards[1]).item())
    return total, found


@pytest.mark.parametrize("method", [full, lora_on_queries_and_values])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tokens_a_pass", [20, 60, 1024])
def test_a_step_in_passes_of_any_size_equals_its_pairs_one_by_one(method: Any, seed: int, tokens_a_pass: int) -> None:
    tuned, every = method(seed), pairs(seed)
    tuned.model.double()
    loss, expected = one_by_one(tuned.model, every)
    (loss / 7).backward()
    theirs = gradients(tuned.model)
    engine = Engine(tuned)
    computed = preference.backward(engine, every, 7, tokens_a_pass, BETA)
    assert computed.loss == pytest.approx(loss.item(), rel=1e-6)
    assert computed.sums["preference_margin"] == pytest.approx(sum(expected), rel=1e-5)
    assert computed.sums["preference_accuracy"] == sum(margin > 0 for margin in expected)
    assert 0 < computed.sums["preference_accuracy"] < len(every)
    assert distance(gradients(tuned.model), theirs) < 1e-6
    layout = in_leaves(engine.lay_out([row for pair in every for row in pair.rows]), tokens_a_pass, pairs=True)
    assert (len(layout.leaves) > 2) == (tokens_a_pass < 1024)
    assert computed.tokens < sum(len(row.tokens) for pair in every for row in pair.rows) - 100


@pytest.mark.parametrize("better_first", [True, False])
def test_a_pair_of_which_one_answer_ends_where_others_go_on_over_several_passes(better_first: bool) -> None:
    """The long answer of the first pair is the prompt of four others: its last token is the trunk's, the other's is
    not."""
    random = np.random.default_rng(5)
    prompt, long = [9] * 10, random.integers(1, 50, 40).tolist()
    answers = [[prompt, [0, *random.integers(1, 50, 24).tolist()], long]]
    for pair in range(4):  # both answers begin alike, so that they stand beside each other
        own = random.integers(1, 50, (2, 11)).tolist()
        answers.append([prompt + long, [pair, 1, *own[0]], [pair, 2, *own[1]]])
    every = []
    for asked, *sides in answers:
        rows = [
            Tokenized(
                np.array([*asked, *side], np.int32),
                np.array([0.0] * len(asked) + [1.0] * len(side), np.float32),
                Place("x", 1),
            )
            for side in (sides if better_first else sides[::-1])
        ]
        every.append(Pair(rows[0], rows[1], 1.0, (-30.0, -31.0)))
    tuned = full(0)
    tuned.model.double()
    engine = Engine(tuned)
    layout = in_leaves(engine.lay_out([row for pair in every for row in pair.rows]), 20, pairs=True)
    assert layout.trunk is not None
    assert len(layout.leaves) > 2
    loss, _ = one_by_one(tuned.model, every)
    loss.backward()
    theirs = gradients(tuned.model)
    computed = preference.backward(engine, every, 1, 20, BETA)
    assert computed.loss == pytest.approx(loss.item(), rel=1e-6)
    assert distance(gradients(tuned.model), theirs) < 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_in_float32_too(seed: int) -> None:
    tuned, every = lora_on_queries_and_values(seed), pairs(seed)
    loss, _ = one_by_one(tuned.model, every)
    loss.backward()
    theirs = gradients(tuned.model)
    computed = preference.backward(Engine(tuned), every, 1, 60, BETA)
    assert computed.loss == pytest.approx(loss.item(), rel=1e-5)
    assert distance(gradients(tuned.model), theirs) < 1e-5


@pytest.mark.parametrize(
    ("family", "changes"), [("gemma2", {}), ("gpt2", {}), ("qwen2", {}), ("mistral", {"sliding_window": 62})]
)
def test_rows_that_no_tree_serves_are_paired_in_padded_batches(family: str, changes: dict[str, Any]) -> None:
    """Of the last model some pairs go one way and some the other; no pair is parted."""
    model = small_model(family, **changes).double()
    engine, every = Engine(Tuned(model, None, dict(model.named_parameters()))), pairs(0)
    near, far = engine.by_limit([max(len(row.tokens) for row in pair.rows) for pair in every])
    assert {"gemma2": not near, "mistral": bool(near and far)}.get(family, not far)
    loss, _ = one_by_one(model, every)
    loss.backward()
    theirs = gradients(model)
    computed = preference.backward(engine, every, 1, 60, BETA)
    assert computed.loss == pytest.approx(loss.item(), rel=1e-6)
    assert distance(gradients(model), theirs) < 1e-6


@pytest.mark.parametrize("kind", ["prompt", "prefix"])
@pytest.mark.parametrize("tokens_a_pass", [20, 1024])
def test_pairs_on_a_root_equal_peft_s(kind: str, tokens_a_pass: int) -> None:
    model, every = small_llama().double(), pairs(1)
    theirs, weight = in_peft(kind, model)
    ours = weight.detach().clone().requires_grad_()
    for pair in every:
        assert pair.reference is not None
        gained = []
        for row, known in zip(pair.rows, pair.reference, strict=True):
            targets = torch.from_numpy(row.tokens[1:].astype(np.int64))[:, None]
            likely = logits_in_peft(theirs, row)[:-1].log_softmax(-1).gather(1, targets)[:, 0]
            gained.append((likely * torch.from_numpy(row.weights[1:])).sum() - known)
        (-pair.weight * logsigmoid(BETA * (gained[0] - gained[1]))).backward()
    preference.backward(Engine(rooted(kind, model, ours)), every, 1, tokens_a_pass, BETA)
    assert ours.grad is not None
    assert weight.grad is not None
    assert float((ours.grad - weight.grad).norm() / weight.grad.norm()) < 1e-6


def test_layers_computed_twice_change_nothing() -> None:
    tuned, every = lora_on_queries_and_values(0), pairs(0)
    preference.backward(Engine(tuned), every, 1, 60, BETA)
    once = gradients(tuned.model)
    preference.backward(Engine(tuned, checkpointing=True), every, 1, 60, BETA)
    assert distance(gradients(tuned.model), once) < 1e-6


def test_a_model_that_has_not_moved_has_a_margin_of_0_and_a_loss_of_log_2() -> None:
    tuned, every = full(0), pairs(0)
    engine = Engine(tuned)
    scores = dict(engine.scores(RowsOf(every, range(len(every)), 2)))
    known = -np.array([scores[row].loss for row in range(2 * len(every))]).reshape(-1, 2)
    every = [replace(pair, reference=(one, other)) for pair, (one, other) in zip(every, known.tolist(), strict=True)]
    weight = sum(pair.weight for pair in every)
    computed = preference.backward(engine, every, 1, 60, BETA)
    assert computed.loss / weight == pytest.approx(np.log(2), abs=1e-5)
    assert computed.sums["preference_margin"] == pytest.approx(0, abs=1e-4)


def test_margins_losses_and_their_intervals_by_hand() -> None:
    scores = [RowScore(12.0, 5, 1), RowScore(20.0, 6, 2), RowScore(10.0, 5, 1), RowScore(10.0, 6, 2)]
    reference = np.array([[-13.0, -18.0], [-9.0, -10.0]])
    found = margins(scores, reference, 0.1)
    assert found.tolist() == pytest.approx([0.3, -0.1])
    assert losses(found).tolist() == pytest.approx([np.log1p(np.exp(-0.3)), np.log1p(np.exp(0.1))])
    assert losses(np.array([-2000.0, 2000.0])).tolist() == [2000.0, 0.0]
    of = measured(found)
    assert of["preference_accuracy"].value == 0.5
    assert of["preference_margin"].value == pytest.approx(0.1)
    assert of["preference_margin"].low is not None
    assert of["preference_margin"].low < 0.1


def test_a_pair_weighs_as_its_heaviest_token_and_its_tokens_weigh_their_share_of_that() -> None:
    """A file's weight of 3 on answers of weight 1 and 0.5: the pair weighs 3, its tokens 1 and a half."""
    rows = [
        Tokenized(np.arange(3, dtype=np.int32), np.array([0, weight, weight], np.float32), Place("x", 1))
        for weight in (3.0, 1.5)
    ]
    (pair,) = PairsOf(rows, np.array([[-1.0, -2.0]]))
    assert pair.weight == 3
    assert pair.chosen.weights.tolist() == [0, 1, 1]
    assert pair.rejected.weights.tolist() == [0, 0.5, 0.5]
    assert pair.reference == (-1.0, -2.0)
