"""What a model expects, on a tree and alone: the same as its own logits say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from luthier.engine.forward import Engine
from luthier.engine.outlook import outlooks
from luthier.flow import Place, Tokenized, Tuned
from tests.engine.test_exactness import small_llama


def rows() -> list[Tokenized]:
    """Six rows under a shared beginning of 30 tokens, of which one is another's beginning, trained from token 28 on."""
    random = np.random.default_rng(0)
    root = random.integers(8, 50, 30)
    own = [random.integers(8, 50, size) for size in (3, 9, 4, 17)]
    every = [np.concatenate([root, one]) for one in (*own, own[3][:8], own[3])]
    return [
        Tokenized(one.astype(np.int32), (np.arange(len(one)) >= 28).astype(np.float32), Place("x", number))
        for number, one in enumerate(every)
    ]


def by_hand(model: Any, row: Tokenized) -> torch.Tensor:
    with torch.no_grad():
        logits = model(torch.from_numpy(row.tokens.astype(np.int64))[None]).logits[0]
    logs: torch.Tensor = logits[np.flatnonzero(row.weights) - 1].log_softmax(-1)
    return logs


@pytest.mark.parametrize("on_tree", [True, False])
def test_losses_likeliest_tokens_and_their_probabilities_are_the_models_own(on_tree: bool) -> None:
    model = small_llama(3).eval()
    engine = Engine(Tuned(model, None, {}))
    if not on_tree:
        object.__setattr__(engine.limit, "tokens", 0)
    found = dict(outlooks(engine, rows(), kept=5, tokens_a_pass=40))
    assert sorted(found) == list(range(6))
    for index, row in enumerate(rows()):
        logs = by_hand(model, row)
        likeliest = logs.topk(5)
        own = logs.gather(-1, torch.from_numpy(row.tokens[28:].astype(np.int64))[:, None])[:, 0]
        assert found[index].losses == pytest.approx(-own.numpy(), abs=1e-4)
        assert found[index].likeliest.tolist() == logs.argmax(-1).tolist()
        assert found[index].tokens.tolist() == likeliest.indices.tolist()
        assert found[index].log_probabilities == pytest.approx(likeliest.values.numpy(), abs=1e-4)


def test_the_tokens_given_are_looked_at_and_rows_may_give_none() -> None:
    model = small_llama(3).eval()
    engine = Engine(Tuned(model, None, {}))
    given = [
        np.tile([9, 11], (row.trained_tokens, 1)) if number % 2 else np.zeros((row.trained_tokens, 0), np.int64)
        for number, row in enumerate(rows())
    ]
    found = dict(outlooks(engine, rows(), given=given))
    for number in (1, 3, 5):
        logs = by_hand(model, rows()[number])
        assert found[number].log_probabilities == pytest.approx(logs[:, [9, 11]].numpy(), abs=1e-4)
