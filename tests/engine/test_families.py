"""Each family of models, by a tree or padded: logits, losses, gradients and answers of the model's own, row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from luthier.engine.forward import Engine
from luthier.engine.generation import answers, grow
from luthier.engine.step import backward
from luthier.flow import Question, Tuned
from tests.engine.families import FAMILIES, PADDED, small_model
from tests.engine.test_exactness import alone, distance, gradients, random_rows
from tests.engine.test_generation import by_transformers

STOP = 7
WAYS: dict[str, tuple[str, dict[str, Any], str]] = {
    **{family: (family, {}, "padded" if family in PADDED else "a tree") for family in FAMILIES if family != "gpt_oss"},
    "mistral with a window": ("mistral", {"sliding_window": 45}, "both"),
    "gemma3 with a window": ("gemma3", {"sliding_window": 45}, "both"),
}


def engine_of(way: str) -> tuple[Engine, Any]:
    family, changes, _ = WAYS[way]
    model = small_model(family, **changes).double()
    return Engine(Tuned(model, None, dict(model.named_parameters()))), model


@pytest.mark.parametrize("way", WAYS)
def test_a_step_equals_its_rows_one_by_one_in_loss_and_every_gradient(way: str) -> None:
    engine, model = engine_of(way)
    rows = random_rows(0)
    near, far = engine.by_limit([len(row.tokens) for row in rows])
    assert {"a tree": not far, "padded": not near, "both": bool(near and far)}[WAYS[way][2]]
    reference = sum((alone(model, row) for row in rows), torch.zeros(()))
    reference.backward()
    expected = gradients(model)
    computed = backward(engine, rows, 1, 60)
    assert computed.loss == pytest.approx(reference.item(), rel=1e-6)
    assert distance(gradients(model), expected) < 1e-6


@pytest.mark.parametrize("way", WAYS)
def test_logits_and_scores_are_the_model_s_own(way: str) -> None:
    engine, model = engine_of(way)
    rows = random_rows(1)
    scores = dict(engine.scores(rows, 80))
    assert sorted(scores) == list(range(len(rows)))
    for index, row in enumerate(rows):
        tokens = torch.from_numpy(row.tokens.astype(np.int64))[None]
        with torch.no_grad():
            own = model.eval()(input_ids=tokens).logits[0]
        assert float((engine.logits(row, len(row.tokens)) - own).abs().max() / own.abs().max()) < 1e-6
        trained = torch.from_numpy(row.weights[1:] > 0)
        assert scores[index].loss == pytest.approx(alone(model, row).item(), rel=1e-6)
        assert scores[index].tokens == row.trained_tokens
        assert scores[index].correct == int((own[:-1].argmax(-1) == tokens[0, 1:])[trained].sum())


@pytest.mark.parametrize("way", WAYS)
def test_answers_are_the_model_s_own_whatever_the_batch(way: str) -> None:
    engine, model = engine_of(way)
    rows = random_rows(2)[2:9]
    asked = [Question(row.tokens, "", "", row.place) for row in rows]
    found = dict(answers(engine, asked, lambda tokens: repr(list(tokens)), [STOP], 8, tokens_a_pass=70))
    for index, question in enumerate(asked):
        expected = by_transformers(model.eval(), question, 8)
        stopped = expected[-1] == STOP
        assert found[index].text == repr(expected[:-1] if stopped else expected)
    assert repr(list(grow(engine, asked[0], [STOP], 8))) == found[0].text
