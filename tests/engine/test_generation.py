"""Greedy answers: what transformers' own generation gives, in any batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from luthier.engine.forward import Engine
from luthier.engine.generation import answers, grow
from luthier.flow import Place, Question, Tuned
from tests.engine.test_exactness import small_llama

STOP = 7


def questions() -> list[Question]:
    random = np.random.default_rng(0)
    root = random.integers(8, 50, 30)
    own = [random.integers(8, 50, size) for size in (3, 9, 4, 17, 1)]
    tokens = [np.concatenate([root, one]) for one in own] + [random.integers(8, 50, 5)]
    return [Question(one.astype(np.int32), "", "", Place("x", 1)) for one in tokens]


def by_transformers(model: Any, question: Question, limit: int) -> list[int]:
    tokens = torch.from_numpy(question.tokens.astype(np.int64))[None]
    with torch.no_grad():
        made = model.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            max_new_tokens=limit,
            do_sample=False,
            eos_token_id=STOP,
            pad_token_id=0,
        )
    return [int(token) for token in made[0, tokens.shape[1] :]]


def test_answers_are_transformers_own_whatever_the_batch() -> None:
    model = small_llama(3)
    engine = Engine(Tuned(model.eval(), None, {}))
    asked = questions()
    for size in (1024, 60):
        found = dict(answers(engine, asked, lambda tokens: repr(list(tokens)), [STOP], 12, tokens_a_pass=size))
        assert len(found) == len(asked)
        for index, question in enumerate(asked):
            expected = by_transformers(model, question, 12)
            stopped = expected[-1] == STOP
            assert found[index].text == repr(expected[:-1] if stopped else expected)
            assert found[index].tokens == len(expected)
            assert found[index].stopped == stopped


def test_a_choice_that_rounding_decides_falls_alike_in_every_batch() -> None:
    model: Any = small_llama(3, vocab_size=64)
    head = model.lm_head.weight
    with torch.no_grad():  # every token has a twin whose logit differs by less than rounding does
        head[1::2] = head[::2] * (1 + 1e-7 * torch.randn(32, 1, generator=torch.Generator().manual_seed(0)))
    engine = Engine(Tuned(model.eval(), None, {}))
    asked = questions()

    def said(together: list[Question], size: int) -> list[str]:
        found = dict(answers(engine, together, lambda tokens: repr(list(tokens)), [], 8, tokens_a_pass=size))
        return [found[index].text for index in range(len(together))]

    alone = [said([question], 1024)[0] for question in asked]
    assert said(asked, 1024) == alone
    assert said(asked * 3, 1024) == alone * 3
    assert said(asked[::-1], 40) == alone[::-1]


def test_a_stop_ends_an_answer_and_is_not_part_of_it() -> None:
    model = small_llama(3)
    engine = Engine(Tuned(model.eval(), None, {}))
    question = questions()[0]
    free = by_transformers(model, question, 6)
    stop = free[2]
    first = free.index(stop)
    answer = dict(answers(engine, [question], lambda tokens: repr(list(tokens)), [stop], 6))[0]
    assert answer.stopped
    assert answer.text == repr(free[:first])


def test_tokens_that_come_one_by_one_are_the_same_answer() -> None:
    engine = Engine(Tuned(small_llama(3).eval(), None, {}))
    question = questions()[1]
    whole = dict(answers(engine, [question], lambda tokens: repr(list(tokens)), [STOP], 9))[0]
    assert repr(list(grow(engine, question, [STOP], 9))) == whole.text
