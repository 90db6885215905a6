"""Scores and answers where memory runs out: the rest goes on in smaller passes, and nothing is lost or made twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from luthier.engine import forward, generation
from luthier.engine.forward import Engine
from luthier.engine.generation import answers
from luthier.engine.out_of_memory import in_smaller_passes, ran_out
from luthier.engine.tree import in_groups
from luthier.errors import UserError
from luthier.flow import Tuned
from tests.engine.test_exactness import random_rows, small_llama
from tests.engine.test_generation import STOP, questions


def too_much() -> torch.Tensor:
    """More than any machine has, whatever it promises."""
    return torch.empty(2**62 // 4)


def real_errors() -> Iterator[BaseException]:
    for allocate in (too_much, lambda: np.zeros(2**61 // 8), lambda: bytearray(2**62)):
        try:
            allocate()
        except (RuntimeError, MemoryError) as error:
            yield error


def test_what_allocators_say_is_told_from_other_errors() -> None:
    found = list(real_errors())
    assert len(found) == 3
    assert all(ran_out(error) for error in found)
    assert ran_out(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    assert ran_out(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    assert not ran_out(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not ran_out(ValueError("out of memory"))


def test_what_is_left_goes_on_in_passes_of_half_as_many_tokens() -> None:
    tried: list[tuple[list[int], int]] = []

    def work(left: Sequence[int], tokens: int) -> Iterator[tuple[int, str]]:
        tried.append((list(left), tokens))
        for at, index in enumerate(left):
            if index == 3 and tokens > 25:
                too_much()
            yield at, f"{index} in {tokens}"

    found = list(in_smaller_passes(work, 5, 100))
    assert tried == [([0, 1, 2, 3, 4], 100), ([3, 4], 50), ([3, 4], 25)]
    assert found == [(0, "0 in 100"), (1, "1 in 100"), (2, "2 in 100"), (3, "3 in 25"), (4, "4 in 25")]


def test_other_errors_come_through_and_no_room_at_all_is_said() -> None:
    def broken(left: Sequence[int], tokens: int) -> Iterator[tuple[int, str]]:
        raise RuntimeError("shapes")
        yield 0, ""

    def large(left: Sequence[int], tokens: int) -> Iterator[tuple[int, str]]:
        too_much()
        yield 0, ""

    with pytest.raises(RuntimeError, match="shapes"):
        list(in_smaller_passes(broken, 1, 100))
    with pytest.raises(UserError, match="memory ran out"):
        list(in_smaller_passes(large, 1, 100))


class Tight:
    """A model's forward pass that has room for so many tokens at once."""

    def __init__(self, model: Any, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refused = 0
        own = model.base_model.forward

        def narrow(*args: Any, inputs_embeds: torch.Tensor, **given: Any) -> Any:
            if inputs_embeds.shape[0] * inputs_embeds.shape[1] > most:
                self.refused += 1
                too_much()
            return own(*args, inputs_embeds=inputs_embeds, **given)

        monkeypatch.setattr(model.base_model, "forward", narrow)


def test_scores_are_the_same_where_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = small_llama(3), [*random_rows(0), *random_rows(1)]
    engine = Engine(Tuned(model, None, {}), tokens_a_scoring_pass=2048)
    expected = dict(engine.scores(rows))
    tight = Tight(model, 64, monkeypatch)
    found = list(engine.scores(rows))
    assert tight.refused
    assert sorted(index for index, _ in found) == list(range(len(rows)))
    for index, score in found:
        assert score.loss == pytest.approx(expected[index].loss, rel=1e-5)
        assert (score.tokens, score.correct) == (expected[index].tokens, expected[index].correct)


def test_answers_are_the_same_where_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_llama(3)
    engine = Engine(Tuned(model.eval(), None, {}), tokens_a_scoring_pass=1024)
    asked = questions()

    def said() -> dict[int, Any]:
        return dict(answers(engine, asked, lambda tokens: repr(list(tokens)), [STOP], 12))

    expected = said()
    tight = Tight(model, 50, monkeypatch)
    assert said() == expected
    assert tight.refused


def test_rows_laid_out_in_groups_have_the_same_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [*random_rows(0), *random_rows(1)]
    sizes = [len(row.tokens) for row in rows]
    groups = [(first, len(group)) for first, group in in_groups(rows, 100)]
    assert [first for first, _ in groups] == np.cumsum([0, *(count for _, count in groups)])[:-1].tolist()
    assert all(sum(sizes[first : first + count]) <= 100 or count == 1 for first, count in groups)
    engine = Engine(Tuned(small_llama(3), None, {}))
    expected = dict(engine.scores(rows))
    monkeypatch.setattr(forward, "in_groups", lambda rows: in_groups(rows, 100))
    monkeypatch.setattr(generation, "in_groups", lambda rows: in_groups(rows, 40))
    found = dict(engine.scores(rows))
    assert found.keys() == expected.keys()
    for index, score in found.items():
        assert score.loss == pytest.approx(expected[index].loss, rel=1e-5)


def test_a_model_is_not_taken_for_one_that_no_tree_serves_where_memory_runs_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = small_llama(3)
    base: Any = model.base_model
    own = base.forward

    def narrow(*args: Any, **given: Any) -> Any:
        if "plan" in given:  # by the tree, that is
            too_much()
        return own(*args, **given)

    monkeypatch.setattr(model.base_model, "forward", narrow)
    with pytest.raises(RuntimeError, match="memory"):
        Engine(Tuned(model, None, {}))
