"""Labels behind questions: their log-probabilities are those of each label behind each question alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from luthier.engine import scoring
from luthier.engine.forward import Engine
from luthier.engine.scoring import label_log_probabilities
from luthier.flow import Question, Tuned
from tests.engine.test_exactness import small_llama
from tests.engine.test_generation import questions

LABELS = [np.array(tokens, np.int32) for tokens in ([9, 2], [9, 11, 2], [30, 31, 32, 33, 2], [2])]


def alone(model: Any, question: Question, label: NDArray[np.int32]) -> float:
    """By the model's own forward pass over one question and one label."""
    tokens = torch.from_numpy(np.concatenate([question.tokens, label]).astype(np.int64))[None]
    with torch.no_grad():
        likely = model(tokens).logits[0].double().log_softmax(-1)
    places = range(len(question.tokens) - 1, tokens.shape[1] - 1)
    return float(sum(likely[place, tokens[0, place + 1]] for place in places))


@pytest.mark.parametrize("leaves", [4096, 10])
def test_each_label_is_as_likely_as_alone_however_many_go_at_once(leaves: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "LEAVES", leaves)
    model = small_llama(3).eval()
    asked = questions()
    found = dict(label_log_probabilities(Engine(Tuned(model, None, {})), asked, LABELS))
    assert sorted(found) == list(range(len(asked)))
    for index, question in enumerate(asked):
        wanted = [alone(model, question, label) for label in LABELS]
        assert found[index] == pytest.approx(wanted, abs=1e-4)


def test_a_questions_tokens_go_through_the_model_once() -> None:
    model: Any = small_llama(3).eval()
    engine = Engine(Tuned(model, None, {}))
    asked = questions()[:1]
    through: list[int] = []
    model.model.layers[0].register_forward_pre_hook(
        lambda layer, given, named: through.append((given[0] if given else named["hidden_states"]).shape[1]),
        with_kwargs=True,
    )
    assert len(list(label_log_probabilities(engine, asked, LABELS))) == 1
    # What ends a row predicts nothing, so it does not go through.
    assert sum(through) == len(asked[0].tokens) + sum(len(label) - 1 for label in LABELS)
