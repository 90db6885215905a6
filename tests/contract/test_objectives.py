"""Every objective: its gradients and loss are those of the rows one by one, and each form of rows has its way."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch

from luthier.engine import objectives
from luthier.flow import Form
from tests.engine import test_preference
from tests.engine.test_exactness import alone, distance, engine, gradients, random_rows, small_llama

every_objective = pytest.mark.parametrize("name", objectives.names())


@every_objective
def test_loss_and_gradients_are_those_of_the_rows_one_by_one(name: str) -> None:
    model, objective = small_llama(), objectives.load(name)
    if objective.PAIRS:
        examples: Any = test_preference.pairs(0)
        reference, _ = test_preference.one_by_one(model, examples)
        divisor = len(examples)
    else:
        examples = random_rows(0)
        reference = torch.stack([alone(model, row) for row in examples]).sum()
        divisor = sum(row.trained_tokens for row in examples)
    assert objective.divisor(examples) == divisor
    computed = objective.backward(engine(model), examples, divisor, 64, test_preference.BETA)
    ours = gradients(model)
    (reference / divisor).backward()
    assert computed.loss == pytest.approx(reference.item(), rel=1e-5)
    assert distance(ours, gradients(model)) < 1e-5


@every_objective
def test_it_trains_on_what_it_is_chosen_for_and_says_what_to_write_for_other_forms(name: str) -> None:
    objective: Any = objectives.load(name)
    assert set(objective.CHOSEN_FOR) <= set(objective.FORMS) <= set(get_args(Form))
    assert objective.REASON
    for form in set(get_args(Form)) - set(objective.FORMS):
        wrong, remedy = objective.refused(form)
        assert form in wrong
        assert "`" in remedy


def test_no_form_is_claimed_by_two_objectives() -> None:
    chosen = [form for name in objectives.names() for form in objectives.load(name).CHOSEN_FOR]
    assert len(chosen) == len(set(chosen))
